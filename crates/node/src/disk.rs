//! Watches the room on the disk: a validator whose disk fills up must stop voting before a write fails.

use crate::event::Room;

/// How much free space (bytes) is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskLimits {
    /// Below this the node stops voting.
    pub voting_bytes: u64,
    /// Below this it writes no block any more; reads are served.
    pub writing_bytes: u64,
}

impl Default for DiskLimits {
    /// 1 GiB to vote, 256 MiB to write: RocksDB needs room for compaction, and an operator time to react.
    fn default() -> Self {
        Self { voting_bytes: 1 << 30, writing_bytes: 256 << 20 }
    }
}

impl DiskLimits {
    /// What `free` bytes still allow.
    pub fn judge(&self, free: u64) -> Room {
        if free < self.writing_bytes {
            Room::ReadOnly
        } else if free < self.voting_bytes {
            Room::NoVoting
        } else {
            Room::Enough
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_room_allows_less() {
        let limits = DiskLimits { voting_bytes: 100, writing_bytes: 10 };
        assert_eq!(limits.judge(100), Room::Enough);
        assert_eq!(limits.judge(99), Room::NoVoting);
        assert_eq!(limits.judge(9), Room::ReadOnly);
    }
}
