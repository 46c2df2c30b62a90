//! The first and the last message of a session.

use super::{Kind, MAX_CLIENT_BYTES, MAX_GOODBYE_BYTES, WireError, exact, frame, malformed, split};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Encodable, RlpDecodable, RlpEncodable};
use bytes::BufMut;
use lonja_primitives::spec::RulesNow;

/// First message on the consensus stream, by each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// [`PROTOCOL_VERSION`] of the sender.
    pub version: u64,
    /// Hash of the sender's block 0.
    pub genesis_hash: B256,
    /// Chain id of the sender's chain (EIP-155).
    pub chain_id: u64,
    /// The rules of the sender's chain, as of its head.
    pub rules: RulesNow,
    /// Number of the sender's head.
    pub head_number: u64,
    /// Hash of the sender's head.
    pub head_hash: B256,
    /// Name and version of the sender's program: at most [`MAX_CLIENT_BYTES`] printable ASCII characters.
    pub client: String,
    /// TCP port the sender listens on, 0 when it does not.
    pub listen_port: u16,
    /// Drawn at random when the sender's process starts: tells a restarted peer from a second connection.
    pub instance: u64,
}

/// Last message on the consensus stream of the side that ends a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// Why, for the machine.
    pub reason: GoodbyeReason,
    /// Why, for people: at most [`MAX_GOODBYE_BYTES`] bytes, control characters replaced.
    pub text: String,
}

/// Why a side ends a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GoodbyeReason {
    /// The sender stops.
    Shutdown = 0,
    /// Another protocol version.
    Version = 1,
    /// Another chain: genesis, chain id or rules differ.
    Network = 2,
    /// The receiver is not, or no longer, allowed to connect.
    NotAllowed = 3,
    /// There is a session between the two already.
    AlreadyConnected = 4,
    /// The sender has all the peers it wants.
    TooManyPeers = 5,
    /// The receiver broke the protocol.
    Abuse = 6,
    /// The sender's operator removed the receiver.
    Removed = 7,
    /// The receiver took nothing for too long.
    Stalled = 8,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StatusBody {
    version: u64,
    genesis_hash: B256,
    chain_id: u64,
    rules: B256,
    /// 0 for none: nothing changes with block 0.
    next_change: u64,
    head_number: u64,
    head_hash: B256,
    client: String,
    listen_port: u16,
    instance: u64,
}

#[derive(RlpEncodable, RlpDecodable)]
struct GoodbyeBody {
    reason: u8,
    text: String,
}

/// The frame of a `Status`. A client name that breaks the rules is cut and cleaned, never refused.
pub fn encode_status_frame(status: &Status) -> Bytes {
    let body = StatusBody {
        version: status.version,
        genesis_hash: status.genesis_hash,
        chain_id: status.chain_id,
        rules: status.rules.id,
        next_change: status.rules.next_change.unwrap_or(0),
        head_number: status.head_number,
        head_hash: status.head_hash,
        client: printable(&status.client, MAX_CLIENT_BYTES),
        listen_port: status.listen_port,
        instance: status.instance,
    };
    session_frame(Kind::Status, &body)
}

/// The frame of a `Goodbye`. A text that is too long is cut.
pub fn encode_goodbye_frame(goodbye: &Goodbye) -> Bytes {
    let text = printable(&goodbye.text, MAX_GOODBYE_BYTES);
    session_frame(Kind::Goodbye, &GoodbyeBody { reason: goodbye.reason as u8, text })
}

/// Reads a `Status`: kind byte and body.
pub fn decode_status(bytes: &Bytes) -> Result<Status, WireError> {
    let (kind, body) = split(bytes)?;
    if kind != Kind::Status {
        return Err(WireError::Misplaced(kind));
    }
    let b = exact::<StatusBody>(kind, body)?;
    if b.client.len() > MAX_CLIENT_BYTES || !b.client.bytes().all(|c| (0x20..0x7f).contains(&c)) {
        return Err(malformed(kind, "the client name is too long or not printable ASCII"));
    }
    Ok(Status {
        version: b.version,
        genesis_hash: b.genesis_hash,
        chain_id: b.chain_id,
        rules: RulesNow { id: b.rules, next_change: Some(b.next_change).filter(|next| *next != 0) },
        head_number: b.head_number,
        head_hash: b.head_hash,
        client: b.client,
        listen_port: b.listen_port,
        instance: b.instance,
    })
}

/// Reads a `Goodbye`: kind byte and body. What the peer wrote is cleaned of control characters.
pub fn decode_goodbye(bytes: &Bytes) -> Result<Goodbye, WireError> {
    let (kind, body) = split(bytes)?;
    if kind != Kind::Goodbye {
        return Err(WireError::Misplaced(kind));
    }
    let b = exact::<GoodbyeBody>(kind, body)?;
    if b.text.len() > MAX_GOODBYE_BYTES {
        return Err(malformed(kind, "the text is too long"));
    }
    let reason = GoodbyeReason::from_byte(b.reason).ok_or_else(|| malformed(kind, "unknown reason"))?;
    Ok(Goodbye { reason, text: printable(&b.text, MAX_GOODBYE_BYTES) })
}

impl GoodbyeReason {
    pub(super) const ALL: [Self; 9] = [
        Self::Shutdown,
        Self::Version,
        Self::Network,
        Self::NotAllowed,
        Self::AlreadyConnected,
        Self::TooManyPeers,
        Self::Abuse,
        Self::Removed,
        Self::Stalled,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

fn session_frame(kind: Kind, body: &dyn Encodable) -> Bytes {
    frame(kind, |out| {
        out.put_u8(kind as u8);
        body.encode(out);
        Ok(())
    })
    .expect("the texts are cut, so the frame is far below four gigabytes")
}

/// At most `most` printable ASCII characters of a text; anything else becomes a question mark.
fn printable(text: &str, most: usize) -> String {
    let clean = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(most).map(clean).collect()
}
