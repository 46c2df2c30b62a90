//! What protects private contracts (privacy flags 1 to 3): checked before a transaction is sent and after it ran.

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use lonja_primitives::{PayloadHash, StateError};
use lonja_ptm::PrivacyMode;
use lonja_storage::private::ContractRecord;
use std::collections::BTreeMap;

/// What the receipt of a transaction says that broke the protection of a contract: GoQuorum's words.
const DIFFERS: &str = "verification of contract interaction differs from the one returned by Tessera";

/// What protects a contract; `None` where nothing does.
pub(super) type Records<'a> = dyn FnMut(&Address) -> Result<Option<ContractRecord>, StateError> + 'a;

/// Whether a transaction of this mode, sent with these creations as the contracts it affects, may have called these
/// private contracts. The text says what is wrong.
pub(super) fn participation(
    mode: PrivacyMode,
    affected: &[PayloadHash],
    called: &[Address],
    record_of: &mut Records<'_>,
) -> Result<Result<(), String>, StateError> {
    for address in called {
        let wrong = match record_of(address)? {
            None if mode == PrivacyMode::Standard => None,
            None => Some(format!("contract {address} is not protected here: this node is no party to it")),
            Some(record) if record.flag != mode.flag() => Some(format!(
                "contract {address} has privacy flag {}, the transaction {}",
                record.flag,
                mode.flag()
            )),
            Some(record) if mode != PrivacyMode::Standard && !affected.contains(&record.creation) => {
                Some(format!("contract {address} is not among those that the sender named"))
            }
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            return Ok(Err(format!("{DIFFERS}: {wrong}")));
        }
    }
    Ok(Ok(()))
}

/// Root over the states of contracts: a Merkle-Patricia trie whose keys are the addresses themselves, not their hashes,
/// and whose values are the accounts as in a state trie.
pub(super) fn execution_root(accounts: &BTreeMap<Address, TrieAccount>) -> B256 {
    if accounts.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    let mut builder = HashBuilder::default();
    for (address, account) in accounts {
        let mut leaf = Vec::new();
        account.encode(&mut leaf);
        builder.add_leaf(Nibbles::unpack(address), &leaf);
    }
    builder.root()
}

/// Whether the root that the sender came to is ours; the text as it was sent: base64 of 32 bytes.
pub(super) fn same_execution(sent: &Bytes, ours: B256) -> Result<(), String> {
    match super::execution_root_text(ours).as_bytes() == sent.as_ref() {
        true => Ok(()),
        false => Err(format!("{DIFFERS}: the sender came to another state of the contracts")),
    }
}
