//! The contract that manages an extension: its code, its storage, its words.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, b256, keccak256};
use alloy_sol_types::{SolCall, SolConstructor, SolEvent, SolType, SolValue, sol, sol_data};
use lonja_primitives::{PayloadHash, StateError, StateView};
use lonja_ptm::PublicKey;
use lonja_ptm::limits::MAX_RECIPIENTS;
use serde::Deserialize;
use std::sync::LazyLock;

sol! {
    /// The management contract: GoQuorum's functions and events.
    #[derive(Debug, PartialEq, Eq)]
    contract Extension {
        constructor(address toExtend, address to, string recipientPTMKey);

        event NewContractExtensionContractCreated(address toExtend, string recipientPTMKey, address recipient);
        event AllNodesHaveAccepted(bool outcome);
        event CanPerformStateShare();
        event ExtensionFinished();
        event NewVote(bool vote, address voter);
        event StateShared(address toExtend, string tesserahash, string uuid);
        event UpdateMembers(address toExtend, string uuid);

        function doVote(bool vote, string nextuuid) external;
        function setUuid(string nextuuid) external;
        function setSharedStateHash(string hash) external;
        function finish() external;
    }
}

/// keccak-256 of the run-time code. Nodes agree on it: another contract gets a constant of its own beside this one.
pub const CODE_HASH: B256 = b256!("0x6e2d52a18c3fa4c6286da60b763e0ac02379f265ec733fd66c0ca0c442c96186");

/// An extension begins: topic of the first event of every management contract.
pub const CREATED: B256 = Extension::NewContractExtensionContractCreated::SIGNATURE_HASH;
/// A state was named.
pub const STATE_SHARED: B256 = Extension::StateShared::SIGNATURE_HASH;

/// Gas that GoQuorum's tools give to transactions about extensions; all of them take less.
pub const DEFAULT_GAS: u64 = 4_712_384;

/// Slots, as the artifact's layout has them.
const CREATOR: u64 = 0;
const CONTRACT: u64 = 1;
const RECIPIENT: u64 = 2;
const KEY: u64 = 3;
const SHARED: u64 = 4;
const CONSENT: u64 = 5;
/// Bytes in the slot of the recipient, from the lowest.
const VOTED_AT: usize = 20;
const OUTCOME_AT: usize = 21;
const FINISHED_AT: usize = 22;

/// The contract stores no longer texts.
const MAX_TEXT_BYTES: usize = 128;

static CREATION: LazyLock<Bytes> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Artifact {
        creation: Bytes,
    }
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../genesis/contracts/artifacts/Extension.json"
    ));
    let artifact: Artifact = serde_json::from_str(text).expect("the artifact is a part of the program");
    artifact.creation
});

/// What deploys the management contract of an extension of `contract` to the party with this key, for whom `recipient`
/// votes. The creator's vote is in it. `parties`: all keys whose managers get what is said about the extension, the new
/// one among them. They stand behind the arguments, where the contract does not look: nobody else would tell the new
/// party.
pub fn creation(contract: Address, recipient: Address, key: &PublicKey, parties: &[PublicKey]) -> Bytes {
    let arguments =
        Extension::constructorCall { toExtend: contract, to: recipient, recipientPTMKey: key.to_string() };
    let parties: Vec<u8> = parties.iter().flat_map(|party| party.0).collect();
    [CREATION.as_ref(), &arguments.abi_encode(), &parties].concat().into()
}

/// The types of the constructor's arguments.
type Arguments = (sol_data::Address, sol_data::Address, sol_data::String);

/// The parties that stand in a payload made by [`creation`]; none in any other.
pub fn parties(payload: &[u8]) -> Vec<PublicKey> {
    let Some(arguments) = payload.strip_prefix(CREATION.as_ref()) else { return Vec::new() };
    let Ok(decoded) = Arguments::abi_decode_params(arguments) else { return Vec::new() };
    let length = <(Address, Address, String)>::abi_encode_params(&decoded).len();
    let keys = arguments.get(length..).unwrap_or_default();
    keys.as_chunks().0.iter().take(MAX_RECIPIENTS).map(|key| PublicKey(*key)).collect()
}

/// The creator's call that names the payload with the contract's state.
pub fn share_call(state: &PayloadHash) -> Bytes {
    Extension::setSharedStateHashCall { hash: state.to_string() }.abi_encode().into()
}

/// The call that ends an extension.
pub fn finish_call() -> Bytes {
    Extension::finishCall {}.abi_encode().into()
}

/// Whether this is init code that makes a management contract and nothing else.
pub(in crate::private) fn is_creation(init_code: &[u8]) -> bool {
    init_code.starts_with(&CREATION)
}

/// What a management contract stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// Who began the extension.
    pub creator: Address,
    /// The contract that is extended.
    pub contract: Address,
    /// Who votes for the new party.
    pub recipient: Address,
    /// The new party's key, base64 as it was given.
    pub key: String,
    /// What the recipient said; `None` before it voted.
    pub vote: Option<bool>,
    /// The last payload with the contract's state, base64 as it was given; empty before there is one.
    pub shared: String,
    /// The payload by which the new party's node consented, likewise.
    pub consent: String,
    /// Whether nothing happens any more.
    pub finished: bool,
}

impl Management {
    /// What the contract at this address stores; `None` where it has other code. That it was also *made* by the known code,
    /// without which its storage may hold anything, is for [`Origin::Management`] to say.
    ///
    /// [`Origin::Management`]: lonja_storage::private::Origin::Management
    pub fn read(state: &dyn StateView, address: &Address) -> Result<Option<Self>, StateError> {
        if state.account(address)?.map_or(KECCAK256_EMPTY, |account| account.code_hash) != CODE_HASH {
            return Ok(None);
        }
        let word = |slot: u64| state.storage(address, &U256::from(slot));
        let address_in = |word: U256| Address::from_word(word.into());
        let flags = word(RECIPIENT)?;
        Ok(Some(Self {
            creator: address_in(word(CREATOR)?),
            contract: address_in(word(CONTRACT)?),
            recipient: address_in(flags),
            key: text(state, address, KEY)?,
            vote: (flags.byte(VOTED_AT) != 0).then_some(flags.byte(OUTCOME_AT) != 0),
            shared: text(state, address, SHARED)?,
            consent: text(state, address, CONSENT)?,
            finished: flags.byte(FINISHED_AT) != 0,
        }))
    }

    /// Whether everybody accepted, and the state may be shared.
    pub fn is_accepted(&self) -> bool {
        self.vote == Some(true) && !self.finished
    }
}

/// A Solidity string in storage: up to 31 bytes beside twice their number, longer ones behind their slot's hash.
fn text(state: &dyn StateView, address: &Address, slot: u64) -> Result<String, StateError> {
    let slot = U256::from(slot);
    let head = state.storage(address, &slot)?;
    let bytes = match head.bit(0) {
        false => {
            let length = usize::from(head.byte(0) / 2);
            head.to_be_bytes::<32>().get(..length).unwrap_or_default().to_vec()
        }
        true => {
            let length = usize::try_from(head >> 1).unwrap_or(usize::MAX).min(MAX_TEXT_BYTES);
            let mut bytes = Vec::with_capacity(MAX_TEXT_BYTES);
            let mut at = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
            while bytes.len() < length {
                bytes.extend_from_slice(&state.storage(address, &at)?.to_be_bytes::<32>());
                at = at.wrapping_add(U256::ONE);
            }
            bytes.truncate(length);
            bytes
        }
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn artifact() -> Value {
        let text = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../genesis/contracts/artifacts/Extension.json"
        ));
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_code_is_the_one_that_nodes_know() {
        let runtime: Bytes = serde_json::from_value(artifact()["runtime"].clone()).unwrap();
        assert_eq!(keccak256(runtime), CODE_HASH);
    }

    #[test]
    fn slots_are_where_the_compiler_put_them() {
        let artifact = artifact();
        let place = |label: &str| {
            let list = artifact["storageLayout"]["storage"].as_array().unwrap();
            let entry = list.iter().find(|entry| entry["label"] == label).unwrap();
            let slot = entry["slot"].as_str().unwrap().parse::<u64>().unwrap();
            (slot, entry["offset"].as_u64().unwrap() as usize)
        };
        let places = [
            ("creator", CREATOR, 0),
            ("contractToExtend", CONTRACT, 0),
            ("recipient", RECIPIENT, 0),
            ("recipientVoted", RECIPIENT, VOTED_AT),
            ("voteOutcome", RECIPIENT, OUTCOME_AT),
            ("isFinished", RECIPIENT, FINISHED_AT),
            ("targetRecipientPTMKey", KEY, 0),
            ("sharedDataHash", SHARED, 0),
            ("uuid", CONSENT, 0),
        ];
        for (label, slot, offset) in places {
            assert_eq!(place(label), (slot, offset), "{label}");
        }
    }

    #[test]
    fn events_have_the_topics_of_goquorum() {
        let topics = [
            (CREATED, "0x04576ede6057794ada68966eebc285c98a2726cbc4929ffd1ad9900336728d93"),
            (
                Extension::AllNodesHaveAccepted::SIGNATURE_HASH,
                "0xf20540914db019dd7c8d05ed165316a58d1583642772ac46f3d0c29b8644bd36",
            ),
            (
                Extension::CanPerformStateShare::SIGNATURE_HASH,
                "0xfd46cafaa71d87561071b8095703a7f081265fad232945049f5cf2d2c39b3d28",
            ),
            (
                Extension::ExtensionFinished::SIGNATURE_HASH,
                "0x79c47b570b18a8a814b785800e5fcbf104e067663589cef1bba07756e3c6ede9",
            ),
            (
                Extension::NewVote::SIGNATURE_HASH,
                "0x225708d30006b0cc86d855ab91047edb5fe9c2e416412f36c18c6e90fe4e461f",
            ),
            (STATE_SHARED, "0x67a92539f3cbd7c5a9b36c23c0e2beceb27d2e1b3cd8eda02c623689267ae71e"),
            (
                Extension::UpdateMembers::SIGNATURE_HASH,
                "0x8adc4573f947f9930560525736f61b116be55049125cb63a36887a40f92f3b44",
            ),
        ];
        for (topic, expected) in topics {
            assert_eq!(topic.to_string(), expected);
        }
    }

    #[test]
    fn only_its_own_creation_code_counts() {
        let code = creation(Address::repeat_byte(1), Address::repeat_byte(2), &PublicKey([1; 32]), &[]);
        assert!(is_creation(&code) && is_creation(&CREATION));
        assert!(!is_creation(&code[..CREATION.len() - 1]) && !is_creation(&code[1..]) && !is_creation(&[]));
    }

    #[test]
    fn the_parties_are_told_in_the_creation() {
        let (contract, recipient) = (Address::repeat_byte(1), Address::repeat_byte(2));
        for count in [0, 1, 5] {
            let keys: Vec<_> = (0..count).map(|number| PublicKey([number; 32])).collect();
            let payload = creation(contract, recipient, &PublicKey([9; 32]), &keys);
            assert_eq!(parties(&payload), keys);
            assert_eq!(parties(&payload[1..]), []);
        }
        assert_eq!(parties(&CREATION), []);
    }
}
