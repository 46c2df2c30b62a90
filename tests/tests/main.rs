//! One binary for all tests that look at lonja as a whole.

mod fuzzing;
mod house;
mod permits;
mod private_simulation;
mod processes;
mod simulation;
