//! Reading the fields of a JSON object: every field is asked for by name, and whatever nobody asked for is an
//! error that names its path.

use super::GenesisError;
use super::json::Json;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Whether names must be written exactly, and what a repeated name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// lonja's own shape: exact names; a repeated name is an error.
    Exact,
    /// GoQuorum and Besu: any letter case; a repeated name must say the same again ([`find_repeated`]).
    AnyCase,
}

/// An object whose fields are being read.
pub(super) struct Fields<'a> {
    path: String,
    names: Names,
    entries: &'a [(String, Json)],
    taken: Vec<bool>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(path: &str, value: &'a Json, names: Names) -> Result<Self, GenesisError> {
        let Json::Object(entries) = value else {
            let path = if path.is_empty() { "file" } else { path };
            return Err(GenesisError::new(path, format!("an object is expected, this is {}", value.kind())));
        };
        let fields = Self { path: path.to_owned(), names, entries, taken: vec![false; entries.len()] };
        if names == Names::Exact {
            let mut seen = BTreeSet::new();
            if let Some((name, _)) = entries.iter().find(|(name, _)| !seen.insert(name)) {
                return Err(fields.error(name, "the field is written twice"));
            }
        }
        Ok(fields)
    }

    /// The path of a field of this object.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn error(&self, name: &str, reason: impl Into<String>) -> GenesisError {
        GenesisError::new(self.path_of(name), reason)
    }

    /// Whether the field is there, without taking it. A foreign `null` counts as absent, as its clients have
    /// it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(have, value)| self.is(have, name) && !self.is_absent(value))
    }

    fn is(&self, have: &str, name: &str) -> bool {
        match self.names {
            Names::Exact => have == name,
            Names::AnyCase => have.eq_ignore_ascii_case(name),
        }
    }

    fn is_absent(&self, value: &Json) -> bool {
        self.names == Names::AnyCase && *value == Json::Null
    }

    /// Takes a field.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Json> {
        let mut found = None;
        for (index, (have, value)) in self.entries.iter().enumerate() {
            if self.is(have, name) {
                self.taken[index] = true;
                found = found.or((!self.is_absent(value)).then_some(value));
            }
        }
        found
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, GenesisError> {
        let (path, names) = (self.path_of(name), self.names);
        self.take(name).map(|value| Fields::new(&path, value, names)).transpose()
    }

    /// Takes a list, with the path of each item.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<(String, &'a Json)>>, GenesisError> {
        let path = self.path_of(name);
        match self.take(name) {
            None => Ok(None),
            Some(Json::List(items)) => {
                let with_path = |(index, item)| (format!("{path}[{index}]"), item);
                Ok(Some(items.iter().enumerate().map(with_path).collect()))
            }
            Some(other) => Err(GenesisError::new(path, format!("a list is expected, not {}", other.kind()))),
        }
    }

    /// Takes a list of objects.
    pub(super) fn objects(&mut self, name: &str) -> Result<Option<Vec<Fields<'a>>>, GenesisError> {
        let names = self.names;
        let Some(items) = self.list(name)? else { return Ok(None) };
        items
            .into_iter()
            .map(|(path, item)| Fields::new(&path, item, names))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Takes a list of addresses.
    pub(super) fn addresses(&mut self, name: &str) -> Result<Option<Vec<Address>>, GenesisError> {
        let Some(items) = self.list(name)? else { return Ok(None) };
        items.into_iter().map(|(path, item)| address(&path, item)).collect::<Result<_, _>>().map(Some)
    }

    /// Takes an unsigned number of 64 bits.
    pub(super) fn u64(&mut self, name: &str) -> Result<Option<u64>, GenesisError> {
        let Some(wide) = self.quantity(name)? else { return Ok(None) };
        u64::try_from(wide).map(Some).map_err(|_| self.error(name, "the number is larger than 64 bits"))
    }

    /// Takes a number: a JSON number, or a string of decimal digits or of hex digits behind `0x`.
    pub(super) fn quantity(&mut self, name: &str) -> Result<Option<U256>, GenesisError> {
        let path = self.path_of(name);
        self.take(name).map(|value| quantity(&path, value)).transpose()
    }

    pub(super) fn bool(&mut self, name: &str) -> Result<Option<bool>, GenesisError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.error(name, format!("true or false is expected, not {}", other.kind()))),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<&'a str>, GenesisError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(value)) => Ok(Some(value)),
            Some(other) => Err(self.error(name, format!("a string is expected, not {}", other.kind()))),
        }
    }

    pub(super) fn address(&mut self, name: &str) -> Result<Option<Address>, GenesisError> {
        let path = self.path_of(name);
        self.take(name).map(|value| address(&path, value)).transpose()
    }

    /// Takes 32 bytes.
    pub(super) fn hash(&mut self, name: &str) -> Result<Option<B256>, GenesisError> {
        let Some(raw) = self.bytes(name)? else { return Ok(None) };
        let wrong = |_| self.error(name, format!("32 bytes are expected, not {}", raw.len()));
        B256::try_from(raw.as_ref()).map(Some).map_err(wrong)
    }

    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Bytes>, GenesisError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) else {
            return Err(self.error(name, "bytes are written as 0x and an even number of hex digits"));
        };
        hex::decode(digits).map(|raw| Some(raw.into())).map_err(|error| self.error(name, error.to_string()))
    }

    /// Every field, all taken: for objects whose names are data.
    pub(super) fn take_all(&mut self) -> &'a [(String, Json)] {
        self.taken.fill(true);
        self.entries
    }

    /// Names of the fields that nobody has asked for.
    pub(super) fn untaken(&self) -> Vec<&'a str> {
        let left = self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken);
        left.map(|((name, _), _)| name.as_str()).collect()
    }

    /// Refuses fields that nobody has asked for.
    pub(super) fn finish(self) -> Result<(), GenesisError> {
        match self.untaken().first() {
            None => Ok(()),
            Some(name) => Err(self.error(name, "the field is not known")),
        }
    }

    /// As [`Fields::finish`], but fields of this list only give a warning. `why` says why they may be
    /// ignored.
    pub(super) fn finish_ignoring(
        mut self,
        ignored: &[&str],
        why: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), GenesisError> {
        for name in ignored {
            if self.has(name) {
                warnings.push(format!("{} is ignored: {why}", self.path_of(name)));
            }
            self.take(name);
        }
        self.finish()
    }
}

/// Looks for names that an object of a foreign file has twice, in whatever letter case. The clients do not
/// agree on which of them counts: with different values it is an error, with the same value a warning.
pub(super) fn find_repeated(
    path: &str,
    value: &Json,
    warnings: &mut Vec<String>,
) -> Result<(), GenesisError> {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Json::Object(entries) => {
            let mut first: BTreeMap<String, &(String, Json)> = BTreeMap::new();
            for entry in entries.iter().filter(|(_, value)| *value != Json::Null) {
                let (name, value) = entry;
                match first.insert(name.to_ascii_lowercase(), entry) {
                    Some((earlier, same)) if same == value => {
                        let path = inner(name);
                        warnings
                            .push(format!("{path} is written twice, as {earlier} too, with the same value"));
                    }
                    Some((earlier, _)) => {
                        let reason = format!("the field is written twice, as {earlier} too, and they differ");
                        return Err(GenesisError::new(inner(name), reason));
                    }
                    None => find_repeated(&inner(name), value, warnings)?,
                }
            }
        }
        Json::List(items) => {
            for (index, item) in items.iter().enumerate() {
                find_repeated(&format!("{path}[{index}]"), item, warnings)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// 40 hex digits, with or without `0x`.
pub(super) fn address(path: &str, value: &Json) -> Result<Address, GenesisError> {
    let wrong = || GenesisError::new(path, "an address of 40 hex digits is expected");
    let Json::Text(text) = value else { return Err(wrong()) };
    parse_address(text).ok_or_else(wrong)
}

pub(super) fn parse_address(text: &str) -> Option<Address> {
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    let raw: [u8; 20] = hex::decode_to_array(digits).ok().filter(|_| digits.len() == 40)?;
    Some(raw.into())
}

pub(super) fn quantity(path: &str, value: &Json) -> Result<U256, GenesisError> {
    let wrong =
        || GenesisError::new(path, "a number is expected: digits, or 0x and hex digits, up to 256 bits");
    match value {
        Json::Number(number) => Ok(U256::from(*number)),
        Json::OddNumber(reason) => Err(GenesisError::new(path, *reason)),
        Json::Text(text) => parse_quantity(text).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn parse_quantity(text: &str) -> Option<U256> {
    match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some("") => Some(U256::ZERO),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            U256::from_str_radix(digits, 16).ok()
        }
        None if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => U256::from_str(text).ok(),
        _ => None,
    }
}
