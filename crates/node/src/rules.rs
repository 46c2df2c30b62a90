//! The rules that the chain in a data directory was made with, and what becomes of an edited genesis file.
//!
//! Block 0's hash covers the accounts, the first validators and the time, not the rules. So a copy of the genesis file
//! is kept, and a file that says something else is compared with it at the start: new rules for blocks to come are
//! taken over, other rules for blocks that exist are refused, with the rule and the block.

use lonja_primitives::{Genesis, SealedHeader};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The genesis file of a data directory, which people edit.
pub const GENESIS_FILE: &str = "genesis.json";
/// The copy whose rules the chain has been running under, which only the node writes.
pub const ACCEPTED_FILE: &str = "genesis.accepted.json";

/// Why the rules of a genesis file cannot be taken over.
#[derive(Debug, Error)]
pub enum RulesError {
    /// They differ for blocks that the chain has.
    #[error(
        "the genesis file has other rules for blocks that this node's chain has (its newest is {head}): {change}. Rules \
         change only with a block to come, in a transition that all nodes of the network share. The rules of this \
         chain are in {}: copy it over the genesis file, or take over what it says up to block {head}. If nobody \
         edited the genesis file, one of the two is damaged: compare both with another node's, by `lonja genesis \
         explain`",
        accepted.display()
    )]
    Past {
        /// Number of the newest block.
        head: u64,
        /// The first difference, in words.
        change: String,
        /// The copy of the genesis file.
        accepted: PathBuf,
    },
    /// The copy cannot be understood any more.
    #[error(
        "{}, the rules that this node's chain was made with, cannot be read: {reason}. If the genesis file is known \
         to have these rules, remove it",
        file.display()
    )]
    Accepted {
        /// The copy.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {error}", file.display())]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Compares a genesis file (`text` and what it says) with the rules that the chain up to `head` was made with. If it may
/// be taken over, it becomes both files of the data directory.
///
/// # Errors
/// See [`RulesError`]; nothing has been written where the rules are refused.
pub fn accept(data_dir: &Path, text: &str, genesis: &Genesis, head: &SealedHeader) -> Result<(), RulesError> {
    let accepted = data_dir.join(ACCEPTED_FILE);
    match fs::read_to_string(&accepted) {
        Ok(known) if known == text => {}
        Ok(known) => compare(&accepted, &known, genesis, head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(RulesError::Accepted { file: accepted, reason: error.to_string() }),
    }
    // In this order: after a crash between the two the change is compared, and taken over, once more.
    write_file(&data_dir.join(GENESIS_FILE), text)?;
    write_file(&accepted, text)
}

fn compare(accepted: &Path, known: &str, genesis: &Genesis, head: &SealedHeader) -> Result<(), RulesError> {
    let broken = |reason: String| RulesError::Accepted { file: accepted.into(), reason };
    let mut known = Genesis::from_json(known).map_err(|error| broken(error.to_string()))?;
    lonja_permissioning::registry::genesis::complete(&mut known).map_err(broken)?;
    let changes = known.spec.changes(&genesis.spec);
    if let Some(past) = changes.iter().find(|change| change.is_past(head.number, head.timestamp)) {
        let (change, accepted) = (past.to_string(), accepted.to_path_buf());
        return Err(RulesError::Past { head: head.number, change, accepted });
    }
    for change in changes {
        tracing::info!(%change, "the genesis file has a new rule for blocks to come");
    }
    Ok(())
}

/// Puts a text into a file, all of it or nothing. A file that has it already is left alone.
///
/// # Errors
/// [`RulesError::Write`].
pub fn write_file(file: &Path, text: &str) -> Result<(), RulesError> {
    if fs::read(file).is_ok_and(|present| present == text.as_bytes()) {
        return Ok(());
    }
    let write = || {
        let draft = file.with_extension("draft");
        let mut written = File::create(&draft)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        fs::rename(&draft, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| RulesError::Write { file: file.into(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;
    use lonja_primitives::genesis::NewNetwork;
    use lonja_primitives::{Header, HeaderFormat};

    const TRANSITION: &str =
        r#""transitions": [{ "block": 50, "consensus": { "blockPeriodMs": 300 } }], "alloc""#;

    fn plain() -> String {
        let network = NewNetwork { validators: vec![Address::repeat_byte(1)], ..NewNetwork::default() };
        network.to_json()
    }

    fn with_transition() -> String {
        let text = plain().replacen("\"alloc\"", TRANSITION, 1);
        assert_ne!(text, plain());
        text
    }

    fn other_period() -> String {
        let validators = vec![Address::repeat_byte(1)];
        NewNetwork { validators, block_period_ms: Some(2_000), ..NewNetwork::default() }.to_json()
    }

    fn start(folder: &Path, text: &str, head: u64) -> Result<(), RulesError> {
        let genesis = Genesis::from_json(text).unwrap();
        let extra_data = genesis.header.extra_data.clone();
        let header = Header { number: head, timestamp: head, extra_data, ..Header::default() };
        accept(folder, text, &genesis, &SealedHeader::seal(header, HeaderFormat::Qbft).unwrap())
    }

    fn files(folder: &Path) -> [String; 2] {
        [GENESIS_FILE, ACCEPTED_FILE].map(|name| fs::read_to_string(folder.join(name)).unwrap())
    }

    #[test]
    fn a_new_rule_is_taken_over_below_its_block_and_refused_from_it_on() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        start(folder, &plain(), 0).unwrap();
        start(folder, &plain(), 10).unwrap();
        let refused = start(folder, &with_transition(), 50).unwrap_err().to_string();
        assert!(refused.contains("from block 50 on, block period: 300 ms instead of 1 s"), "{refused}");
        assert!(refused.contains(ACCEPTED_FILE) && refused.contains("its newest is 50"), "{refused}");
        assert_eq!(files(folder), [plain(), plain()]);
        start(folder, &with_transition(), 49).unwrap();
        assert_eq!(files(folder), [with_transition(), with_transition()]);
        start(folder, &plain(), 49).unwrap();
        start(folder, &with_transition(), 49).unwrap();
        assert!(start(folder, &plain(), 50).is_err());
        start(folder, &with_transition(), 50).unwrap();
    }

    #[test]
    fn the_first_rules_may_change_until_there_is_a_block() {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path(), &plain(), 0).unwrap();
        start(folder.path(), &other_period(), 0).unwrap();
        let refused = start(folder.path(), &plain(), 1).unwrap_err().to_string();
        assert!(refused.contains("from block 0 on"), "{refused}");
    }

    #[test]
    fn another_writing_of_the_same_rules_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path(), &plain(), 0).unwrap();
        let spaced = plain().replace(": ", " :  ");
        start(folder.path(), &spaced, 1_000).unwrap();
        assert_eq!(files(folder.path()), [spaced.clone(), spaced]);
    }

    /// The copy says as little about the first validators as the file did.
    #[test]
    fn validators_that_a_contract_named_are_no_change() {
        let file = serde_json::json!({
            "config": {
                "chainId": 1337, "londonBlock": 0, "zeroBaseFee": true,
                "qbft": { "blockperiodseconds": 1, "validatorcontractaddress": Address::repeat_byte(0xcc) },
            },
            "extraData": "0xe5a00000000000000000000000000000000000000000000000000000000000000000c0c080c0",
            "gasLimit": "0x1fffffffffffff", "difficulty": "0x1",
            "mixHash": "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365",
            "alloc": { Address::repeat_byte(0xcc).to_string(): {
                "balance": "0x0",
                // Answers a list of one.
                "code": format!("0x6020600052600160205273{}60405260606000f3", "11".repeat(20)),
            } },
        });
        let folder = tempfile::tempdir().unwrap();
        for text in [file.to_string(), format!("{file:#}")] {
            let mut genesis = Genesis::from_json(&text).unwrap();
            assert!(genesis.needs_first_validators());
            lonja_permissioning::registry::genesis::complete(&mut genesis).unwrap();
            let header =
                Header { number: 9, extra_data: genesis.header.extra_data.clone(), ..Header::default() };
            let head = SealedHeader::seal(header, HeaderFormat::Qbft).unwrap();
            accept(folder.path(), &text, &genesis, &head).unwrap();
            assert_eq!(files(folder.path()), [text.clone(), text]);
        }
    }

    /// A chain from before the copy was kept, or whose operator removed it, goes on with what the file says.
    #[test]
    fn without_a_copy_the_file_counts_and_a_broken_copy_is_named() {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path(), &plain(), 1_000).unwrap();
        fs::write(folder.path().join(ACCEPTED_FILE), "{").unwrap();
        let refused = start(folder.path(), &plain(), 1_000).unwrap_err().to_string();
        assert!(refused.contains(ACCEPTED_FILE) && refused.contains("remove it"), "{refused}");
    }
}
