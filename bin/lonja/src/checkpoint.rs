//! `--checkpoint HEIGHT:HASH`, and how a node comes to its first state.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How an empty node comes to the newest state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// Executes every block.
    #[default]
    Full,
    /// Fetches the state after a recent block, with proofs, and executes from there.
    Snapshot,
}

/// A block whose hash the operator vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .and_then(|(number, hash)| Some(Self { number: number.parse().ok()?, hash: hash.parse().ok()? }));
        match parts {
            Some(Self { number: 0, .. }) => Err("block 0 is the genesis file's: name a later block".into()),
            Some(checkpoint) => Ok(checkpoint),
            None => Err(format!("`{text}` is not HEIGHT:HASH, as in 120000:0x8f…")),
        }
    }
}

impl Serialize for Checkpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_read_and_refuse() {
        let text = format!("120000:{}", B256::repeat_byte(7));
        let checkpoint: Checkpoint = text.parse().unwrap();
        assert_eq!((checkpoint.number, checkpoint.hash), (120_000, B256::repeat_byte(7)));
        assert_eq!(checkpoint.to_string(), text);
        for bad in ["", "5", "5:", "x:0x07", "5:0x07", &text.replace("120000", "0"), &text.replace(':', "=")]
        {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad}");
        }
    }
}
