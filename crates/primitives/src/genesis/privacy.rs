//! The object `privacy`, the same in all shapes.
//!
//! ```json
//! { "transactions": true, "enhancements": true, "markers": "anySigner", "parties": "0x…" }
//! ```
//!
//! Names are written exactly, whatever the shape around. What is left out stays as it was before, in block 0 switched
//! off; `null` takes the markers or the contract away.

use super::GenesisError;
use super::fields::{Fields, Names};
use super::json::Json;
use super::permissions::{Null, take_contract};
use crate::spec::{MarkerRule, Privacy};
use crate::transaction::PRIVATE_MARK;
use alloy_primitives::Address;

/// What one object says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patch {
    transactions: Option<bool>,
    enhancements: Option<bool>,
    /// The inner `None` takes the rule away.
    markers: Option<Option<MarkerRule>>,
    parties: Option<Option<Address>>,
}

impl Patch {
    /// The rules with this laid over them.
    pub(super) fn over(&self, base: Privacy) -> Privacy {
        Privacy {
            transactions: self.transactions.unwrap_or(base.transactions),
            enhancements: self.enhancements.unwrap_or(base.enhancements),
            markers: self.markers.unwrap_or(base.markers),
            parties: self.parties.unwrap_or(base.parties),
        }
    }
}

/// Takes the field `privacy`.
pub(super) fn take(parent: &mut Fields<'_>, null: Null) -> Result<Option<Patch>, GenesisError> {
    let path = parent.path_of("privacy");
    let Some(value) = parent.take("privacy") else { return Ok(None) };
    let mut fields = Fields::new(&path, value, Names::Exact)?;
    let patch = Patch {
        transactions: fields.bool("transactions")?,
        enhancements: fields.bool("enhancements")?,
        markers: take_markers(&mut fields)?,
        parties: take_contract(&mut fields, "parties", null)?,
    };
    fields.finish()?;
    Ok(Some(patch))
}

fn take_markers(fields: &mut Fields<'_>) -> Result<Option<Option<MarkerRule>>, GenesisError> {
    let name = match fields.take("markers") {
        None => return Ok(None),
        Some(Json::Null) => return Ok(Some(None)),
        Some(Json::Text(name)) => name,
        Some(other) => return Err(fields.error("markers", format!("{}, not {}", known(), other.kind()))),
    };
    match MarkerRule::from_name(name) {
        Some(rule) => Ok(Some(Some(rule))),
        None => Err(fields.error("markers", format!("{}, not {name}", known()))),
    }
}

fn known() -> String {
    let names = MarkerRule::ALL.map(MarkerRule::name);
    format!("{} or null is expected", names.join(", "))
}

/// Whether the rules of all heights make sense on the chain with this id.
pub(super) fn check(chain_id: u64, list: &[(u64, Privacy)]) -> Result<(), GenesisError> {
    for (from, privacy) in list {
        let Privacy { transactions, enhancements, markers, parties } = *privacy;
        let refused = |field: &str, reason: &str| {
            Err(GenesisError::new(format!("privacy.{field}"), format!("from block {from} on: {reason}")))
        };
        if transactions && chain_id == PRIVATE_MARK {
            let reason =
                "on the chain with id 1 nothing is private: v 37 and 38 mean that id there (EIP-155)";
            return refused("transactions", reason);
        }
        let needed = "it needs private transactions (transactions: true)";
        match (transactions, enhancements, markers, parties) {
            (false, true, ..) => return refused("enhancements", needed),
            (false, _, Some(_), _) => return refused("markers", needed),
            (false, .., Some(_)) => return refused("parties", needed),
            _ => {}
        }
    }
    Ok(())
}
