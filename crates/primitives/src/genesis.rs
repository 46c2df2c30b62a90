//! The genesis file: lonja's own shape, GoQuorum's and Besu's.
//!
//! Which shape a file has follows from its content:
//!
//! * a top-level field `lonja` (the version of the shape, 1): lonja's own, described at [`own`];
//! * in `config` one of `isQuorum`, `txnSizeLimit`, `maxCodeSizeConfig`, `istanbul`, `ibft`, `qip714Block`,
//!   `enableGasPriceBlock`, `privacyEnhancementsBlock`, `privacyPrecompileBlock`, `isMPS`, or a list
//!   `transitions`: GoQuorum's, described at [`goquorum`];
//! * any other file with `config`: Besu's, described at [`besu`].
//!
//! An error in a file of the latter two says which shape was assumed, and why.
//!
//! In each shape contracts may decide who connects, transacts and validates, and private transactions may be
//! switched on; see `permissions` and `privacy` at [`own`].
//!
//! Every field is either understood, or known to be without meaning for lonja (a warning), or refused with
//! its path. Nothing is dropped in silence.

use crate::{ChainSpec, ExtraData, SealedHeader, StateChanges};
use alloy_primitives::{Address, B256, Bytes, U256};
use fields::{Fields, Names, find_repeated};
use header::HeaderFields;
use json::Json;
use std::collections::BTreeMap;
use thiserror::Error;

mod alloc;
pub mod besu;
mod builder;
mod explain;
mod fields;
mod foreign;
pub mod goquorum;
mod header;
mod json;
pub mod own;
mod permissions;
mod privacy;
#[cfg(test)]
mod tests;

pub use builder::NewNetwork;

/// A genesis file, read and checked.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// The rules of the network.
    pub spec: ChainSpec,
    /// Block 0; its hash names the network.
    pub header: SealedHeader,
    /// Accounts at block 0.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// Things worth telling the operator (ignored foreign fields, small validator sets).
    pub warnings: Vec<String>,
}

/// An account of the genesis file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Code.
    pub code: Bytes,
    /// Storage; zero values are left out.
    pub storage: BTreeMap<U256, U256>,
}

/// Why a genesis file is refused; names the field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("genesis: {field}: {reason}")]
pub struct GenesisError {
    /// Path of the field, for example `config.qbft.blockperiodseconds`.
    pub field: String,
    /// What is wrong and what is expected.
    pub reason: String,
}

impl GenesisError {
    fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// What the reader of a shape hands over; the rest is the same for all shapes.
struct Draft {
    spec: ChainSpec,
    header: HeaderFields,
    alloc: BTreeMap<Address, GenesisAccount>,
    warnings: Vec<String>,
}

impl Genesis {
    /// Reads a genesis file of any of the three shapes.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        let root = Json::parse(text)?;
        if has_own_mark(&root) {
            return own::read(Fields::new("", &root, Names::Exact)?)?.finish();
        }
        let fields = Fields::new("", &root, Names::AnyCase)?;
        if !fields.has("config") {
            return Err(no_shape(&fields));
        }
        let mark = goquorum::mark_of(&root);
        let read = match mark {
            Some(_) => goquorum::read,
            None => besu::read,
        };
        let mut warnings = Vec::new();
        find_repeated("", &root, &mut warnings)
            .and_then(|()| read(fields, warnings))
            .and_then(Draft::finish)
            .map_err(|error| assuming(mark.as_deref(), error))
    }

    /// The state of block 0 as a delta on the empty state.
    pub fn state_changes(&self) -> StateChanges {
        alloc::state_changes(&self.alloc)
    }

    /// Root of the state of block 0.
    pub fn state_root(&self) -> B256 {
        self.header.state_root
    }

    /// The hash of block 0, which names the network.
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Whether nobody is named who may seal block 1, because a contract chooses the validators from the beginning and
    /// the file leaves the first ones to it too, as files of Besu and GoQuorum do. Then `getValidators()` on the state
    /// of block 0 tells them, and [`Genesis::set_first_validators`] takes them.
    pub fn needs_first_validators(&self) -> bool {
        let params = self.spec.consensus_at(0);
        let open = params.validators.is_none() && params.validator_contract.is_some();
        let listed = || ExtraData::decode(&self.header.extra_data, params.format);
        open && listed().is_ok_and(|extra| extra.validators.is_empty())
    }

    /// Names the validators of block 1, in any order, where [`Genesis::needs_first_validators`]. They become part of
    /// the rules' identity, so that this must come before anything that asks for it.
    ///
    /// # Errors
    /// The list is no set of validators, or the file names them itself.
    pub fn set_first_validators(&mut self, mut validators: Vec<Address>) -> Result<(), GenesisError> {
        let field = "validators of block 1";
        if !self.needs_first_validators() {
            return Err(GenesisError::new(field, "the genesis file names them"));
        }
        header::check_validators(field, &validators, &mut self.warnings)?;
        validators.sort_unstable();
        match self.spec.consensus.first_mut() {
            Some((0, params)) => params.validators = Some(validators),
            _ => return Err(GenesisError::new(field, "no consensus is given for block 0")),
        }
        Ok(())
    }

    /// Every rule that holds and from which block, as text for a person.
    pub fn explain(&self) -> String {
        explain::explain(self)
    }
}

fn has_own_mark(root: &Json) -> bool {
    matches!(root, Json::Object(entries) if entries.iter().any(|(name, _)| name == "lonja"))
}

/// Fields that stand at top level in lonja's own shape only.
const OWN_FIELDS: [&str; 8] =
    ["chainId", "freeGas", "fork", "forks", "consensus", "limits", "permissions", "privacy"];

/// For a file that has the mark of no shape.
fn no_shape(fields: &Fields<'_>) -> GenesisError {
    match OWN_FIELDS.into_iter().find(|name| fields.has(name)) {
        Some(name) => {
            let version = own::SHAPE_VERSION;
            let reason = format!(
                "it must be given, \"lonja\": {version}, beside {name}, a field of lonja's own shape"
            );
            GenesisError::new("lonja", reason)
        }
        None => GenesisError::new(
            "config",
            "it must be given; a file of lonja's own shape has the field lonja, one of GoQuorum or Besu has config",
        ),
    }
}

/// Adds which foreign shape was assumed: a field of another one, or one too many, looks like a mistake in it.
fn assuming(mark: Option<&str>, error: GenesisError) -> GenesisError {
    let GenesisError { field, reason } = error;
    let shape = match mark {
        Some(mark) => format!("the file is read as GoQuorum's because of {mark}"),
        None => {
            "the file is read as Besu's: it has neither lonja nor a field of GoQuorum's in config".to_owned()
        }
    };
    GenesisError { field, reason: format!("{reason} ({shape})") }
}

impl Draft {
    fn finish(self) -> Result<Genesis, GenesisError> {
        let Self { spec, header, alloc, mut warnings } = self;
        privacy::check(spec.chain_id, &spec.privacy)?;
        permissions::warn_of_missing(&spec, &alloc, &mut warnings);
        let state_root = alloc::state_root(&alloc);
        let header = header.seal(state_root, &spec, &mut warnings)?;
        Ok(Genesis { spec, header, alloc, warnings })
    }
}
