//! With whom a private transaction is shared, and how the contracts that it makes are protected.

use crate::context::Context;
use crate::error::RpcError;
use crate::methods::accounts::request::PrivateFields;
use lonja_primitives::spec::Privacy;
use lonja_ptm::{PrivacyMode, PublicKey};

/// The fields of a private transaction, read and in agreement with each other and with the network's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The manager's default key where it is `None`.
    pub(crate) from: Option<PublicKey>,
    /// Whoever receives besides the sender.
    pub(crate) to: Vec<PublicKey>,
    pub(crate) mode: PrivacyMode,
    pub(crate) mandatory: Vec<PublicKey>,
}

impl Terms {
    /// Checks in GoQuorum's order and words.
    pub(crate) fn read(context: &Context, fields: &PrivateFields) -> Result<Self, RpcError> {
        let Some(to) = &fields.private_for else { return Err(not_private()) };
        let next = context.head().number.saturating_add(1);
        let rules = context.node.spec.privacy_at(next);
        let mandatory = fields.mandatory_for.as_deref().unwrap_or_default();
        let mode = mode(fields.privacy_flag.map_or(0, |flag| flag.0), rules, mandatory)?;
        if !rules.transactions {
            return Err(RpcError::Refused("private transactions are not enabled on this network".to_owned()));
        }
        Ok(Self {
            from: fields.private_from.as_deref().filter(|key| !key.is_empty()).map(from_text).transpose()?,
            to: keys("privateFor", to)?,
            mode,
            mandatory: keys("mandatoryFor", mandatory)?,
        })
    }
}

/// GoQuorum's words to whoever sends a public transaction by a way for private ones.
pub(super) fn not_private() -> RpcError {
    RpcError::Refused("transaction is not private".to_owned())
}

fn mode(flag: u64, rules: &Privacy, mandatory: &[String]) -> Result<PrivacyMode, RpcError> {
    let refuse = |text: &str| Err(RpcError::Refused(text.to_owned()));
    let Some(mode) = PrivacyMode::from_flag(flag) else { return refuse("invalid privacy flag") };
    if mode != PrivacyMode::Standard && !rules.enhancements {
        return refuse(
            "PrivacyEnhancements are disabled. Can only accept transactions with PrivacyFlag=0(StandardPrivate).",
        );
    }
    match (mode == PrivacyMode::MandatoryRecipients, mandatory.is_empty()) {
        (true, true) => refuse(
            "missing mandatory recipients data. if no mandatory recipients required consider using \
             PrivacyFlag=1(PartyProtection)",
        ),
        (false, false) => refuse(
            "privacy metadata invalid. mandatory recipients are only applicable for \
             PrivacyFlag=2(MandatoryRecipients)",
        ),
        _ => Ok(mode),
    }
}

fn from_text(text: &str) -> Result<PublicKey, RpcError> {
    key("privateFrom", text)
}

fn keys(field: &str, texts: &[String]) -> Result<Vec<PublicKey>, RpcError> {
    texts.iter().map(|text| key(field, text)).collect()
}

fn key(field: &str, text: &str) -> Result<PublicKey, RpcError> {
    text.parse().map_err(|error| {
        let cut: String = text.chars().take(80).collect();
        RpcError::InvalidParams(format!("{field}: {cut:?}: {error}"))
    })
}
