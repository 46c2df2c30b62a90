//! What was decided: one chain, and every block of it sealed as the rules say.

use super::Tally;
use crate::simulation::report::{Outcome, Violation};
use alloy_primitives::{Address, B256};
use lonja_consensus::{ValidatorSet, certify};
use lonja_primitives::{Block, ChainSpec, ExtraData, Genesis, HeaderFormat, SealedHeader};
use std::sync::Arc;

/// The chain of the world: the first block that anybody wrote at each height.
pub struct Chain {
    spec: Arc<ChainSpec>,
    blocks: Vec<Known>,
    /// Blocks decided after round 0.
    pub late_blocks: u64,
    /// Transactions in all blocks.
    pub transactions: u64,
    /// Changes of the validators.
    pub set_changes: u64,
}

/// A block, and who may seal the one after it.
struct Known {
    header: SealedHeader,
    after: Tally,
}

impl Chain {
    /// Block 0.
    pub fn new(spec: Arc<ChainSpec>, genesis: &Genesis) -> Self {
        let extra = ExtraData::decode(&genesis.header.extra_data, HeaderFormat::Qbft)
            .expect("block 0 names its validators");
        let params = spec.consensus_at(0);
        let after = Tally::new(params.rules, params.epoch_length, extra.validators);
        let blocks = vec![Known { header: genesis.header.clone(), after }];
        Self { spec, blocks, late_blocks: 0, transactions: 0, set_changes: 0 }
    }

    /// The newest height.
    pub fn height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    /// Who may seal the next block.
    pub fn next(&self) -> &Tally {
        &self.blocks[self.blocks.len() - 1].after
    }

    /// Who seals a height, as far as that is known.
    pub fn sealers(&self, height: u64) -> Option<&Tally> {
        let before = usize::try_from(height.checked_sub(1)?).ok()?;
        self.blocks.get(before).map(|known| &known.after)
    }

    /// The header at a height.
    pub fn header(&self, height: u64) -> Option<&SealedHeader> {
        self.blocks.get(usize::try_from(height).ok()?).map(|known| &known.header)
    }

    /// The hash of the newest block.
    pub fn head_hash(&self) -> B256 {
        self.blocks[self.blocks.len() - 1].header.hash()
    }

    /// A node has this block. Returns whether it is new to the world.
    pub fn add(&mut self, node: usize, hash: B256, block: &Block) -> Outcome<bool> {
        let number = block.header.number;
        if let Some(known) = self.header(number) {
            return match known.hash() == hash {
                true => Ok(false),
                false => Err(Violation::new(format!(
                    "agreement: node {node} has block {number} {hash}, others have {}",
                    known.hash()
                ))),
            };
        }
        if number != self.height() + 1 {
            return Err(Violation::new(format!("node {node} writes block {number} on {}", self.height())));
        }
        self.verify(hash, block).map_err(|what| {
            Violation::new(format!("block {number} {hash} of node {node} does not verify: {what}"))
        })?;
        self.extend(hash, block)?;
        Ok(true)
    }

    /// Power cuts took all copies of the blocks above `kept`, before anybody could hear of them.
    ///
    /// Where a quorum without the node that wrote the block cannot miss those who committed to it, the same block is
    /// decided again, and that is expected. A single validator, or one of three, may have been alone with its
    /// commit, and may have lost it with the block.
    pub fn forget_unseen(&mut self, kept: u64) {
        while self.height() > kept {
            let sealers = &self.blocks[self.blocks.len() - 2].after;
            if sealers.validators().len() + 1 < 2 * sealers.quorum() {
                return;
            }
            self.blocks.pop();
        }
    }

    fn verify(&self, hash: B256, block: &Block) -> Result<(), String> {
        let parent = &self.blocks[self.blocks.len() - 1];
        let validators = parent.after.validators().iter().copied().collect();
        let validators = ValidatorSet::new(validators).map_err(|error| error.to_string())?;
        let certified = certify(&self.spec, block.clone(), &parent.header, &validators)
            .map_err(|error| error.to_string())?;
        let seals =
            ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft).map(|extra| extra.seals.len());
        match (certified.hash() == hash, seals) {
            (true, Ok(seals)) if seals >= parent.after.quorum() => Ok(()),
            (true, seals) => Err(format!("{seals:?} seals, {} are needed", parent.after.quorum())),
            (false, _) => Err(format!("its hash is {}", certified.hash())),
        }
    }

    fn extend(&mut self, hash: B256, block: &Block) -> Outcome {
        let extra = ExtraData::decode(&block.header.extra_data, HeaderFormat::Qbft)
            .map_err(|error| Violation::new(error.to_string()))?;
        let mut after = self.next().clone();
        after.count(block.header.number, block.header.beneficiary, extra.vote);
        self.late_blocks += u64::from(extra.round > 0);
        self.transactions += block.transactions.len() as u64;
        self.set_changes += u64::from(after.validators() != self.next().validators());
        let header = SealedHeader::new_unchecked(block.header.clone(), hash);
        self.blocks.push(Known { header, after });
        Ok(())
    }

    /// A node believes that these validate the block after `height`.
    pub fn expect_validators(&self, node: usize, height: u64, validators: &[Address]) -> Outcome {
        let Some(sealers) = self.sealers(height + 1) else { return Ok(()) };
        if sealers.validators().iter().eq(validators) {
            return Ok(());
        }
        Err(Violation::new(format!(
            "node {node} takes {validators:?} for the validators after block {height}, the headers say {:?}",
            sealers.validators()
        )))
    }
}
