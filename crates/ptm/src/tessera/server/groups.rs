//! Privacy groups, as users of Besu know them.

use super::Groups;
use crate::limits::MAX_GROUP_TEXT_BYTES;
use crate::tessera::json::{self, GroupJson, JsonError};
use crate::tessera::media::{Media, PLAIN_JSON};
use crate::tessera::reply::{Call, Outcome, Reply};
use crate::{GroupKind, PrivacyGroup, PtmError, PublicKey, base64};
use alloy_primitives::Bytes;
use futures::future::BoxFuture;
use serde::Deserialize;

/// Bytes of the seed that a group gets whose maker gave none.
const SEED_BYTES: usize = 20;

/// Carries groups to the managers of their members.
pub trait GroupCourier: Send + Sync {
    /// Hands a group to the manager of a member. [`PtmError::Unreachable`] and [`PtmError::Refused`] say why it does not have
    /// it, [`PtmError::UnknownRecipient`] that nobody knows where it is.
    fn push_group(&self, member: PublicKey, group: PrivacyGroup) -> BoxFuture<'_, Result<(), PtmError>>;
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GroupRequest {
    addresses: Option<Vec<String>>,
    from: Option<String>,
    name: Option<String>,
    description: Option<String>,
    seed: Option<String>,
    privacy_group_id: Option<String>,
}

/// `GET /groups/{type}`.
pub(super) fn list(groups: Option<&Groups>, kind: &str) -> Outcome {
    if kind.eq_ignore_ascii_case(GroupKind::Resident.name()) {
        return Err(Reply::text(
            503,
            "Multiple private states feature is not available on this privacy manager",
        ));
    }
    let kind = GroupKind::from_name(&kind.to_ascii_uppercase()).ok_or_else(Reply::unknown_path)?;
    let all = kept(groups)?.manager.groups()?;
    let of_kind = all.iter().filter(|group| group.kind == kind && !group.deleted);
    Ok(Reply::json(200, Media::Json, &of_kind.map(GroupJson::of).collect::<Vec<_>>()))
}

/// The four ways to make, find and delete one.
pub(super) async fn change(groups: Option<&Groups>, call: &Call) -> Outcome {
    call.media(PLAIN_JSON)?;
    let request: GroupRequest = call.json()?;
    let groups = kept(groups)?;
    match call.segments().as_slice() {
        ["createPrivacyGroup"] => create(groups, &request).await,
        ["findPrivacyGroup"] => find(groups, &request),
        ["retrievePrivacyGroup"] => Ok(shown(&existing(groups, &request.id()?)?)),
        _ => delete(groups, &request).await,
    }
}

fn kept(groups: Option<&Groups>) -> Result<&Groups, Reply> {
    groups.ok_or_else(|| Reply::text(503, "Privacy groups are kept by the manager that this one asks"))
}

fn shown(group: &PrivacyGroup) -> Reply {
    Reply::json(200, Media::Json, &GroupJson::of(group))
}

impl GroupRequest {
    fn id(&self) -> Result<Bytes, JsonError> {
        let field = "privacyGroupId";
        json::bytes(self.privacy_group_id.as_deref().ok_or(JsonError::Missing(field))?, field)
    }

    fn members(&self) -> Result<Vec<PublicKey>, JsonError> {
        let members = json::keys(self.addresses.as_deref().unwrap_or_default(), "addresses")?;
        if members.is_empty() { Err(JsonError::Missing("addresses")) } else { Ok(members) }
    }

    /// Who asks, a member who is ours.
    fn member(&self, groups: &Groups, members: &[PublicKey]) -> Result<PublicKey, Reply> {
        let from = self.from.as_deref().map(|key| json::key(key, "from")).transpose()?;
        let from = groups.manager.keyring().sender(from)?;
        if !members.contains(&from) {
            let text = "The list of members in a privacy group should include self";
            return Err(Reply::text(403, text));
        }
        Ok(from)
    }
}

fn existing(groups: &Groups, id: &[u8]) -> Result<PrivacyGroup, Reply> {
    let unknown = || Reply::text(404, &format!("Privacy group {} not found", base64::encode(id)));
    if id.len() > MAX_GROUP_TEXT_BYTES {
        return Err(unknown());
    }
    groups.manager.group(id)?.filter(|group| !group.deleted).ok_or_else(unknown)
}

async fn create(groups: &Groups, request: &GroupRequest) -> Outcome {
    let members = request.members()?;
    request.member(groups, &members)?;
    let seed = match request.seed.as_deref() {
        Some(seed) => json::bytes(seed, "seed")?,
        None => {
            let random = crate::crypto::random_bytes::<SEED_BYTES>();
            random.map_err(|error| PtmError::Unavailable(error.to_string()))?.into()
        }
    };
    let group = PrivacyGroup {
        name: request.name.clone().unwrap_or_default(),
        description: request.description.clone().unwrap_or_default(),
        members,
        seed,
        kind: GroupKind::Pantheon,
        deleted: false,
    };
    group.check().map_err(PtmError::from)?;
    spread(groups, &group).await?;
    Ok(shown(&group))
}

fn find(groups: &Groups, request: &GroupRequest) -> Outcome {
    let wanted = crate::groups::lookup_id(&request.members()?);
    let all = groups.manager.groups()?;
    let found = all.iter().filter(|group| !group.deleted && group.kind != GroupKind::Resident);
    let found: Vec<_> = found.filter(|group| group.lookup_id() == wanted).map(GroupJson::of).collect();
    Ok(Reply::json(200, Media::Json, &found))
}

async fn delete(groups: &Groups, request: &GroupRequest) -> Outcome {
    let mut group = existing(groups, &request.id()?)?;
    request.member(groups, &group.members)?;
    group.deleted = true;
    spread(groups, &group).await?;
    Ok(Reply::json(200, Media::Json, &base64::encode(&group.id())))
}

/// Hands a group to all members' managers, and keeps it when all have it.
async fn spread(groups: &Groups, group: &PrivacyGroup) -> Result<(), Reply> {
    for member in &group.members {
        if groups.manager.keyring().manages(member) {
            continue;
        }
        match &groups.courier {
            // Groups go to URLs alone, and a key that is bound to nodes is at none.
            Some(courier) if !groups.manager.is_bound(member)? => {
                courier.push_group(*member, group.clone()).await?;
            }
            _ => return Err(PtmError::UnknownRecipient(*member).into()),
        }
    }
    Ok(groups.manager.put_group(group.clone()).await?)
}
