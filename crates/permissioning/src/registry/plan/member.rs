//! One member as an operator writes it, and as the contracts take it.

use super::PlanError;
use super::identity::{hash_of, id_value, member_id};
use crate::registry::abi::{
    ADMINS_MAX, Access, ENDPOINTS_BYTES_MAX, IdScheme, MemberInput, MemberKind, MemberRecord, NodeInput,
    QUOTA_CLASSES, Role,
};
use alloy_primitives::{Address, B256, keccak256};
use lonja_primitives::NodeId;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A member as written.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MemberFile {
    lei: Option<String>,
    tax_id: Option<String>,
    euid: Option<String>,
    did: Option<String>,
    name: String,
    kind: Option<String>,
    #[serde(default)]
    sector: u16,
    #[serde(default)]
    region: u16,
    group: Option<String>,
    voting: Option<bool>,
    admins: Vec<Address>,
    threshold: Option<u8>,
    #[serde(default)]
    quota_class: u8,
    did_document: Option<String>,
    documents: Option<String>,
    #[serde(default)]
    nodes: Vec<NodeFile>,
    #[serde(default)]
    accounts: Vec<AccountFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NodeFile {
    key: String,
    roles: Option<Vec<String>>,
    endpoints: Option<Vec<String>>,
    host_region: Option<u16>,
    #[serde(default)]
    host_provider: u32,
    #[serde(default)]
    sw_version: u32,
    #[serde(default)]
    expires: u64,
    validator_address: Option<Address>,
    validates: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccountFile {
    address: Address,
    access: Option<Vec<String>>,
    quota_class: Option<u8>,
    #[serde(default)]
    expires: u64,
}

/// A member to be, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPlan {
    /// Its name, which does not go on chain.
    pub name: String,
    /// Its id in the contracts.
    pub id: B256,
    /// What a proposal to admit it, or the seeding, says.
    pub input: MemberInput,
    /// Its nodes, in the order of the plan.
    pub nodes: Vec<NodePlan>,
    /// Its accounts, likewise.
    pub accounts: Vec<AccountPlan>,
}

/// A node to be, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePlan {
    /// Its public key.
    pub node: NodeId,
    /// What the contracts take. A member's admins add a node without the role validator; that comes from a vote.
    pub input: NodeInput,
    /// Whether it is one of the first validators.
    pub validates: bool,
}

/// An account to be, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountPlan {
    /// Whose transactions are permitted.
    pub address: Address,
    /// What it may do, as a bitmap.
    pub access: u16,
    /// Its class of quotas, as its member's tools understand it.
    pub quota_class: u8,
    /// The first block at which it is not permitted any more; 0 for none.
    pub expires: u64,
}

impl NodePlan {
    /// The key of its entry: the hash of the public key.
    pub fn key(&self) -> B256 {
        keccak256(self.node.0)
    }

    /// The address that signs for it when it validates.
    pub fn validator(&self) -> Address {
        match self.input.validatorAddress {
            Address::ZERO => self.node.address(),
            given => given,
        }
    }
}

impl MemberPlan {
    /// Reads one member, as a plan has it in `members`.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        let file: MemberFile = super::parse(text)?;
        file.check("")
    }
}

impl MemberFile {
    /// `path` is the place in the plan, with a dot behind it, or nothing.
    pub(super) fn check(self, path: &str) -> Result<MemberPlan, PlanError> {
        let (scheme, value) = self.identity(path)?;
        let id = member_id(scheme, value);
        let hash = |field: &str, text: &Option<String>, without: B256| {
            let hash = text.as_deref().map_or(Ok(without), hash_of);
            hash.map_err(|reason| PlanError::at(path, field, reason))
        };
        let kind = match &self.kind {
            None => MemberKind::Ordinary,
            Some(kind) => kind.parse().map_err(|reason: String| PlanError::at(path, "kind", reason))?,
        };
        check_class(path, "quotaClass", self.quota_class)?;
        if self.name.trim().is_empty() {
            return Err(PlanError::at(path, "name", "it must say something"));
        }
        let record = MemberRecord {
            kind: kind.number(),
            voting: self.voting.unwrap_or(true),
            quotaClass: self.quota_class,
            sector: self.sector,
            region: self.region,
            controlGroup: hash("group", &self.group, id)?,
            legalNameHash: keccak256(&self.name),
            didHash: hash("didDocument", &self.did_document, B256::ZERO)?,
            docsHash: hash("documents", &self.documents, B256::ZERO)?,
        };
        let admin_threshold = self.threshold(path)?;
        let nodes = self.nodes.into_iter().enumerate();
        let nodes = nodes.map(|(n, node)| node.check(&format!("{path}nodes[{n}]."), self.region, kind));
        let accounts = self.accounts.into_iter().enumerate();
        let accounts = accounts.map(|(n, one)| one.check(&format!("{path}accounts[{n}]."), self.quota_class));
        Ok(MemberPlan {
            nodes: nodes.collect::<Result<_, _>>()?,
            accounts: accounts.collect::<Result<_, _>>()?,
            name: self.name,
            id,
            input: MemberInput {
                idScheme: scheme.number(),
                idValue: value,
                admins: self.admins,
                adminThreshold: admin_threshold,
                record,
            },
        })
    }

    fn identity(&self, path: &str) -> Result<(IdScheme, B256), PlanError> {
        let ids = [
            (IdScheme::Lei, &self.lei),
            (IdScheme::TaxId, &self.tax_id),
            (IdScheme::Euid, &self.euid),
            (IdScheme::Did, &self.did),
        ];
        let mut given = ids.into_iter().filter_map(|(scheme, text)| Some((scheme, text.as_ref()?)));
        let (Some((scheme, text)), None) = (given.next(), given.next()) else {
            let reason = "a member is known by exactly one of lei, taxId, euid and did";
            return Err(PlanError::at(path, "lei", reason));
        };
        let value = id_value(scheme, text);
        value.map(|value| (scheme, value)).map_err(|reason| PlanError::at(path, scheme.name(), reason))
    }

    /// One admin acts alone; how many of several must agree is not for us to guess.
    fn threshold(&self, path: &str) -> Result<u8, PlanError> {
        let admins: BTreeSet<_> = self.admins.iter().collect();
        let count = self.admins.len();
        if count == 0 || count > ADMINS_MAX || admins.len() != count || admins.contains(&Address::ZERO) {
            let reason = format!("1 to {ADMINS_MAX} different addresses are expected");
            return Err(PlanError::at(path, "admins", reason));
        }
        match self.threshold {
            None if count == 1 => Ok(1),
            None => Err(PlanError::at(path, "threshold", "say how many of the admins must agree to an act")),
            Some(threshold) if (1..=count).contains(&usize::from(threshold)) => Ok(threshold),
            Some(_) => Err(PlanError::at(
                path,
                "threshold",
                format!("from 1 to the number of admins, {count}, is expected"),
            )),
        }
    }
}

impl NodeFile {
    fn check(self, path: &str, region: u16, kind: MemberKind) -> Result<NodePlan, PlanError> {
        let (node, place) = read_key(&self.key).map_err(|reason| PlanError::at(path, "key", reason))?;
        let roles = match &self.roles {
            None => Role::Regular.number(),
            Some(names) => {
                bits(names, Role::number).map_err(|reason| PlanError::at(path, "roles", reason))?
            }
        };
        let supervises = roles & Role::Supervisor.number() != 0;
        if supervises && !matches!(kind, MemberKind::Supervisor | MemberKind::Auditor) {
            let reason = "the role supervisor is for members of kind supervisor or auditor";
            return Err(PlanError::at(path, "roles", reason));
        }
        let candidate = roles & Role::Validator.number() != 0;
        let validates = self.validates.unwrap_or(candidate);
        if validates && !candidate {
            return Err(PlanError::at(path, "validates", "the node needs the role validator for that"));
        }
        let endpoints = self.endpoints.unwrap_or_else(|| place.into_iter().collect());
        let endpoints = join(&endpoints).map_err(|reason| PlanError::at(path, "endpoints", reason))?;
        let input = NodeInput {
            publicKey: node.0.to_vec().into(),
            roles,
            expires: self.expires,
            validatorAddress: self.validator_address.unwrap_or_default(),
            hostRegion: self.host_region.unwrap_or(region),
            hostProvider: self.host_provider,
            swVersion: self.sw_version,
            endpoints: endpoints.into_bytes().into(),
        };
        Ok(NodePlan { node, input, validates })
    }
}

impl AccountFile {
    fn check(self, path: &str, quota_class: u8) -> Result<AccountPlan, PlanError> {
        let access = match &self.access {
            None => [Access::Transfer, Access::Call, Access::Deploy]
                .iter()
                .fold(0, |bits, one| bits | one.number()),
            Some(names) => {
                bits(names, Access::number).map_err(|reason| PlanError::at(path, "access", reason))?
            }
        };
        let quota_class = self.quota_class.unwrap_or(quota_class);
        check_class(path, "quotaClass", quota_class)?;
        if self.address.is_zero() {
            return Err(PlanError::at(path, "address", "nobody has the zero address"));
        }
        Ok(AccountPlan { address: self.address, access, quota_class, expires: self.expires })
    }
}

fn check_class(path: &str, field: &str, class: u8) -> Result<(), PlanError> {
    if usize::from(class) < QUOTA_CLASSES {
        return Ok(());
    }
    Err(PlanError::at(path, field, format!("classes go from 0 to {}", QUOTA_CLASSES - 1)))
}

fn bits<T: std::str::FromStr<Err = String>>(
    names: &[String],
    number: impl Fn(T) -> u16,
) -> Result<u16, String> {
    let mut bits = 0;
    for name in names {
        bits |= number(name.parse()?);
    }
    if bits == 0 { Err("at least one is expected".into()) } else { Ok(bits) }
}

/// A node's key from an `enode://` address, whose place is taken along, or from the hex digits alone.
fn read_key(text: &str) -> Result<(NodeId, Option<String>), String> {
    let Some(rest) = text.strip_prefix("enode://") else {
        return Ok((NodeId::from_hex(text).map_err(|error| error.to_string())?, None));
    };
    let (id, place) = rest.split_once('@').ok_or("an enode address is enode://KEY@HOST:PORT")?;
    let place = place.split_once('?').map_or(place, |(place, _)| place);
    check_endpoint(place)?;
    Ok((NodeId::from_hex(id).map_err(|error| error.to_string())?, Some(place.to_owned())))
}

fn join(endpoints: &[String]) -> Result<String, String> {
    endpoints.iter().try_for_each(|endpoint| check_endpoint(endpoint))?;
    let joined = endpoints.join(",");
    if joined.len() > ENDPOINTS_BYTES_MAX {
        return Err(format!(
            "together they have {} characters, at most {ENDPOINTS_BYTES_MAX} fit",
            joined.len()
        ));
    }
    Ok(joined)
}

fn check_endpoint(text: &str) -> Result<(), String> {
    let wrong = || format!("{text:?} is not HOST:PORT; an IPv6 address stands in brackets");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port_fits = port.parse::<u16>().is_ok_and(|port| port != 0);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    if port_fits && host_fits { Ok(()) } else { Err(wrong()) }
}
