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
//!   |      queue data      ---> writer ==> /lonja/data/2      ==> reader: limit, budget, decode
//!   |      (new refused)                                                                      |
//!   +-----------------------------------------------------------------------------------------+
//!       service: swarm, dial schedule   |   TCP + noise + yamux, or QUIC
//! ```
//!
//! A session goes through these steps, each of which can end it:
//!
//! 1. libp2p connects and proves the peer's key. The gate, bans and connection limits are asked then; a refused peer
//!    gets no lonja byte. A peer to be dialed is judged before a socket is opened.
//! 2. Each side opens its two streams, in the newest version that the other knows.
//! 3. Both say a `Status` (version, genesis, chain id, rules, head). A difference is answered with a `Goodbye` that
//!    names it, and logged on both sides. A gate that needed the peer's address is asked again now.
//! 4. [`PeerEvent::Connected`], then messages, then [`PeerEvent::Disconnected`] with the reason.
//!
//! Between two nodes there is one session; of two connections made at the same time, the node with the larger id
//! decides which stays. Nobody waits for a slow peer: its queues are bounded and lose their own messages only. Nobody
//! suffers from a fast one: beyond its [`Budgets`], or with too much waiting for the node, it is not read from. A
//! message that is too long, malformed or out of place ends the session and bans the peer for minutes. Who has nothing to
//! say sends an empty frame every two seconds; a peer that nothing is heard of for eight is taken for lost and dialed anew.
//!
//! # The gate
//!
//! A [`PeerGate`] is open, a list, or a [`PeerRule`] that is asked: rules of deployed networks only answer whether a key
//! at a host and port may connect. A verdict belongs to one gate, and each gate is asked about
//!
//! * a peer to be dialed, once, when it is due, with its configured or known address;
//! * a connection that comes in, once its key is proven, without an address; if only an address can tell, once more after
//!   the handshake, with the IP address it comes from and the port it says it listens on;
//! * each session there is when the gate becomes the gate, with the address it began with.
//!
//! It is never asked about a message, nor under a lock that others need. When [`P2p::set_gate`] returns, no session that the
//! new gate refuses takes or sends anything but its goodbye, and none can begin; those ended are counted
//! (`lonja_p2p_gate_dropped_total`), as are connections refused
//! (`lonja_p2p_refused_connections_total{reason="not_permitted"}`). A refused peer stays on the lists and is dialed as soon
//! as a gate permits it.
//!
//! Whom the other node does not permit sees it in the goodbye, or, where it was not let in at all, in a connection that is
//! closed as soon as its key is known. It tries again more and more slowly, up to a minute apart, and soon after its own gate
//! has changed. [`P2p::refusals`] and [`P2p::unwanted_by`] tell both sides' operators.
//!
//! # Whom to dial
//!
//! The configured peers, always. Beside them those of [`P2p::set_known_addresses`], while fewer than three quarters of
//! `max_peers` sessions with others stand.
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
