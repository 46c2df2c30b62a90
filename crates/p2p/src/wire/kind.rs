//! The kinds of messages, their limits in bytes, and the stream each travels on.

use super::{
    MAX_ANSWER_BYTES, MAX_BLOCKS_BYTES, MAX_CONSENSUS_BYTES, MAX_HASHES_BYTES, MAX_PARTY_BYTES,
    MAX_QUESTION_BYTES, MAX_RELAY_BYTES, MAX_SESSION_BYTES, MAX_SMALL_BYTES, MAX_TRANSACTIONS_BYTES,
    WireError,
};

/// The kind byte of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// First message of each side.
    Status = 0,
    /// Last message of a side that ends the session.
    Goodbye = 1,
    /// [`Message::Consensus`].
    Consensus = 2,
    /// [`Message::Transactions`].
    Transactions = 3,
    /// [`Message::NewHead`].
    NewHead = 4,
    /// [`Message::GetBlocks`].
    GetBlocks = 5,
    /// [`Message::Blocks`].
    Blocks = 6,
    /// [`Message::Relay`].
    Relay = 7,
    /// [`Message::TransactionHashes`].
    TransactionHashes = 8,
    /// [`Message::GetTransactions`].
    GetTransactions = 9,
    /// [`Message::Question`].
    Question = 10,
    /// [`Message::Answer`].
    Answer = 11,
    /// [`Message::PartyRequest`].
    PartyRequest = 12,
    /// [`Message::PartyAnswer`].
    PartyAnswer = 13,
}

/// The version of a stream, told by the name of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamVersion {
    /// The first.
    One,
    /// With the messages between parties.
    Two,
}

/// The two streams of a session in each direction. They do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Handshake, consensus messages, goodbye.
    Consensus,
    /// Transactions, heads, blocks, states, what parties tell each other.
    Data,
}

impl Kind {
    /// All kinds, in the order of their bytes.
    pub const ALL: [Kind; 14] = [
        Kind::Status,
        Kind::Goodbye,
        Kind::Consensus,
        Kind::Transactions,
        Kind::NewHead,
        Kind::GetBlocks,
        Kind::Blocks,
        Kind::Relay,
        Kind::TransactionHashes,
        Kind::GetTransactions,
        Kind::Question,
        Kind::Answer,
        Kind::PartyRequest,
        Kind::PartyAnswer,
    ];

    /// The kind with this byte.
    pub fn from_byte(byte: u8) -> Result<Self, WireError> {
        Self::ALL.get(usize::from(byte)).copied().ok_or(WireError::UnknownKind(byte))
    }

    /// Largest message of this kind, kind byte included.
    pub fn max_bytes(self) -> usize {
        match self {
            Self::Status | Self::Goodbye => MAX_SESSION_BYTES,
            Self::Consensus => MAX_CONSENSUS_BYTES,
            Self::Relay => MAX_RELAY_BYTES,
            Self::TransactionHashes | Self::GetTransactions => MAX_HASHES_BYTES,
            Self::Transactions => MAX_TRANSACTIONS_BYTES,
            Self::NewHead | Self::GetBlocks => MAX_SMALL_BYTES,
            Self::Blocks => MAX_BLOCKS_BYTES,
            Self::Question => MAX_QUESTION_BYTES,
            Self::Answer => MAX_ANSWER_BYTES,
            Self::PartyRequest | Self::PartyAnswer => MAX_PARTY_BYTES,
        }
    }

    /// The stream this kind travels on.
    pub fn lane(self) -> Lane {
        match self {
            Self::Status | Self::Goodbye | Self::Consensus | Self::Relay => Lane::Consensus,
            Self::Transactions
            | Self::NewHead
            | Self::GetBlocks
            | Self::Blocks
            | Self::TransactionHashes
            | Self::GetTransactions
            | Self::Question
            | Self::Answer
            | Self::PartyRequest
            | Self::PartyAnswer => Lane::Data,
        }
    }

    /// The version of the stream from which on peers know this kind.
    pub fn since(self) -> StreamVersion {
        match self {
            Self::PartyRequest | Self::PartyAnswer => StreamVersion::Two,
            _ => StreamVersion::One,
        }
    }

    /// The kind in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Goodbye => "goodbye",
            Self::Consensus => "consensus",
            Self::Transactions => "transactions",
            Self::NewHead => "new_head",
            Self::GetBlocks => "get_blocks",
            Self::Blocks => "blocks",
            Self::Relay => "relay",
            Self::TransactionHashes => "transaction_hashes",
            Self::GetTransactions => "get_transactions",
            Self::Question => "question",
            Self::Answer => "answer",
            Self::PartyRequest => "party_request",
            Self::PartyAnswer => "party_answer",
        }
    }

    /// Refuses a length that this kind may not have, before anything is read.
    pub fn check_length(self, length: usize) -> Result<(), WireError> {
        let limit = self.max_bytes();
        if length > limit { Err(WireError::TooLarge { kind: self, length, limit }) } else { Ok(()) }
    }
}

impl Lane {
    /// The lane in metrics and messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Consensus => "consensus",
            Self::Data => "data",
        }
    }
}
