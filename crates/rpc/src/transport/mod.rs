//! How requests arrive: TCP (HTTP and WebSocket) and the local socket, all before the same method tables.

pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod framing;
pub(crate) mod front;
pub(crate) mod gate;
pub(crate) mod ipc;
pub(crate) mod shape;
pub(crate) mod tcp;
