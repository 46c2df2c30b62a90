//! The rules of every height, from what the file says.

use super::super::GenesisError;
use super::super::foreign::{MIN_CODE_SIZE_BYTES, SELECTION_CONTRACT, Selection};
use super::super::header::check_validators;
use super::super::own::DEFAULT_BLOCK_SIZE_BYTES;
use super::transitions::Transition;
use super::{DEFAULTS, EngineObject, MAX_TIMEOUT, OLD_DEFAULTS, Schedule};
use crate::spec::{ClientRules, ConsensusParams, Limits, MarkerRule, Permissions, Privacy, QuorumRule};
use crate::{ExtraData, HeaderFormat};
use std::collections::BTreeSet;

impl Schedule {
    /// Validators stand in the header of block 0. A list in the file instead is taken where the header has
    /// none; beside the header's it must say the same.
    pub(super) fn settle_validators(
        &mut self,
        extra_data: &[u8],
        warnings: &mut Vec<String>,
    ) -> Result<(), GenesisError> {
        let format = self.format_at(0);
        let in_header =
            ExtraData::decode(extra_data, format).map(|extra| extra.validators).unwrap_or_default();
        let in_header: BTreeSet<_> = in_header.into_iter().collect();
        for (name, object) in [("ibft", &mut self.ibft), ("qbft", &mut self.qbft)] {
            let Some(object) = object else { continue };
            let Some(list) = object.engine.validators.take() else { continue };
            let path = format!("config.{name}.validators");
            check_validators(&path, &list, &mut Vec::new())?;
            if in_header.is_empty() && object.start_block.is_none() {
                object.engine.validators = Some(list);
            } else if list.iter().copied().collect::<BTreeSet<_>>() == in_header {
                warnings.push(format!("{path} is ignored: extraData says the same"));
            } else {
                return Err(GenesisError::new(path, "extraData lists other validators"));
            }
        }
        Ok(())
    }

    /// Heights at which something may change.
    pub(super) fn heights(&self) -> BTreeSet<u64> {
        let objects = [&self.ibft, &self.qbft].into_iter().flatten();
        let switches =
            objects.flat_map(|object| [object.ceil_block, object.test_qbft_block, object.start_block]);
        let transitions = self.transitions.iter().map(|entry| entry.block);
        let sizes = self.code_sizes_kb.iter().map(|(block, _)| *block);
        let privacy = [self.enhancements_from, self.markers_from];
        let switches = switches.flatten().chain(self.permitted_from).chain(privacy.into_iter().flatten());
        std::iter::once(0).chain(switches).chain(transitions).chain(sizes).collect()
    }

    fn begun(&self, height: u64) -> impl Iterator<Item = &Transition> {
        self.transitions.iter().filter(move |entry| entry.block <= height)
    }

    fn format_at(&self, height: u64) -> HeaderFormat {
        let by_object = self.qbft.as_ref().is_some_and(|object| height >= object.start_block.unwrap_or(0));
        let test_block = self.ibft.as_ref().and_then(|object| object.test_qbft_block);
        let by_transition = self.begun(height).any(|entry| entry.algorithm == Some(HeaderFormat::Qbft));
        if by_object || test_block.is_some_and(|block| height >= block) || by_transition {
            HeaderFormat::Qbft
        } else {
            HeaderFormat::Ibft1
        }
    }

    fn object_at(&self, height: u64) -> Option<&EngineObject> {
        let qbft = self.qbft.as_ref().filter(|object| height >= object.start_block.unwrap_or(0));
        qbft.or(self.ibft.as_ref())
    }

    /// A bound below the timeout of round 0 contradicts it: the timeout would never be used.
    pub(super) fn check_timeouts(&self, height: u64) -> Result<(), GenesisError> {
        let object = self.object_at(height);
        let mut engine = object.map(|object| object.engine.clone()).unwrap_or_default();
        let mut path = object.map_or("config.", |object| &object.path).to_owned() + MAX_TIMEOUT;
        for entry in self.begun(height) {
            entry.apply(&mut engine, height);
            path = entry.timeout_path().unwrap_or(path);
        }
        let timeout_ms = engine.timeout_ms.unwrap_or(DEFAULTS.timeout_ms);
        match engine.max_timeout_ms {
            Some(most_ms) if most_ms < timeout_ms => {
                let (most, timeout) = (most_ms / 1000, timeout_ms / 1000);
                let reason =
                    format!("the bound of {most} s is shorter than the timeout of round 0, {timeout} s");
                Err(GenesisError::new(path, reason))
            }
            _ => Ok(()),
        }
    }

    /// GoQuorum's contracts work with QBFT only.
    pub(super) fn check_selection(&self, height: u64) -> Result<(), GenesisError> {
        let object = self.object_at(height);
        let mut path = object.map_or("config.", |object| &object.path).to_owned() + SELECTION_CONTRACT;
        if let Some(entry) = self.begun(height).filter(|entry| entry.chooses()).last() {
            path = entry.path_of(SELECTION_CONTRACT);
        }
        let mut engine = object.map(|object| object.engine.clone()).unwrap_or_default();
        self.begun(height).for_each(|entry| entry.apply(&mut engine, height));
        match engine.selection {
            Selection { by_contract: true, contract: None } => {
                Err(GenesisError::new(path, "the mode contract needs it"))
            }
            Selection { by_contract: true, .. } if self.format_at(height) != HeaderFormat::Qbft => {
                Err(GenesisError::new(path, "only with qbft validators are chosen by a contract"))
            }
            _ => Ok(()),
        }
    }

    /// None before the block from which GoQuorum asks.
    pub(super) fn permissions_at(&self, height: u64) -> Permissions {
        let switched = self.begun(height).filter_map(|entry| entry.permitted).last();
        let later = self.transitions.iter().any(|entry| entry.permitted.is_some());
        let by_block = match self.permitted_from {
            Some(block) => height >= block,
            None => !later,
        };
        if !switched.unwrap_or(by_block) {
            return Permissions::default();
        }
        let patches = self.begun(height).filter_map(|entry| entry.permissions);
        patches.fold(self.permissions.over(Permissions::default()), |base, patch| patch.over(base))
    }

    /// GoQuorum takes private transactions from block 0 on. What a field of `config` switched on, no transition of
    /// GoQuorum switches off; the objects `privacy` are laid over what comes of it.
    pub(super) fn privacy_at(&self, height: u64) -> Privacy {
        let begun = |from: Option<u64>| from.is_some_and(|from| height >= from);
        let switched = |read: fn(&Transition) -> Option<bool>| {
            self.begun(height).filter_map(read).last().unwrap_or(false)
        };
        let markers = begun(self.markers_from) || switched(|entry| entry.markers);
        let of_goquorum = Privacy {
            transactions: true,
            enhancements: begun(self.enhancements_from) || switched(|entry| entry.enhancements),
            markers: markers.then_some(MarkerRule::SameSigner),
            parties: None,
        };
        let patches = self.begun(height).filter_map(|entry| entry.privacy);
        patches.fold(self.privacy.over(of_goquorum), |base, patch| patch.over(base))
    }

    pub(super) fn consensus_at(&self, height: u64) -> ConsensusParams {
        let object = self.object_at(height);
        let format = self.format_at(height);
        let mut engine = object.map(|object| object.engine.clone()).unwrap_or_default();
        if height > 0 {
            engine.validators = None;
        }
        // A file without objects chooses the engine by a transition at block 0; the quorum is then the new
        // one.
        let ceil_block = object.map_or(Some(0), |object| object.ceil_block);
        let mut two_f_plus_one = ceil_block.is_none_or(|block| height < block);
        let mut by_transition = false;
        for entry in self.begun(height) {
            entry.apply(&mut engine, height);
            by_transition = entry.two_f_plus_one.unwrap_or(by_transition);
        }
        two_f_plus_one |= by_transition;
        if format == HeaderFormat::Ibft1 {
            engine.block_reward = Default::default();
        }
        let quorum = if two_f_plus_one { QuorumRule::TwoFPlusOne } else { QuorumRule::CeilTwoThirds };
        let silent = object.is_some_and(|object| object.old) && format == HeaderFormat::Ibft1;
        let defaults = if silent { OLD_DEFAULTS } else { DEFAULTS };
        engine.params(format, quorum, ClientRules::GoQuorum, defaults)
    }

    pub(super) fn limits_at(&self, height: u64) -> Limits {
        let listed = self.code_sizes_kb.iter().rfind(|(block, _)| *block <= height).map(|(_, kb)| *kb);
        let code_kb = self.begun(height).filter_map(|entry| entry.code_size_kb).last().or(listed);
        // The newest entry decides alone: without the field it goes back to the genesis value, as GoQuorum
        // has it.
        let newest = self.begun(height).last();
        let transaction_kb =
            newest.and_then(|entry| entry.transaction_size_kb).unwrap_or(self.transaction_size_kb);
        Limits {
            code_size: code_kb.map_or(MIN_CODE_SIZE_BYTES, kb_to_bytes).max(MIN_CODE_SIZE_BYTES),
            init_code_size: usize::MAX,
            transaction_size: kb_to_bytes(transaction_kb),
            block_size: DEFAULT_BLOCK_SIZE_BYTES,
            gas_limit: None,
        }
    }
}

/// Sizes are at most 128 KB when they come here.
fn kb_to_bytes(kb: u64) -> usize {
    (kb as usize) * 1024
}
