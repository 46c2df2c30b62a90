//! Every bound of this crate that is not a limit of the wire format, with its reason.

use std::time::Duration;

const MIB: usize = 1 << 20;

/// Peers that are kept connected at most; a consortium has tens of nodes, the largest known has a few hundred.
pub const MAX_STATIC_PEERS: usize = 1024;
/// Addresses of peers learned elsewhere that are remembered at most: several times the nodes of the largest network known,
/// at about two hundred bytes each.
pub const MAX_KNOWN_PEERS: usize = 4096;

/// Connections beyond the wanted number of peers, so that a replaced connection and its successor, or one that is
/// told a friendly goodbye, fit for a moment.
pub(crate) const SPARE_CONNECTIONS: usize = 32;
/// Connections in the middle of their cryptographic handshake. Each costs a key agreement; strangers who only open
/// sockets must not tie up more than this.
pub(crate) const MAX_PENDING_INBOUND: usize = 64;
/// The same from one IP address, so that one stranger cannot take all of them.
pub(crate) const MAX_PENDING_INBOUND_PER_ADDRESS: usize = 16;
/// Connections with one peer: one that lives and a few that are being sorted out after both sides dialed.
pub(crate) const MAX_CONNECTIONS_PER_PEER: usize = 4;
/// Substreams of a connection: two in each direction are used.
pub(crate) const MAX_SUBSTREAMS: usize = 16;

/// Time to connect and to agree on keys. A satellite link needs two seconds for all round trips.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from an established connection to a finished handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to look up a name.
pub(crate) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
pub(crate) const MAX_RESOLVED: usize = 8;
/// A connection without any lonja stream is closed after this time.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// After this time without anything to say on the consensus stream, an empty frame says that this node is there. It wants
/// no answer: a line that is filled in one direction is not mistaken for a dead one.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(2);
/// Looks, one each [`TICK`], that find nothing heard of a peer before it is taken for lost: four heartbeats. On a line that
/// was broken for as long as `t`, TCP may wait as long as `t` again before it sends what was lost. With this bound a line
/// that works again carries votes at most half of it later, or with the next dial: within two round timeouts.
pub(crate) const SILENT_LOOKS: u32 = 8;
/// Empty frames that are read in a second: many times what a peer sends, next to no work.
pub(crate) const EMPTY_FRAMES_PER_SECOND: u32 = 10;
/// How long closing a connection may take: the last frames of a living peer are on their way within it.
pub(crate) const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How long the last words of a session may take, on each side of sending them.
pub(crate) const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// A peer that has not taken one write in this time is dropped: twelve megabytes pass in it over one Mbit/s.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long shutting down may take before tasks are simply ended.
pub(crate) const SHUTDOWN_TIME: Duration = Duration::from_secs(3);
/// A session older than this is replaced when its peer dials again, for the peer would not dial if it had one.
/// Younger, the two are taken for one of them dialing while the other did.
pub(crate) const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// Pause before the first retry of a failed dial; doubles up to [`RETRY_MOST`]. Short, so that a network whose nodes
/// start together is connected within a second or two.
pub(crate) const RETRY_FIRST: Duration = Duration::from_millis(200);
/// Longest pause between two tries. A broken line that works again must carry votes within two round timeouts (six
/// seconds by default), however long it was broken; a try every few seconds for each missing peer costs next to nothing.
/// Pauses are counted from the beginning of the last try: one that nobody answered took longer, and is repeated at once.
pub(crate) const RETRY_MOST: Duration = Duration::from_secs(4);
/// Tries a second, of all known peers that do not answer together. Those in the configuration are few and tried each
/// [`RETRY_MOST`]; of the others there may be thousands, and the pause grows with their number, to [`RETRY_REFUSED`] at most.
pub(crate) const KNOWN_TRIES_PER_SECOND: usize = 16;
/// Pause after a peer of another chain answered, or one that does not want us: only an operator or a vote
/// changes that. Also the longest pause for a peer that hangs up as soon as it knows our key.
pub(crate) const RETRY_REFUSED: Duration = Duration::from_secs(60);
/// A peer that hung up so often in a row as soon as it knew our key is taken for one that does not permit this node. Once or
/// twice it may have been starting or stopping.
pub(crate) const HANG_UPS: u32 = 3;
/// A session that lived this long was a success: the next pause is the first again.
pub(crate) const STEADY: Duration = Duration::from_secs(5);

/// First ban; doubles with each offence up to [`BAN_MOST`].
pub(crate) const BAN_BASE: Duration = Duration::from_secs(60);
/// Longest ban. Not for ever: a faulty validator that was repaired must come back by itself.
pub(crate) const BAN_MOST: Duration = Duration::from_secs(16 * 60);
/// Peers remembered as banned; each costs about a hundred bytes.
pub(crate) const MAX_BANS: usize = 256;
/// Points at which a peer is banned, see [`crate::Abuse`].
pub(crate) const ABUSE_LIMIT: u32 = 100;

/// Consensus messages waiting for one peer. A round of a hundred validators, each message passed on once, fits.
pub(crate) const CONSENSUS_QUEUE_MESSAGES: usize = 1024;
/// Bytes of consensus messages waiting for one peer: two of the largest and many votes.
pub(crate) const CONSENSUS_QUEUE_BYTES: usize = 24 * MIB;
/// Data messages waiting for one peer.
pub(crate) const DATA_QUEUE_MESSAGES: usize = 1024;
/// Bytes of data messages waiting for one peer: one of the largest and a few batches.
pub(crate) const DATA_QUEUE_BYTES: usize = 14 * MIB;
/// Bytes of data messages waiting for all peers together, so that many peers who do not read cannot fill a
/// machine of four gigabytes.
pub(crate) const DATA_QUEUE_BYTES_TOTAL: usize = 256 * MIB;
/// Small messages are written together up to this size, to save system calls, encryption and packets.
pub(crate) const WRITE_TOGETHER_BYTES: usize = 64 << 10;
/// A message at least this large is written by itself, without copying.
pub(crate) const WRITE_ALONE_BYTES: usize = 16 << 10;
/// Read buffer of a stream.
pub(crate) const READ_BUFFER_BYTES: usize = 64 << 10;

/// Received bytes of one peer and stream that wait for the node: one of the largest messages and some.
pub(crate) const INBOX_BYTES: usize = 14 * MIB;
/// Least weight of a received message in [`INBOX_BYTES`]: makes it a bound on their number too, 256 per peer.
pub(crate) const INBOX_LEAST_BYTES: usize = INBOX_BYTES / 256;
/// Received consensus messages of all peers that wait for the node.
pub(crate) const CONSENSUS_EVENTS: usize = 4096;
/// Received data messages of all peers that wait for the node.
pub(crate) const DATA_EVENTS: usize = 1024;
/// Reports of tasks to the service; a task waits when it is full.
pub(crate) const REPORTS: usize = 256;

/// The service looks for overdue handshakes and due dials at least this often.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Refused strangers that are logged per minute; the rest is only counted, so that nobody can fill a disk with
/// our log.
pub(crate) const LOGGED_REFUSALS_PER_MINUTE: u32 = 20;
/// Peers about to be dialed that a rule is asked about in one go. At some tens of microseconds each, connections wait a few
/// milliseconds at most.
pub(crate) const JUDGED_AT_A_TIME: usize = 64;

/// Refusals remembered for diagnosis: what an operator reads.
pub(crate) const MAX_REFUSALS: usize = 64;
/// Peers remembered as not permitting this node; enough for a diagnosis in a large network.
pub(crate) const MAX_UNWANTED_BY: usize = 256;
/// How long that is remembered: several of the longest pauses between two tries, so that who still refuses is still there.
pub(crate) const UNWANTED_MEMORY: Duration = Duration::from_secs(5 * 60);
