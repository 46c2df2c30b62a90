//! Sessions, gates and abuse on real sockets, in one binary.

mod abuse;
mod gate;
mod sessions;
mod world;
