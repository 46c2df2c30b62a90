//! One binary for all tests that look at lonja as a whole.

mod house;
mod permits;
mod processes;
mod simulation;
