//! Authenticated sessions over libp2p with the peers it is told to allow, and typed messages over them.
//!
//! Never here: contracts, chain rules, the meaning of a message, discovery. Whom to allow comes as a [`PeerGate`], whom to
//! keep connected as [`PeerAddress`]es; what arrives goes out as [`PeerEvent`]s, well-formed and within its limits, its
//! content unread.
//!
//! ```text
//!              P2p (handle, any thread)                              PeerEvents (the node)
//!   set_gate, add_peer, ... |        | send                      consensus first ^      ^ then data
//!                           v        v                                           |      |
//!   +--------------------- hub: gate, bans, wanted peers, sessions --------------|------|-----+
//!   |                              |                                             |      |     |
//!   |   one session per peer       v                                             |      |     |
//!   |      queue consensus ---> writer ==> /lonja/consensus/1 ==> reader: limit, budget, decode
//!   |      (oldest dropped)                                                             |     |
//!   |      queue data      ---> writer ==> /lonja/data/1      ==> reader: limit, budget, decode
//!   |      (new refused)                                                                      |
//!   +-----------------------------------------------------------------------------------------+
//!       service: swarm, dial schedule   |   TCP + noise + yamux, or QUIC
//! ```
//!
//! A session goes through these steps, each of which can end it:
//!
//! 1. libp2p connects and proves the peer's key. The gate, bans and connection limits are asked then; a refused peer
//!    gets no lonja byte.
//! 2. Each side opens its two streams.
//! 3. Both say a `Status` (version, genesis, chain id, rules, head). A difference is answered with a `Goodbye` that
//!    names it, and logged on both sides.
//! 4. [`PeerEvent::Connected`], then messages, then [`PeerEvent::Disconnected`] with the reason.
//!
//! Between two nodes there is one session; of two connections made at the same time, the node with the larger id
//! decides which stays. Nobody waits for a slow peer: its queues are bounded and lose their own messages only. Nobody
//! suffers from a fast one: beyond its [`Budgets`], or with too much waiting for the node, it is not read from. A
//! message that is too long, malformed or out of place ends the session and bans the peer for minutes. Who has nothing to
//! say sends an empty frame every two seconds; a peer that nothing is heard of for eight is taken for lost and dialed anew.
//!
//! The limit of each message is in [`wire`]; every other bound is in `limits.rs`, with its reason.

mod address;
mod behaviour;
mod budget;
mod closing;
mod config;
mod dialer;
mod error;
mod events;
mod gate;
mod handle;
mod handler;
mod handshake;
mod hearing;
mod hub;
mod identity;
mod lanes;
mod limits;
mod outbox;
mod refusals;
mod service;
mod session;
mod stop;
mod transport;
pub mod wire;

pub use address::{Host, PeerAddress, Transport};
pub use budget::{Budgets, Rate};
pub use config::{NetworkId, P2pConfig};
pub use error::{AddressError, P2pError, SendError};
pub use events::{PeerEvent, PeerEvents};
pub use gate::{PeerGate, PeerRule, PeerVerdict};
pub use handle::{Abuse, P2p, PeerInfo, Sent, start};
pub use identity::peer_id_text;
pub use limits::{MAX_KNOWN_PEERS, MAX_STATIC_PEERS};
pub use refusals::Refused;
