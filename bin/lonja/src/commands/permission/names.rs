//! How members, nodes and texts are named on the command line.

use crate::client::Endpoint;
use alloy_primitives::{Address, B256, keccak256};
use eyre::{Result, bail, eyre};
use lonja_permissioning::registry::abi::IdScheme;
use lonja_permissioning::registry::plan::{hash_of, id_value, member_id};
use lonja_primitives::NodeId;
use serde_json::{Value, json};
use std::fs;
use std::str::FromStr;

/// A member: by its id, its LEI, another id with its scheme before it, or the address of an admin or account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberName {
    /// Known without asking.
    Id(B256),
    /// The node knows whose address it is.
    Address(Address),
}

impl FromStr for MemberName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(digits) = text.strip_prefix("0x") {
            return match digits.len() {
                64 => text.parse().map(Self::Id).map_err(|_| "the id is not hex".to_owned()),
                40 => text.parse().map(Self::Address).map_err(|_| "the address is not hex".to_owned()),
                length => Err(format!("0x with {length} digits is neither an id (64) nor an address (40)")),
            };
        }
        let of = |scheme: IdScheme, text: &str| Ok(Self::Id(member_id(scheme, id_value(scheme, text)?)));
        if text.starts_with("did:") {
            return of(IdScheme::Did, text);
        }
        match text.split_once(':') {
            Some((scheme, value)) => of(scheme.parse()?, value),
            None if text.len() == 20 => of(IdScheme::Lei, text),
            None => Err("a member is named by its id (0x and 64 digits), its LEI, taxId:…, euid:…, did:…, or the address \
                         of an admin or account of it"
                .to_owned()),
        }
    }
}

impl MemberName {
    /// Its id. An address needs a node to ask.
    pub async fn id(&self, endpoint: Option<&Endpoint>) -> Result<B256> {
        let address = match self {
            Self::Id(id) => return Ok(*id),
            Self::Address(address) => address,
        };
        let Some(endpoint) = endpoint else {
            bail!("{address} is an address, and only a node knows whose: name the member by its id");
        };
        let member = endpoint.call("lonja_getMember", json!([address])).await?;
        id_in(&member, "id").ok_or_else(|| eyre!("{address} is of no member"))
    }

    /// What the node is asked by.
    pub fn asked(&self) -> Value {
        match self {
            Self::Id(id) => json!(id),
            Self::Address(address) => json!(address),
        }
    }
}

/// A node: by `enode://`, its public key, the key of its entry, or the address that signs for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeName {
    /// Its public key, and `host:port` where they were given.
    Public(NodeId, Option<String>),
    /// The hash of that.
    Key(B256),
    /// The node of the registry that has this address.
    Validator(Address),
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("enode://") {
            let (id, place) = rest.split_once('@').unwrap_or((rest, ""));
            let place = place.split_once('?').map_or(place, |(place, _)| place);
            let node = NodeId::from_hex(id).map_err(|error| error.to_string())?;
            return Ok(Self::Public(node, Some(place.to_owned()).filter(|place| !place.is_empty())));
        }
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match digits.len() {
            128 => Ok(Self::Public(NodeId::from_hex(digits).map_err(|error| error.to_string())?, None)),
            64 => digits.parse().map(Self::Key).map_err(|_| "the key is not hex".to_owned()),
            40 => digits.parse().map(Self::Validator).map_err(|_| "the address is not hex".to_owned()),
            _ => Err("a node is named by its enode://…, its public key (128 hex digits), the key of its entry (64), or the \
                      address that signs for it (40)"
                .to_owned()),
        }
    }
}

impl NodeName {
    /// The key of its entry. An address needs a node to ask.
    pub async fn key(&self, endpoint: Option<&Endpoint>) -> Result<B256> {
        let address = match self {
            Self::Public(node, _) => return Ok(keccak256(node.0)),
            Self::Key(key) => return Ok(*key),
            Self::Validator(address) => address,
        };
        let Some(endpoint) = endpoint else {
            bail!("{address} is an address, and only a node knows whose: name the node by its key");
        };
        let node = endpoint.call("lonja_getNode", json!([address])).await?;
        id_in(&node, "key").ok_or_else(|| eyre!("{address} signs for no node of the registry"))
    }

    /// What the node is asked by.
    pub fn asked(&self) -> Value {
        match self {
            Self::Public(node, None) => json!(node.to_string()),
            Self::Public(node, Some(place)) => json!(format!("enode://{node}@{place}")),
            Self::Key(key) => json!(key),
            Self::Validator(address) => json!(address),
        }
    }
}

fn id_in(object: &Value, field: &str) -> Option<B256> {
    object.get(field)?.as_str()?.parse().ok()
}

/// A text that goes on chain as its hash: the text, a hash (0x…), or `@FILE` for the hash of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashed(pub B256);

impl FromStr for Hashed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash = match text.strip_prefix('@') {
            Some(path) => keccak256(fs::read(path).map_err(|error| format!("{path}: {error}"))?),
            None => hash_of(text)?,
        };
        match hash.is_zero() {
            true => Err("a hash of zeros means none".to_owned()),
            false => Ok(Self(hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lonja_primitives::NodeKey;

    #[test]
    fn members_have_several_names() {
        let lei: MemberName = "506700GE1G29325QX363".parse().unwrap();
        assert_eq!("lei:506700GE1G29325QX363".parse::<MemberName>().unwrap(), lei);
        let MemberName::Id(id) = lei else { panic!("{lei:?}") };
        assert_eq!(id.to_string().parse::<MemberName>().unwrap(), MemberName::Id(id));
        let address = Address::repeat_byte(1);
        assert_eq!(address.to_string().parse::<MemberName>().unwrap(), MemberName::Address(address));
        assert!("did:web:example.org".parse::<MemberName>().is_ok());
        assert!("taxId:ESA12345674".parse::<MemberName>().is_ok());
        for (wrong, said) in [
            ("506700GE1G29325QX364", "mistyped"),
            ("Uno", "is named by"),
            ("0x12", "neither an id"),
            ("nif:1", "id scheme"),
            ("taxId:", "1 to 32"),
        ] {
            let error = wrong.parse::<MemberName>().unwrap_err();
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    #[test]
    fn nodes_have_several_names() {
        let id = NodeKey::generate().node_id();
        let name: NodeName = format!("enode://{id}@[::1]:30303?discport=0").parse().unwrap();
        assert_eq!(name, NodeName::Public(id, Some("[::1]:30303".into())));
        assert_eq!(name.asked(), json!(format!("enode://{id}@[::1]:30303")));
        assert_eq!(format!("0x{id}").parse::<NodeName>().unwrap(), NodeName::Public(id, None));
        let key = keccak256(id.0);
        assert_eq!(key.to_string().parse::<NodeName>().unwrap(), NodeName::Key(key));
        assert_eq!(id.address().to_string().parse::<NodeName>().unwrap(), NodeName::Validator(id.address()));
        assert!("node1".parse::<NodeName>().unwrap_err().contains("is named by"));
        assert!("enode://12@host:1".parse::<NodeName>().is_err());
    }

    #[test]
    fn texts_hashes_and_files_become_hashes() {
        assert_eq!("why".parse::<Hashed>().unwrap().0, keccak256("why"));
        let hash = B256::repeat_byte(5);
        assert_eq!(hash.to_string().parse::<Hashed>().unwrap().0, hash);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statement.txt");
        fs::write(&path, "heard").unwrap();
        assert_eq!(format!("@{}", path.display()).parse::<Hashed>().unwrap().0, keccak256("heard"));
        assert!("@/nowhere/at/all".parse::<Hashed>().is_err());
        assert!("0x12".parse::<Hashed>().is_err());
        assert!(B256::ZERO.to_string().parse::<Hashed>().is_err());
    }

    #[tokio::test]
    async fn offline_only_what_is_known_has_an_id() {
        let id = B256::repeat_byte(2);
        assert_eq!(MemberName::Id(id).id(None).await.unwrap(), id);
        let error = MemberName::Address(Address::ZERO).id(None).await.unwrap_err();
        assert!(error.to_string().contains("only a node knows"));
        assert!(NodeName::Validator(Address::ZERO).key(None).await.is_err());
    }
}
