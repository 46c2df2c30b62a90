//! Where the second pass stands, for those who only look.

use super::Waiting;
use lonja_primitives::PayloadHash;
use lonja_storage::Head;
use std::time::SystemTime;

/// Where the private state stands, and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateStatus {
    /// The block after which it is known. May be below the public head, and may go back when a payload comes late.
    pub head: Head,
    /// Why it does not go on; `None` where it does, or is at the public head.
    pub waiting: Option<PrivateWait>,
}

/// Why the private state does not go on, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateWait {
    /// The block that is not executed.
    pub number: u64,
    /// The payload that it waits for; `None` where something else is missing.
    pub payload: Option<PayloadHash>,
    /// What is wrong, in words.
    pub reason: String,
    /// Since when it waits for this.
    pub since: SystemTime,
}

impl PrivateStatus {
    /// Going on, or done, at this block.
    pub fn at(head: Head) -> Self {
        Self { head, waiting: None }
    }
}

impl PrivateWait {
    /// For a payload, since it was asked for.
    pub fn since(asked: SystemTime, waiting: Waiting) -> Self {
        let Waiting { number, payload, reason } = waiting;
        Self { number, payload: Some(payload), reason, since: asked }
    }
}
