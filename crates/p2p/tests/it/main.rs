//! Sessions and abuse on real sockets, in one binary.

mod abuse;
mod sessions;
mod world;
