//! The options of `debug_trace*`.

use crate::error::RpcError;
use crate::methods::eth::{BlockOverrideArgs, StateOverrideArgs};
use crate::params::Args;
use lonja_evm::{Overrides, Tracing};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;

/// As the client gave them.
pub(super) struct TraceOptions {
    given: Map<String, Value>,
    /// Their place among the parameters.
    index: usize,
}

impl TraceOptions {
    pub(super) fn read(args: &Args<'_>, index: usize) -> Result<Self, RpcError> {
        let options = Self { given: args.optional(index, "options")?.unwrap_or_default(), index };
        // They would make another execution of it than the one that is asked for.
        for name in ["overrides", "txIndex"] {
            if options.given.get(name).is_some_and(|value| !value.is_null()) {
                return Err(options.wrong(format!("{name} is not offered here")));
            }
        }
        Ok(options)
    }

    /// What is asked for.
    pub(super) fn tracing(&self, bytes_max: usize) -> Result<Tracing, RpcError> {
        Tracing::new(&self.given, bytes_max).map_err(|reason| self.wrong(reason))
    }

    /// For how long it may be looked for.
    pub(super) fn time(&self) -> Result<Option<Duration>, RpcError> {
        let Some(text) = self.part::<String>("timeout")? else { return Ok(None) };
        match duration(&text) {
            Some(time) => Ok(Some(time)),
            None => Err(self.wrong("timeout: a duration like \"5s\" or \"300ms\" is expected".to_owned())),
        }
    }

    /// What a message shall see different.
    pub(super) fn overrides(&self) -> Result<Overrides, RpcError> {
        let state = self.part::<StateOverrideArgs>("stateOverrides")?.unwrap_or_default();
        let block = self.part::<BlockOverrideArgs>("blockOverrides")?.unwrap_or_default();
        Ok(Overrides { state: state.into_overrides(), block: block.into_overrides()? })
    }

    fn part<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RpcError> {
        let Some(value) = self.given.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
        T::deserialize(value).map(Some).map_err(|error| self.wrong(format!("{name}: {error}")))
    }

    fn wrong(&self, reason: String) -> RpcError {
        RpcError::InvalidArgument { index: self.index, name: "options", reason }
    }
}

/// A duration as Go writes it: numbers with units, one after the other.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit = behind.find(|character: char| character.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        let time = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(time)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, millis) in
            [("5s", 5_000), ("300ms", 300), ("1m30s", 90_000), ("1.5s", 1_500), ("2h", 7_200_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-1s", "1.2.3s", "5parsecs", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
