//! Tests of the machine as a whole.

mod candidates;
mod cast;
mod network;
mod restart;
mod routing;
mod scenarios;
mod timers;
mod votes;
mod world;
