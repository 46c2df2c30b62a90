//! Which payloads with privacy modes may be sent, and which are taken in. Both ends check: a party that was never told of a
//! protected contract must not be able to send to it, and a participant must not be able to change who takes part.

use crate::{
    AffectedTransaction, EncodedPayload, Keyring, Metadata, PayloadHash, PrivacyMode, PtmError, PublicKey,
};
use std::collections::HashSet;
use std::fmt;

/// What is known here of an affected transaction: its name and its envelope.
pub(crate) type Known = (PayloadHash, EncodedPayload);

/// Why a payload is dropped while its sender is told that it was taken. That is what the other kind of manager does, and
/// senders rely on it: a refusal would tell them what this party has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// An affected contract is protected in another way.
    OtherMode(PayloadHash),
    /// An affected contract has mandatory recipients that this payload does not have.
    MandatoryMissing(PayloadHash),
    /// States are validated, and this party does not have an affected contract.
    NotHere(PayloadHash),
    /// States are validated, and the sender is no party of an affected contract.
    SenderNoParty(PayloadHash),
}

impl Dropped {
    /// For a label of metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OtherMode(_) => "other_mode",
            Self::MandatoryMissing(_) => "mandatory_missing",
            Self::NotHere(_) => "affected_not_here",
            Self::SenderNoParty(_) => "sender_no_party",
        }
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherMode(hash) => write!(f, "the affected transaction {hash} has another privacy flag"),
            Self::MandatoryMissing(hash) => {
                write!(f, "the affected transaction {hash} has mandatory recipients that are missing here")
            }
            Self::NotHere(hash) => write!(f, "the affected transaction {hash} is not here"),
            Self::SenderNoParty(hash) => {
                write!(f, "the sender is no party of the affected transaction {hash}")
            }
        }
    }
}

/// What is to be done with a payload that came in.
#[derive(Debug)]
pub(crate) enum Received {
    /// Keep it, in this form.
    Keep(EncodedPayload),
    /// Drop it without a word.
    Dropped(Dropped),
}

fn violation<T>(text: String) -> Result<T, PtmError> {
    Err(PtmError::Violation(text))
}

fn enabled(enhancements: bool, mode: PrivacyMode) -> Result<(), PtmError> {
    match enhancements || mode == PrivacyMode::Standard {
        true => Ok(()),
        false => violation("Enhanced Privacy is not enabled".into()),
    }
}

fn set(keys: &[PublicKey]) -> HashSet<PublicKey> {
    keys.iter().copied().collect()
}

fn covers(mandatory: &[PublicKey], affected: &EncodedPayload) -> bool {
    let mandatory = set(mandatory);
    affected.mandatory.iter().all(|key| mandatory.contains(key))
}

/// Whether a payload may be sent. `recipients`: all of them, the sender too. `known`: those of the affected transactions
/// that are here.
///
/// # Errors
/// [`PtmError::Violation`] with the first rule that is broken.
pub(crate) fn check_send(
    enhancements: bool,
    recipients: &[PublicKey],
    metadata: &Metadata,
    known: &[Known],
) -> Result<(), PtmError> {
    enabled(enhancements, metadata.mode)?;
    let recipients = set(recipients);
    let find = |hash: &PayloadHash| known.iter().find(|(known, _)| known == hash).map(|(_, found)| found);
    if let Some(unknown) = metadata.affected.iter().find(|hash| find(hash).is_none()) {
        return violation(format!("Unable to find affectedContractTransaction {unknown}"));
    }
    if let Some(missing) = metadata.mandatory.iter().find(|key| !recipients.contains(key)) {
        return violation(format!(
            "One or more mandatory recipients not included in the participant list: {missing}"
        ));
    }
    for hash in &metadata.affected {
        let Some(affected) = find(hash) else { continue };
        if metadata.mode == PrivacyMode::StateValidation && recipients != set(&affected.recipients) {
            return violation(format!("Recipients mismatched for Affected Txn {hash}"));
        }
        if metadata.mode != affected.mode || !covers(&metadata.mandatory, affected) {
            return violation(format!("Privacy metadata mismatched with Affected Txn {hash}"));
        }
    }
    Ok(())
}

/// What is to be done with an envelope that came in. `known`: those of its affected transactions that are here.
///
/// # Errors
/// [`PtmError::Violation`] where the sender is told.
pub(crate) fn check_receive(
    enhancements: bool,
    keyring: &Keyring,
    envelope: EncodedPayload,
    known: &[Known],
) -> Result<Received, PtmError> {
    enabled(enhancements, envelope.mode)?;
    for (hash, affected) in known {
        if affected.mode != envelope.mode {
            return Ok(Received::Dropped(Dropped::OtherMode(*hash)));
        }
        if !covers(&envelope.mandatory, affected) {
            return Ok(Received::Dropped(Dropped::MandatoryMissing(*hash)));
        }
    }
    if envelope.mode == PrivacyMode::StateValidation
        && let Some(dropped) = check_validated(&envelope, known)?
    {
        return Ok(Received::Dropped(dropped));
    }
    keep_proven(keyring, envelope, known)
}

/// What holds only where states are validated: everybody takes part in everything.
fn check_validated(envelope: &EncodedPayload, known: &[Known]) -> Result<Option<Dropped>, PtmError> {
    let here = |hash: &PayloadHash| known.iter().any(|(known, _)| known == hash);
    if let Some((missing, _)) = envelope.affected.iter().find(|(hash, _)| !here(hash)) {
        return Ok(Some(Dropped::NotHere(*missing)));
    }
    for (hash, affected) in known {
        if !affected.recipients.contains(&envelope.sender) {
            return Ok(Some(Dropped::SenderNoParty(*hash)));
        }
    }
    let recipients = set(&envelope.recipients);
    for (hash, affected) in known {
        if recipients != set(&affected.recipients) {
            return violation(format!("Recipients mismatched for Affected Txn {hash}"));
        }
    }
    Ok(None)
}

/// Affected transactions that the sender does not show to have are taken off the envelope: this party vouches for none of
/// them when it executes. Where states are validated nothing may be missing.
fn keep_proven(
    keyring: &Keyring,
    mut envelope: EncodedPayload,
    known: &[Known],
) -> Result<Received, PtmError> {
    if envelope.affected.is_empty() {
        return Ok(Received::Keep(envelope));
    }
    let open = |(_, affected): &Known| AffectedTransaction::open(keyring, affected).ok();
    let opened: Vec<_> = known.iter().filter_map(open).collect();
    let unproven: HashSet<_> = envelope.unproven(&opened).into_iter().collect();
    if envelope.mode == PrivacyMode::StateValidation
        && let Some(hash) = unproven.iter().min()
    {
        return violation(format!("Invalid security hashes identified for affected transaction {hash}"));
    }
    envelope.affected.retain(|(hash, _)| !unproven.contains(hash));
    Ok(Received::Keep(envelope))
}

#[cfg(test)]
mod tests;
