//! Why a manager refused.

use crate::{PayloadHash, PublicKey};
use thiserror::Error;

/// Why a manager refused, in words for the one who asked. [`PtmError::status`] is the HTTP status that Tessera gives for
/// it, which clients go by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PtmError {
    /// What was asked for is not here.
    #[error("{0}")]
    NotFound(String),
    /// Nobody here knows where the recipient is.
    #[error("Recipient not found for key: {0}")]
    UnknownRecipient(PublicKey),
    /// The sender's key is not one of this manager's.
    #[error("Sender key {0} is not managed here")]
    UnknownSender(PublicKey),
    /// The key does not stand among the payload's recipients, or the copy here has nothing for it.
    #[error("recipient not found in listed keys: {0}")]
    NotARecipient(PublicKey),
    /// A rule of private contracts forbids it.
    #[error("{0}")]
    Violation(String),
    /// The recipient's manager does not answer.
    #[error("recipient {recipient} cannot be reached: {reason}")]
    Unreachable {
        /// Whose manager it is.
        recipient: PublicKey,
        /// What happened.
        reason: String,
    },
    /// The recipient's manager answered, and refused.
    #[error("recipient {recipient} refused the payload: {reason}")]
    Refused {
        /// Whose manager it is.
        recipient: PublicKey,
        /// What it answered.
        reason: String,
    },
    /// Something is larger than this manager takes.
    #[error("{what} of {size} is above the limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// Its size.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The payload was erased here, and is not taken again.
    #[error("the payload {0} was erased here for good")]
    Erased(PayloadHash),
    /// The payload is here, and none of this manager's keys opens it.
    #[error("No suitable recipient keys found to decrypt payload for : {0}")]
    NoKey(PayloadHash),
    /// The store of payloads failed, or holds what cannot be.
    #[error("the payload store: {0}")]
    Store(String),
    /// Nobody can say now. Ask again.
    #[error("{0}")]
    Unavailable(String),
    /// A remote manager answered with this.
    #[error("{status} status: {body}")]
    Remote {
        /// HTTP status.
        status: u16,
        /// Its text.
        body: String,
    },
}

impl PtmError {
    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::Violation(_) | Self::Erased(_) => 403,
            Self::NotFound(_) | Self::UnknownRecipient(_) | Self::UnknownSender(_) => 404,
            Self::Unreachable { .. } => 410,
            Self::TooLarge { .. } => 413,
            Self::NotARecipient(_) | Self::Refused { .. } | Self::NoKey(_) | Self::Store(_) => 500,
            Self::Unavailable(_) => 503,
            Self::Remote { status, .. } => *status,
        }
    }
}
