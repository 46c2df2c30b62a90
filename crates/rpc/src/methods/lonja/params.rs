//! What the `lonja_` methods take: a block and options at the end, pages, and names of nodes and members.

use crate::error::RpcError;
use crate::methods::permissions::Contracts;
use crate::params::{Args, BlockSelector, Count};
use alloy_primitives::{Address, B256, keccak256};
use lonja_permissioning::registry::abi::{REGISTRY, Registry};
use lonja_primitives::NodeId;
use serde::Deserialize;
use serde_json::Value;

/// Most entries of one page: some hundred kilobytes of members.
pub(super) const PAGE_MAX: usize = 200;
/// Entries of a page when none are asked for.
const PAGE_DEFAULT: usize = 100;

/// What stands behind a method's own parameters, in this order: a block, options. Each may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) block: BlockSelector,
    pub(super) proof: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with the option proof")]
struct Options {
    proof: bool,
}

impl Tail {
    /// From this position on.
    pub(super) fn of(args: &Args<'_>, index: usize) -> Result<Self, RpcError> {
        let is_options = |value: &Value| value.get("proof").is_some();
        let first: Option<Value> = args.optional(index, "block")?;
        let (block, options) = match first.as_ref() {
            Some(value) if is_options(value) => (None, args.optional::<Options>(index, "options")?),
            _ => (
                args.optional(index, "block")?,
                args.optional::<Options>(index.saturating_add(1), "options")?,
            ),
        };
        Ok(Self {
            block: block.unwrap_or(BlockSelector::Latest),
            proof: options.is_some_and(|options| options.proof),
        })
    }
}

/// A stretch of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: u64,
    pub(super) limit: usize,
}

impl Page {
    /// From an offset and a limit, each of which may be absent.
    pub(super) fn new(offset: Option<Count>, limit: Option<Count>) -> Result<Self, RpcError> {
        let limit = limit.map_or(PAGE_DEFAULT, |limit| usize::try_from(limit.0).unwrap_or(usize::MAX));
        if limit == 0 || limit > PAGE_MAX {
            return Err(RpcError::InvalidParams(format!("a page has 1 to {PAGE_MAX} entries")));
        }
        Ok(Self { offset: offset.map_or(0, |offset| offset.0), limit })
    }

    /// From two positions.
    pub(super) fn of(args: &Args<'_>, index: usize) -> Result<Self, RpcError> {
        Self::new(args.optional(index, "offset")?, args.optional(index.saturating_add(1), "limit")?)
    }

    /// The places of a list of this length that the page shows, and where the next page begins.
    pub(super) fn places(self, total: u64) -> (std::ops::Range<u64>, Option<u64>) {
        let from = self.offset.min(total);
        let to = from.saturating_add(self.limit as u64).min(total);
        (from..to, Some(to).filter(|to| *to < total))
    }
}

/// A node as clients name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeName {
    /// By its public key, and where it is reached if that was said.
    Public { node: NodeId, at: Option<(String, u16)> },
    /// By the hash of that.
    Key(B256),
    /// By the address that signs for it when it validates.
    Validator(Address),
}

impl NodeName {
    /// An `enode://` address, 128 hex digits of a public key, 64 of a node key, or an address.
    pub(crate) fn parse(text: &str) -> Result<Self, RpcError> {
        let wrong = |reason: String| RpcError::InvalidArgument { index: 0, name: "node", reason };
        if let Some(rest) = text.strip_prefix("enode://") {
            let (id, place) = rest.split_once('@').unwrap_or((rest, ""));
            let node = NodeId::from_hex(id).map_err(|error| wrong(error.to_string()))?;
            return Ok(Self::Public { node, at: place_of(place).map_err(wrong)? });
        }
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match digits.len() {
            128 => match NodeId::from_hex(digits) {
                Ok(node) => Ok(Self::Public { node, at: None }),
                Err(error) => Err(wrong(error.to_string())),
            },
            64 => digits.parse().map(Self::Key).map_err(|_| wrong("not hex".to_owned())),
            40 => digits.parse().map(Self::Validator).map_err(|_| wrong("not hex".to_owned())),
            _ => Err(wrong(
                "an enode:// address, a public key (128 hex digits), a node key (64) or a validator's address (40) is \
                 expected"
                    .to_owned(),
            )),
        }
    }

    /// The key of its entry in the registry; zero where an address signs for no node.
    pub(super) fn key(&self, contracts: &mut Contracts<'_>) -> Result<B256, RpcError> {
        match self {
            Self::Public { node, .. } => Ok(keccak256(node.0)),
            Self::Key(key) => Ok(*key),
            Self::Validator(validator) => {
                contracts.read(REGISTRY, Registry::nodeOfValidatorCall { validator: *validator })
            }
        }
    }
}

/// `host:port`, what follows a question mark left aside; nothing for the empty text.
fn place_of(text: &str) -> Result<Option<(String, u16)>, String> {
    let text = text.split_once('?').map_or(text, |(place, _)| place);
    if text.is_empty() {
        return Ok(None);
    }
    let (host, port) = text.rsplit_once(':').ok_or("host:port is expected behind the @")?;
    let port = port.parse().map_err(|_| "the port is no number from 0 to 65535".to_owned())?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.is_empty() || bare.len() > 253 || !bare.is_ascii() {
        true => Err("a host is expected behind the @".to_owned()),
        false => Ok(Some((bare.to_owned(), port))),
    }
}

/// A member by its id, or by the address of an admin or account of it.
pub(super) fn member_id(text: &str, contracts: &mut Contracts<'_>) -> Result<B256, RpcError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let wrong = || RpcError::InvalidArgument {
        index: 0,
        name: "member",
        reason:
            "a member's id (64 hex digits), or the address of one of its accounts or admins (40) is expected"
                .to_owned(),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    match digits.len() {
        64 => digits.parse().map_err(|_| wrong()),
        40 => {
            let account = digits.parse().map_err(|_| wrong())?;
            contracts.read(REGISTRY, Registry::memberOfCall { account })
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonrpsee::types::Params;

    fn tail(json: &'static str) -> Result<Tail, RpcError> {
        Tail::of(&Args::new(&Params::new(Some(json)), 4).unwrap(), 1)
    }

    #[test]
    fn block_and_options_may_each_be_left_out() {
        let latest = Tail { block: BlockSelector::Latest, proof: false };
        assert_eq!(tail(r#"["0x"]"#).unwrap(), latest);
        assert_eq!(tail(r#"["0x", null, null]"#).unwrap(), latest);
        assert_eq!(tail(r#"["0x", {"proof": true}]"#).unwrap(), Tail { proof: true, ..latest });
        let five = Tail { block: BlockSelector::Number(5), proof: false };
        assert_eq!(tail(r#"["0x", "0x5"]"#).unwrap(), five);
        assert_eq!(
            tail(r#"["0x", {"blockNumber": "0x5"}, {"proof": true}]"#).unwrap(),
            Tail { proof: true, ..five }
        );
        assert_eq!(tail(r#"["0x", {"proof": 1}]"#).unwrap_err().code(), -32602);
        assert_eq!(tail(r#"["0x", {"proof": true, "more": 1}]"#).unwrap_err().code(), -32602);
        assert_eq!(tail(r#"["0x", "latest", {"prove": true}]"#).unwrap_err().code(), -32602);
    }

    #[test]
    fn pages_are_bounded() {
        let page = |offset, limit| Page::new(Some(Count(offset)), Some(Count(limit)));
        assert_eq!(page(5, 10).unwrap().places(100), (5..15, Some(15)));
        assert_eq!(page(95, 10).unwrap().places(100), (95..100, None));
        assert_eq!(page(u64::MAX, 10).unwrap().places(100), (100..100, None));
        assert_eq!(Page::new(None, None).unwrap(), Page { offset: 0, limit: PAGE_DEFAULT });
        assert!(page(0, 0).is_err() && page(0, 201).is_err() && page(0, u64::MAX).is_err());
    }

    #[test]
    fn a_node_has_four_names() {
        let node = crate::testing::key(7).node_id();
        let named = |text: &str| NodeName::parse(text);
        assert_eq!(named(&node.to_string()).unwrap(), NodeName::Public { node, at: None });
        assert_eq!(named(&format!("0x{node}")).unwrap(), NodeName::Public { node, at: None });
        assert_eq!(named(&format!("enode://{node}")).unwrap(), NodeName::Public { node, at: None });
        let at = Some(("::1".to_owned(), 30303));
        assert_eq!(
            named(&format!("enode://{node}@[::1]:30303?discport=0")).unwrap(),
            NodeName::Public { node, at }
        );
        assert_eq!(
            named(&format!("{:x}", B256::repeat_byte(3))).unwrap(),
            NodeName::Key(B256::repeat_byte(3))
        );
        let validator = Address::repeat_byte(4);
        assert_eq!(named(&validator.to_string()).unwrap(), NodeName::Validator(validator));
        for wrong in ["", "0x", "enode://", "hello", &"f".repeat(128), &format!("enode://{node}@host")] {
            assert_eq!(named(wrong).unwrap_err().code(), -32602, "{wrong}");
        }
        assert!(named(&format!("enode://{node}@host:99999")).is_err());
        assert!(named(&format!("enode://{node}@:1")).is_err());
        assert!(named(&"zz".repeat(32)).is_err());
    }
}
