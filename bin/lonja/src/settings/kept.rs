//! The option `history`, as text in every place and as a plain number in the file.

use lonja_storage::History;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The states of which past blocks are kept: `archive`, or a number of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept(pub History);

impl FromStr for Kept {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            History::Last(blocks) => serializer.serialize_u64(blocks),
            History::Archive => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrNumber)
    }
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = Kept;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`archive` or a number of blocks")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Kept, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Kept, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Kept, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct File {
        history: Kept,
    }

    #[test]
    fn words_and_numbers_in_a_file() {
        let read = |text: &str| toml::from_str::<File>(text).map(|file| file.history.0);
        assert_eq!(read("history = \"archive\""), Ok(History::Archive));
        assert_eq!(read("history = 1000"), Ok(History::Last(1_000)));
        assert_eq!(read("history = \"1000\""), Ok(History::Last(1_000)));
        assert!(read("history = 5").unwrap_err().to_string().contains("128 at least"));
        assert!(read("history = true").unwrap_err().to_string().contains("`archive` or a number"));
        for history in [History::Archive, History::Last(500)] {
            let text = toml::to_string(&File { history: Kept(history) }).unwrap();
            assert_eq!(read(&text), Ok(history));
        }
    }
}
