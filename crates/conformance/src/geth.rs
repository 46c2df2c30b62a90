//! Genesis files as geth and its kin write them, for chains that are no Istanbul chains.

use crate::clique::EPOCH_BLOCKS;
use crate::network::{Network, TEMPLATE};
use alloy_consensus::constants::EMPTY_WITHDRAWALS;
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bytes, U256, hex};
use lonja_primitives::genesis::GenesisAccount;
use lonja_primitives::spec::ForkStart;
use lonja_primitives::{Fork, Genesis, Header, SealedHeader};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Forks by their field. A fork of two fields begins with the second.
const BLOCKS: [(&str, Fork); 9] = [
    ("homesteadBlock", Fork::Homestead),
    ("eip150Block", Fork::TangerineWhistle),
    ("eip158Block", Fork::SpuriousDragon),
    ("byzantiumBlock", Fork::Byzantium),
    ("constantinopleBlock", Fork::Constantinople),
    ("petersburgBlock", Fork::Petersburg),
    ("istanbulBlock", Fork::Istanbul),
    ("berlinBlock", Fork::Berlin),
    ("londonBlock", Fork::London),
];
const TIMES: [(&str, Fork); 4] = [
    ("shanghaiTime", Fork::Shanghai),
    ("cancunTime", Fork::Cancun),
    ("pragueTime", Fork::Prague),
    ("osakaTime", Fork::Osaka),
];
/// Fields without a meaning for a chain without work: the difficulty bomb, and names of what comes together.
const WITHOUT_MEANING: [&str; 5] =
    ["eip155Block", "muirGlacierBlock", "arrowGlacierBlock", "grayGlacierBlock", "mergeNetsplitBlock"];
/// Base fee of block 0 under London, wei, where the file has none.
const FIRST_BASE_FEE: u64 = 1_000_000_000;

/// What a file says.
pub(crate) struct GethGenesis {
    pub(crate) network: Network,
    pub(crate) header: SealedHeader,
    pub(crate) alloc: BTreeMap<Address, GenesisAccount>,
    /// Period in seconds and epoch in blocks.
    pub(crate) clique: Option<(u64, u64)>,
}

impl GethGenesis {
    /// Reads it; the error names the field.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let root: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let root = object(&root, "the file")?;
        let config = object(root.get("config").unwrap_or(&Value::Null), "config")?;
        let chain_id = quantity(config, "chainId")?.ok_or("config.chainId: it must be given")?;
        let network = Network::of_test_chain(fits(chain_id, "config.chainId")?, forks(config)?);
        let alloc = alloc(object(root.get("alloc").unwrap_or(&Value::Null), "alloc")?)?;
        let state_root = Genesis { alloc: alloc.clone(), ..TEMPLATE.clone() }.state_changes();
        let state_root = crate::world::root_of(&state_root).map_err(|error| error.to_string())?;
        let header = header(root, &network, state_root)?;
        let hash = header.hash_slow();
        let clique = config.get("clique").filter(|clique| !clique.is_null()).map(|clique| {
            let clique = object(clique, "config.clique")?;
            let number = |name| quantity(clique, name)?.map(|value| fits(value, name)).transpose();
            Ok::<_, String>((number("period")?.unwrap_or(0), number("epoch")?.unwrap_or(EPOCH_BLOCKS)))
        });
        Ok(Self {
            network,
            header: SealedHeader::new_unchecked(header, hash),
            alloc,
            clique: clique.transpose()?,
        })
    }
}

fn forks(config: &Map<String, Value>) -> Result<Vec<(Fork, ForkStart)>, String> {
    let known = |name: &str| BLOCKS.iter().chain(&TIMES).any(|(known, _)| *known == name);
    for (name, value) in config {
        let is_fork = name.ends_with("Block") || name.ends_with("Time");
        if is_fork && !value.is_null() && !known(name) && !WITHOUT_MEANING.contains(&name.as_str()) {
            return Err(format!("config.{name}: a fork that this program does not know"));
        }
    }
    let mut forks = Vec::new();
    for (name, fork) in BLOCKS {
        if let Some(block) = quantity(config, name)? {
            forks.push((fork, ForkStart::Block(fits(block, name)?)));
        }
    }
    // A chain that names only the former has both at once.
    let constantinople = forks.iter().find(|(fork, _)| *fork == Fork::Constantinople).copied();
    let has_petersburg = forks.iter().any(|(fork, _)| *fork == Fork::Petersburg);
    forks.extend(constantinople.filter(|_| !has_petersburg).map(|(_, start)| (Fork::Petersburg, start)));
    for (name, fork) in TIMES {
        if let Some(time) = quantity(config, name)? {
            forks.push((fork, ForkStart::Time(fits(time, name)?)));
        }
    }
    forks.sort_by_key(|(fork, _)| *fork);
    Ok(forks)
}

fn header(root: &Map<String, Value>, network: &Network, state_root: B256) -> Result<Header, String> {
    let number = |name| quantity(root, name)?.map(|value| fits(value, name)).transpose();
    let timestamp = number("timestamp")?.unwrap_or(0);
    let fork = network.spec.fork_at(0, timestamp);
    let since = |first: Fork| fork >= first;
    let fixed = |name: &str, length| {
        let bytes = bytes(root, name)?;
        ensure_length(name, &bytes, length).map(|()| bytes)
    };
    let [mix_hash, coinbase] = [("mixHash", 32), ("coinbase", 20)].map(|(name, length)| fixed(name, length));
    let (mix_hash, coinbase) = (mix_hash?, coinbase?);
    Ok(Header {
        state_root,
        timestamp,
        gas_limit: number("gasLimit")?.ok_or("gasLimit: it must be given")?,
        difficulty: quantity(root, "difficulty")?.unwrap_or_default(),
        nonce: B64::from(number("nonce")?.unwrap_or(0).to_be_bytes()),
        extra_data: bytes(root, "extraData")?,
        mix_hash: if mix_hash.is_empty() { B256::ZERO } else { B256::from_slice(&mix_hash) },
        beneficiary: if coinbase.is_empty() { Address::ZERO } else { Address::from_slice(&coinbase) },
        base_fee_per_gas: since(Fork::London).then_some(number("baseFeePerGas")?.unwrap_or(FIRST_BASE_FEE)),
        withdrawals_root: since(Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: since(Fork::Cancun).then_some(number("blobGasUsed")?.unwrap_or(0)),
        excess_blob_gas: since(Fork::Cancun).then_some(number("excessBlobGas")?.unwrap_or(0)),
        parent_beacon_block_root: since(Fork::Cancun).then_some(B256::ZERO),
        requests_hash: since(Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    })
}

/// Accounts by address.
pub(crate) fn alloc(accounts: &Map<String, Value>) -> Result<BTreeMap<Address, GenesisAccount>, String> {
    let read = |(name, account): (&String, &Value)| {
        let path = format!("alloc.{name}");
        let address = hex::decode(name).ok().filter(|bytes| bytes.len() == Address::len_bytes());
        let address = Address::from_slice(&address.ok_or_else(|| format!("{path}: not an address"))?);
        let account = object(account, &path)?;
        let mut storage = BTreeMap::new();
        if let Some(slots) = account.get("storage").filter(|slots| !slots.is_null()) {
            for (slot, value) in object(slots, &path)? {
                let slot = parse(slot).ok_or_else(|| format!("{path}.storage: {slot} is no number"))?;
                let value =
                    value.as_str().and_then(parse).ok_or_else(|| format!("{path}.storage: not a number"))?;
                storage.insert(slot, value);
            }
        }
        storage.retain(|_, value| !value.is_zero());
        let nonce = quantity(account, "nonce")?.map(|nonce| fits(nonce, "nonce")).transpose()?;
        let balance = quantity(account, "balance")?.unwrap_or_default();
        let code = bytes(account, "code")?;
        Ok((address, GenesisAccount { balance, nonce: nonce.unwrap_or(0), code, storage }))
    };
    accounts.iter().map(read).collect()
}

pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{path}: it must be an object"))
}

/// A number: JSON's, hex after `0x`, or decimal digits.
fn quantity(fields: &Map<String, Value>, name: &str) -> Result<Option<U256>, String> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => parse(&number.to_string()),
        Some(Value::String(text)) => parse(text),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| format!("{name}: not a number"))
}

fn parse(text: &str) -> Option<U256> {
    match text.strip_prefix("0x") {
        Some("") => Some(U256::ZERO),
        Some(digits) => U256::from_str_radix(digits, 16).ok(),
        None => U256::from_str_radix(text, 10).ok(),
    }
}

fn fits(value: U256, name: &str) -> Result<u64, String> {
    u64::try_from(value).map_err(|_| format!("{name}: longer than 64 bits"))
}

fn bytes(fields: &Map<String, Value>, name: &str) -> Result<Bytes, String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Bytes::new()),
        Some(value) => {
            let bytes = value.as_str().and_then(|text| hex::decode(text).ok());
            bytes.map(Bytes::from).ok_or_else(|| format!("{name}: not hex"))
        }
    }
}

fn ensure_length(name: &str, bytes: &Bytes, length: usize) -> Result<(), String> {
    match bytes.len() {
        0 => Ok(()),
        found if found == length => Ok(()),
        found => Err(format!("{name}: {found} bytes instead of {length}")),
    }
}
