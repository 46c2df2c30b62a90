//! Clique (EIP-225): signers take turns, one signature seals a block, and signers are voted in and out by headers.

use crate::mainnet::{ensure, ensure_eq};
use alloy_consensus::constants::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::{Address, B64, B256, U256, keccak256};
use lonja_primitives::{Header, Signature};
use std::collections::{BTreeMap, BTreeSet};

/// Free bytes before the signers in `extraData`, and the signature behind them.
const VANITY_BYTES: usize = 32;
const SEAL_BYTES: usize = 65;
const ADDRESS_BYTES: usize = 20;
/// Nonces: a vote to let in, and one to throw out, which is also what a header without a vote has.
const AUTHORIZE: B64 = B64::new([0xff; 8]);
const DROP: B64 = B64::ZERO;
/// Difficulty of a block whose signer's turn it is, and of another.
const IN_TURN: u64 = 2;
const NO_TURN: u64 = 1;
/// Blocks after which votes are dropped and the signers listed, where the genesis does not say.
pub(crate) const EPOCH_BLOCKS: u64 = 30_000;

/// What the rules remember after a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clique {
    /// Least seconds between two blocks.
    period_s: u64,
    epoch_blocks: u64,
    signers: BTreeSet<Address>,
    /// Who signed which of the last blocks.
    recent: BTreeMap<u64, Address>,
    /// Votes by signer and subject; `true` lets in.
    votes: BTreeMap<(Address, Address), bool>,
}

impl Clique {
    /// After block 0, which lists the signers.
    pub(crate) fn new(genesis: &Header, period_s: u64, epoch_blocks: u64) -> Result<Self, String> {
        let signers: BTreeSet<Address> = listed(genesis)?.into_iter().collect();
        ensure(!signers.is_empty(), "block 0 lists no signer in extraData")?;
        ensure(epoch_blocks > 0, "an epoch has at least one block")?;
        let (recent, votes) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { period_s, epoch_blocks, signers, recent, votes })
    }

    /// Who may sign the next block.
    #[cfg(test)]
    pub(crate) fn signers(&self) -> &BTreeSet<Address> {
        &self.signers
    }

    /// Checks a header on its parent and takes it in; answers who signed it, or which rule it breaks.
    pub(crate) fn step(&mut self, header: &Header, parent: &Header) -> Result<Address, String> {
        let number = header.number;
        let is_checkpoint = number.is_multiple_of(self.epoch_blocks);
        self.check_fields(header, parent, is_checkpoint)?;
        let signer = signer(header)?;
        ensure(self.signers.contains(&signer), &format!("{signer} is not a signer"))?;
        let waits = |(signed, recent): (&u64, &Address)| {
            *recent == signer && number.checked_sub(self.pause()).is_none_or(|free| *signed > free)
        };
        ensure(!self.recent.iter().any(waits), &format!("{signer} signed recently"))?;
        let turn = usize::try_from(number % self.signers.len() as u64).unwrap_or_default();
        let in_turn = self.signers.iter().nth(turn) == Some(&signer);
        ensure_eq("difficulty", U256::from(if in_turn { IN_TURN } else { NO_TURN }), header.difficulty)?;
        self.take(header, signer, is_checkpoint);
        Ok(signer)
    }

    fn check_fields(&self, header: &Header, parent: &Header, is_checkpoint: bool) -> Result<(), String> {
        let due = parent.timestamp.saturating_add(self.period_s);
        ensure(header.timestamp >= due, "timestamp: earlier than the period allows")?;
        ensure([AUTHORIZE, DROP].contains(&header.nonce), "nonce: neither vote")?;
        ensure_eq("mix hash", B256::ZERO, header.mix_hash)?;
        ensure_eq("uncles hash", EMPTY_OMMER_ROOT_HASH, header.ommers_hash)?;
        let listed = listed(header)?;
        match is_checkpoint {
            true => {
                ensure(header.beneficiary.is_zero() && header.nonce == DROP, "a checkpoint does not vote")?;
                ensure(listed.iter().eq(&self.signers), "extraData: not the signers of the checkpoint")
            }
            false => ensure(listed.is_empty(), "extraData: lists signers outside a checkpoint"),
        }
    }

    /// A signer signs one of so many blocks in a row.
    fn pause(&self) -> u64 {
        self.signers.len() as u64 / 2 + 1
    }

    fn take(&mut self, header: &Header, signer: Address, is_checkpoint: bool) {
        if is_checkpoint {
            self.votes.clear();
        }
        self.forget_recent(header.number);
        self.recent.insert(header.number, signer);
        let (subject, lets_in) = (header.beneficiary, header.nonce == AUTHORIZE);
        self.votes.remove(&(signer, subject));
        if self.signers.contains(&subject) != lets_in {
            self.votes.insert((signer, subject), lets_in);
        }
        // Whatever this vote says: with fewer signers, fewer votes are enough, and the next one on the subject tells.
        if self.votes.keys().filter(|(_, on)| *on == subject).count() <= self.signers.len() / 2 {
            return;
        }
        match !self.signers.contains(&subject) {
            true => drop(self.signers.insert(subject)),
            false => {
                self.signers.remove(&subject);
                self.votes.retain(|(voter, _), _| *voter != subject);
                // There are fewer now, and so they wait for fewer blocks.
                self.forget_recent(header.number);
            }
        }
        self.votes.retain(|(_, on), _| *on != subject);
    }

    /// Drops the one block that a signer need not wait for any longer.
    fn forget_recent(&mut self, number: u64) {
        if let Some(old) = number.checked_sub(self.pause()) {
            self.recent.remove(&old);
        }
    }
}

/// The addresses between vanity and signature.
fn listed(header: &Header) -> Result<Vec<Address>, String> {
    let extra = header.extra_data.as_ref();
    let rest = extra.get(VANITY_BYTES..).ok_or("extraData: no room for the vanity")?;
    let length = rest.len().checked_sub(SEAL_BYTES).ok_or("extraData: no room for the signature")?;
    let addresses = rest.get(..length).unwrap_or_default();
    ensure(length.is_multiple_of(ADDRESS_BYTES), "extraData: the list of signers is no list of addresses")?;
    Ok(addresses.chunks_exact(ADDRESS_BYTES).map(Address::from_slice).collect())
}

/// Who signed a header.
fn signer(header: &Header) -> Result<Address, String> {
    let seal = header.extra_data.len().checked_sub(SEAL_BYTES).and_then(|at| header.extra_data.get(at..));
    let seal = Signature::from_slice(seal.unwrap_or_default());
    let signer = seal.and_then(|seal| seal.recover_lenient(digest(header)));
    signer.map_err(|error| format!("the signature is invalid: {error}"))
}

/// What a signer signs: the header without the signature.
pub(crate) fn digest(header: &Header) -> B256 {
    let unsigned = header.extra_data.len().saturating_sub(SEAL_BYTES);
    let header = Header { extra_data: header.extra_data.slice(..unsigned), ..header.clone() };
    keccak256(alloy_rlp::encode(&header))
}
