//! Scenarios on real processes: the program as it is shipped, on loopback, killed, frozen and misused.
//!
//! One network runs at a time (see [`lonja_tests::harness::turn`]), so that a small machine runs them as well as a large one.
//! What is timed is timed because a promise names the time; everything else waits as long as it takes, up to a
//! deadline that only a hanging node reaches.

mod accounts;
mod commands;
mod crash;
mod devnet;
mod extensions;
mod faults;
mod joining;
mod lines;
mod managers;
mod membership;
mod misuse;
mod newcomer;
mod old_chain;
mod outages;
mod parties;
mod permissions;
mod private_calls;
mod recovery;
mod registry;
mod supervision;
mod torment;
