//! lonja as a whole: the world in a box ([`simulation`]), which the tests and the program `simulate` run.
//!
//! Never here: anything a node needs. Nothing depends on this package.

pub mod simulation;
