//! Messages whose signatures are checked. They are made by checking, or by signing ourselves, and in no other
//! way.

use super::codec::Payload;
use super::{
    Commit, ConsensusMessage, MessageError, Prepare, Proposal, ProposalMessage, RoundChange,
    RoundChangeMessage, Signed, View,
};
use alloy_primitives::{Address, Bytes};
use lonja_primitives::{Block, Signer};
use std::ops::Deref;

/// A signed payload whose signer is known. Reads like the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T> {
    signed: Signed<T>,
    author: Address,
}

/// PROPOSAL with every signature in it checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedProposal {
    /// The proposal.
    pub proposal: Verified<Proposal>,
    /// A quorum asked for the round; empty in round 0.
    pub round_changes: Vec<Verified<RoundChange>>,
    /// The block was prepared in the highest round that any of them claims.
    pub prepares: Vec<Verified<Prepare>>,
}

/// ROUND-CHANGE with every signature in it checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRoundChange {
    /// The request.
    pub round_change: Verified<RoundChange>,
    /// The block claimed to be prepared, with the round field of that round.
    pub block: Option<Block>,
    /// A quorum prepared it.
    pub prepares: Vec<Verified<Prepare>>,
}

/// A message whose sender, and the sender of every message inside it, are known. Whether they are validators,
/// and whether what they say is justified, is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum VerifiedMessage {
    Proposal(Box<VerifiedProposal>),
    Prepare(Verified<Prepare>),
    Commit(Verified<Commit>),
    RoundChange(Box<VerifiedRoundChange>),
}

impl<T: Payload> Signed<T> {
    /// Recovers the signer. A high `s` and a `v` above 1 are refused, so that nobody can make a second copy of
    /// a message with other bytes.
    pub fn verify(self) -> Result<Verified<T>, MessageError> {
        let digest = self.payload.signing_digest();
        match self.signature.recover(digest) {
            Ok(author) => Ok(Verified { signed: self, author }),
            Err(error) => Err(MessageError::Signature { what: T::NAME, error }),
        }
    }
}

impl<T: Payload> Verified<T> {
    /// Signs as ourselves.
    pub fn sign(payload: T, signer: &dyn Signer) -> Self {
        let signature = signer.sign(payload.signing_digest());
        Self { signed: Signed { payload, signature }, author: signer.address() }
    }
}

impl<T> Verified<T> {
    /// Who signed it.
    pub fn author(&self) -> Address {
        self.author
    }

    /// With its signature, as it travels.
    pub fn signed(&self) -> &Signed<T> {
        &self.signed
    }

    /// Gives the signer up.
    pub fn into_signed(self) -> Signed<T> {
        self.signed
    }

    /// Gives signer and signature up.
    pub fn into_payload(self) -> T {
        self.signed.payload
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.signed.payload
    }
}

impl ConsensusMessage {
    /// Recovers the sender and the sender of every message inside; one bad signature refuses the whole.
    ///
    /// Costs one key recovery, and one more per message inside. Where the sender is not trusted yet,
    /// [`ConsensusMessage::verify_admitted`] stops after the first.
    pub fn verify(self) -> Result<VerifiedMessage, MessageError> {
        self.verify_admitted(|_| true)
    }

    /// As [`ConsensusMessage::verify`], but recovers nothing beyond the sender unless `admit` lets it in.
    pub fn verify_admitted(
        self,
        admit: impl FnOnce(&Address) -> bool,
    ) -> Result<VerifiedMessage, MessageError> {
        Ok(match self {
            Self::Proposal(message) => {
                let ProposalMessage { proposal, round_changes, prepares } = *message;
                VerifiedMessage::Proposal(Box::new(VerifiedProposal {
                    proposal: verify_sender(proposal, admit)?,
                    round_changes: verify_all(round_changes)?,
                    prepares: verify_all(prepares)?,
                }))
            }
            Self::Prepare(signed) => VerifiedMessage::Prepare(verify_sender(signed, admit)?),
            Self::Commit(signed) => VerifiedMessage::Commit(verify_sender(signed, admit)?),
            Self::RoundChange(message) => {
                let RoundChangeMessage { round_change, block, prepares } = *message;
                VerifiedMessage::RoundChange(Box::new(VerifiedRoundChange {
                    round_change: verify_sender(round_change, admit)?,
                    block,
                    prepares: verify_all(prepares)?,
                }))
            }
        })
    }
}

fn verify_sender<T: Payload>(
    signed: Signed<T>,
    admit: impl FnOnce(&Address) -> bool,
) -> Result<Verified<T>, MessageError> {
    let verified = signed.verify()?;
    match verified.author() {
        author if admit(&author) => Ok(verified),
        author => Err(MessageError::NotAdmitted(author)),
    }
}

fn verify_all<T: Payload>(list: Vec<Signed<T>>) -> Result<Vec<Verified<T>>, MessageError> {
    list.into_iter().map(Signed::verify).collect()
}

fn signed_all<T: Clone>(list: &[Verified<T>]) -> Vec<Signed<T>> {
    list.iter().map(|verified| verified.signed.clone()).collect()
}

impl VerifiedProposal {
    /// Signs a proposal as ourselves.
    pub fn sign(
        proposal: Proposal,
        round_changes: Vec<Verified<RoundChange>>,
        prepares: Vec<Verified<Prepare>>,
        signer: &dyn Signer,
    ) -> Self {
        Self { proposal: Verified::sign(proposal, signer), round_changes, prepares }
    }
}

impl VerifiedRoundChange {
    /// Signs a round change as ourselves.
    pub fn sign(
        round_change: RoundChange,
        block: Option<Block>,
        prepares: Vec<Verified<Prepare>>,
        signer: &dyn Signer,
    ) -> Self {
        Self { round_change: Verified::sign(round_change, signer), block, prepares }
    }
}

impl VerifiedMessage {
    /// Who sent it.
    pub fn author(&self) -> Address {
        match self {
            Self::Proposal(message) => message.proposal.author(),
            Self::Prepare(verified) => verified.author(),
            Self::Commit(verified) => verified.author(),
            Self::RoundChange(message) => message.round_change.author(),
        }
    }

    /// The height and round it is about; for ROUND-CHANGE the round asked for.
    pub fn view(&self) -> View {
        match self {
            Self::Proposal(message) => message.proposal.view(),
            Self::Prepare(verified) => verified.view(),
            Self::Commit(verified) => verified.view(),
            Self::RoundChange(message) => message.round_change.view(),
        }
    }

    /// Back to the form that travels.
    pub fn to_message(&self) -> ConsensusMessage {
        match self {
            Self::Proposal(message) => ConsensusMessage::Proposal(Box::new(ProposalMessage {
                proposal: message.proposal.signed.clone(),
                round_changes: signed_all(&message.round_changes),
                prepares: signed_all(&message.prepares),
            })),
            Self::Prepare(verified) => ConsensusMessage::Prepare(verified.signed.clone()),
            Self::Commit(verified) => ConsensusMessage::Commit(verified.signed.clone()),
            Self::RoundChange(message) => ConsensusMessage::RoundChange(Box::new(RoundChangeMessage {
                round_change: message.round_change.signed.clone(),
                block: message.block.clone(),
                prepares: signed_all(&message.prepares),
            })),
        }
    }

    /// The wire form.
    pub fn encode(&self) -> Bytes {
        self.to_message().encode()
    }
}
