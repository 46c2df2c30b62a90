//! lonja as a whole: the world in a box ([`simulation`]), which the tests and the program `simulate` run; networks of
//! real processes ([`harness`]) for the scenarios; and what the program `torment` does to them ([`torment`]).
//!
//! Never here: anything a node needs. Nothing depends on this package.

pub mod harness;
pub mod simulation;
pub mod torment;
