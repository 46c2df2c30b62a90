//! The world in a box: whole nodes in one thread, from one seed.
//!
//! Real are the node's core with both consensus machines, the door for messages, the chain with its EVM and its
//! signatures, the pool, and the formats on disk. Played are the things around them: clocks, threads, disks, the
//! network, and people. So everything that a process, a machine or a network can do to a node happens here in
//! thousands of ways, and each of them happens again when its seed is given.
//!
//! ```text
//!  plan (seed) ─► world ─┬─ nodes: disk, process (loop, outbox, chain, sync)   ─ actors, process, disk
//!                        ├─ network: sessions, delays, losses, partitions      ─ network, links
//!                        ├─ faults: crashes, clocks, disks, malice             ─ chaos, outage, byzantine, forge
//!                        ├─ judge: every promise after every step              ─ check
//!                        ├─ members: payloads, second pass, deals, secrets     ─ private
//!                        └─ course: storm, calm, outage, recovery, audit       ─ story
//! ```

mod actors;
mod byzantine;
mod chaos;
mod check;
mod crowd;
pub(crate) mod dice;
mod disk;
mod forge;
mod links;
mod network;
mod outage;
mod permits;
mod plan;
mod private;
mod process;
mod report;
mod schedule;
mod story;
mod traffic;
mod world;

pub use byzantine::Habits;
pub use crowd::{Crowd, alone};
pub use disk::Crash;
pub use permits::{Permits, set_account};
pub use plan::{Chaos, Fault, Plan, Rules, Weather};
pub use private::{Contract, Deal, Dealings, Deals, Judge, Member, Party, SECRET_BYTES, Secret, Stage};
pub use process::Node;
pub use report::{Failure, Outcome, Stats, Violation};
pub use story::run;
pub use world::{Break, Options, World};
