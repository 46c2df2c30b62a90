//! lonja as a whole: the world in a box ([`simulation`]), which the tests and the program `simulate` run; networks of
//! real processes ([`harness`]) for the scenarios; what the program `torment` does to them ([`torment`]);
//! and bytes that nobody made with good intentions ([`fuzzing`]), for the program `fuzz` and for libFuzzer.
//!
//! Never here: anything a node needs. Nothing depends on this package.

pub mod fuzzing;
pub mod harness;
pub mod simulation;
pub mod torment;
