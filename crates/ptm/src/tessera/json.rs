//! The JSON of Tessera's APIs. Base64 stands there as text until it is looked at: a server tells JSON that cannot be read from
//! base64 that cannot.

use crate::codec::WireEnvelope;
use crate::limits::{MAX_AFFECTED, MAX_GROUP_TEXT_BYTES, MAX_RECIPIENTS};
use crate::{
    EncodedPayload, GroupKind, Metadata, PayloadHash, PrivacyGroup, PrivacyMode, PrivatePayload, PtmError,
    PublicKey, RawPayload, SendRequest, Sent, base64,
};
use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `POST /send`, `POST /encodedpayload/create`, and `POST /sendsignedtx` with `hash` in place of `payload` and `from`.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SendJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privacy_flag: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) affected_contract_transactions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exec_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privacy_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mandatory_recipients: Option<Vec<String>>,
}

/// The answer to both ways to send, and to `POST /storeraw`.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SentJson {
    pub(crate) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) managed_parties: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender_key: Option<String>,
}

/// `GET /transaction/{hash}` and `POST /encodedpayload/decrypt`.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ReceivedJson {
    pub(crate) payload: String,
    pub(crate) privacy_flag: u64,
    pub(crate) affected_contract_transactions: Vec<String>,
    pub(crate) exec_hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) privacy_group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) managed_parties: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender_key: Option<String>,
}

/// The answer to `POST /encodedpayload/create`, and what is asked of `/encodedpayload/decrypt`.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvelopeJson {
    pub(crate) sender_key: String,
    pub(crate) cipher_text: String,
    pub(crate) cipher_text_nonce: String,
    pub(crate) recipient_boxes: Vec<String>,
    pub(crate) recipient_nonce: String,
    pub(crate) recipient_keys: Vec<String>,
    pub(crate) privacy_mode: Option<i64>,
    pub(crate) affected_contract_transactions: Option<BTreeMap<String, String>>,
    pub(crate) exec_hash: Option<String>,
}

/// `GET /keys` and `GET /partyinfo/keys`.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct KeysJson {
    keys: Vec<KeyJson>,
}

#[derive(Deserialize, Serialize)]
struct KeyJson {
    key: String,
}

/// One privacy group.
#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GroupJson {
    pub(crate) privacy_group_id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) members: Vec<String>,
}

/// Why the JSON says nothing that can be used. The texts name fields and never repeat what stands in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// A field that must be there is not, or is empty.
    #[error("{0} is required")]
    Missing(&'static str),
    /// Base64 cannot be read.
    #[error("{0} is not base64")]
    NotBase64(&'static str),
    /// A key has another length. The text may be repeated: it is a public key, and Tessera names it.
    #[error("{0}")]
    NotAKey(String),
    /// Another field has a length that it cannot have, or there are too many of them.
    #[error("{0} has a length that it cannot have")]
    Length(&'static str),
}

/// Bytes of a field.
pub(crate) fn bytes(text: &str, field: &'static str) -> Result<Bytes, JsonError> {
    base64::decode(text).map(Bytes::from).ok_or(JsonError::NotBase64(field))
}

/// A public key.
pub(crate) fn key(text: &str, field: &'static str) -> Result<PublicKey, JsonError> {
    PublicKey::try_from(bytes(text, field)?.as_ref()).map_err(|_| JsonError::NotAKey(text.to_string()))
}

/// Public keys.
pub(crate) fn keys(texts: &[String], field: &'static str) -> Result<Vec<PublicKey>, JsonError> {
    if texts.len() > MAX_RECIPIENTS {
        return Err(JsonError::Length(field));
    }
    texts.iter().map(|text| key(text, field)).collect()
}

/// The name of a payload.
pub(crate) fn hash(text: &str, field: &'static str) -> Result<PayloadHash, JsonError> {
    let bytes = bytes(text, field)?;
    let bytes: [u8; PayloadHash::LENGTH] = bytes.as_ref().try_into().map_err(|_| JsonError::Length(field))?;
    Ok(PayloadHash(bytes.into()))
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn not_empty<T: ToString>(values: &[T]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| texts(values))
}

fn affected(texts: &[String]) -> Result<Vec<PayloadHash>, JsonError> {
    const FIELD: &str = "affectedContractTransactions";
    if texts.len() > MAX_AFFECTED {
        return Err(JsonError::Length(FIELD));
    }
    texts.iter().map(|text| hash(text, FIELD)).collect()
}

fn group(text: Option<&str>) -> Result<Option<Bytes>, JsonError> {
    const FIELD: &str = "privacyGroupId";
    let id = text.map(|text| bytes(text, FIELD)).transpose()?.filter(|id| !id.is_empty());
    match id {
        Some(id) if id.len() > MAX_GROUP_TEXT_BYTES => Err(JsonError::Length(FIELD)),
        id => Ok(id),
    }
}

/// The mode of a flag. Those that have none are read as 0, as Tessera does it.
fn mode(flag: Option<i64>) -> PrivacyMode {
    let flag = flag.and_then(|flag| u64::try_from(flag).ok());
    flag.and_then(PrivacyMode::from_flag).unwrap_or_default()
}

impl SendJson {
    /// What is sent besides the payload. `mandatory`: whether mandatory recipients are read at all.
    pub(crate) fn metadata(&self, mandatory: bool) -> Result<Metadata, JsonError> {
        let named = self.mandatory_recipients.as_deref().filter(|_| mandatory).unwrap_or_default();
        Ok(Metadata {
            mode: mode(self.privacy_flag),
            affected: affected(self.affected_contract_transactions.as_deref().unwrap_or_default())?,
            exec_hash: self.exec_hash.clone().unwrap_or_default().into_bytes().into(),
            mandatory: keys(named, "mandatoryRecipients")?,
            group: group(self.privacy_group_id.as_deref())?,
        })
    }

    /// The recipients.
    pub(crate) fn recipients(&self) -> Result<Vec<PublicKey>, JsonError> {
        keys(self.to.as_deref().unwrap_or_default(), "to")
    }

    /// The payload, which must not be empty.
    pub(crate) fn payload(&self) -> Result<Bytes, JsonError> {
        let payload = self.payload.as_deref().filter(|text| !text.is_empty());
        bytes(payload.ok_or(JsonError::Missing("payload"))?, "payload")
    }

    /// The sender, where one is named.
    pub(crate) fn sender(&self) -> Result<Option<PublicKey>, JsonError> {
        self.from.as_deref().filter(|text| !text.is_empty()).map(|text| key(text, "from")).transpose()
    }

    /// The name of the stored payload.
    pub(crate) fn stored(&self) -> Result<PayloadHash, JsonError> {
        hash(self.hash.as_deref().ok_or(JsonError::Missing("hash"))?, "hash")
    }

    fn of_metadata(to: &[PublicKey], metadata: &Metadata) -> Self {
        let exec_hash = String::from_utf8_lossy(&metadata.exec_hash).into_owned();
        Self {
            to: Some(texts(to)),
            privacy_flag: Some(metadata.mode.flag().into()),
            affected_contract_transactions: Some(texts(&metadata.affected)),
            exec_hash: Some(exec_hash).filter(|hash| !hash.is_empty()),
            privacy_group_id: metadata.group.as_ref().map(|id| base64::encode(id)),
            mandatory_recipients: not_empty(&metadata.mandatory),
            ..Self::default()
        }
    }

    /// A payload to send.
    pub(crate) fn of_send(request: &SendRequest) -> Self {
        Self {
            payload: Some(base64::encode(&request.payload)),
            from: request.from.map(|key| key.to_string()),
            ..Self::of_metadata(&request.to, &request.metadata)
        }
    }

    /// A stored payload to send.
    pub(crate) fn of_signed(request: &crate::SendSigned) -> Self {
        Self { hash: Some(request.hash.to_string()), ..Self::of_metadata(&request.to, &request.metadata) }
    }

    /// A payload to store.
    pub(crate) fn of_raw(payload: &[u8], from: Option<PublicKey>) -> Self {
        Self {
            payload: Some(base64::encode(payload)),
            from: from.map(|key| key.to_string()),
            ..Self::default()
        }
    }
}

impl SentJson {
    /// An answer; with everything, or with the hash alone.
    pub(crate) fn of(sent: &Sent, all: bool) -> Self {
        Self {
            key: sent.hash.to_string(),
            managed_parties: all.then(|| texts(&sent.managed_parties)),
            sender_key: all.then(|| sent.sender.to_string()),
        }
    }

    /// The hash alone.
    pub(crate) fn of_hash(hash: &PayloadHash) -> Self {
        Self { key: hash.to_string(), ..Self::default() }
    }

    /// Reads an answer that has everything.
    pub(crate) fn sent(&self) -> Result<Sent, JsonError> {
        let sender = self.sender_key.as_deref().ok_or(JsonError::Missing("senderKey"))?;
        Ok(Sent {
            hash: hash(&self.key, "key")?,
            managed_parties: keys(self.managed_parties.as_deref().unwrap_or_default(), "managedParties")?,
            sender: key(sender, "senderKey")?,
        })
    }
}

impl ReceivedJson {
    /// An answer; `all`: with managed parties and sender.
    pub(crate) fn of(found: &PrivatePayload, all: bool) -> Self {
        let metadata = &found.metadata;
        Self {
            payload: base64::encode(&found.payload),
            privacy_flag: metadata.mode.flag().into(),
            affected_contract_transactions: texts(&metadata.affected),
            exec_hash: String::from_utf8_lossy(&metadata.exec_hash).into_owned(),
            privacy_group_id: metadata.group.as_ref().map(|id| base64::encode(id)),
            managed_parties: all.then(|| texts(&found.managed_parties)),
            sender_key: all.then(|| found.sender.to_string()),
        }
    }

    /// The answer for a payload that was stored and not sent.
    pub(crate) fn of_raw(raw: RawPayload, all: bool) -> Self {
        let (managed_parties, metadata) = (vec![raw.sender], Metadata::default());
        Self::of(&PrivatePayload { payload: raw.payload, metadata, managed_parties, sender: raw.sender }, all)
    }

    /// Reads an answer that has everything. Who had to take part is not in it.
    pub(crate) fn found(&self) -> Result<PrivatePayload, JsonError> {
        const FLAG: &str = "privacyFlag";
        let sender = self.sender_key.as_deref().ok_or(JsonError::Missing("senderKey"))?;
        let metadata = Metadata {
            mode: PrivacyMode::from_flag(self.privacy_flag).ok_or(JsonError::Length(FLAG))?,
            affected: affected(&self.affected_contract_transactions)?,
            exec_hash: self.exec_hash.clone().into_bytes().into(),
            mandatory: Vec::new(),
            group: group(self.privacy_group_id.as_deref())?,
        };
        Ok(PrivatePayload {
            payload: bytes(&self.payload, "payload")?,
            metadata,
            managed_parties: keys(self.managed_parties.as_deref().unwrap_or_default(), "managedParties")?,
            sender: key(sender, "senderKey")?,
        })
    }
}

/// Reads an envelope that is not stored, as clients of Tessera and GoQuorum write it: all bytes in base64.
///
/// # Errors
/// [`PtmError::BadRequest`] says what is wrong with it, and repeats nothing of it but a key that is none.
pub fn envelope_of_json(json: &[u8]) -> Result<EncodedPayload, PtmError> {
    let json: EnvelopeJson = serde_json::from_slice(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        PtmError::BadRequest(format!("the JSON cannot be read: line {line}, column {column}"))
    })?;
    json.envelope().map_err(|error| PtmError::BadRequest(error.to_string()))
}

impl EnvelopeJson {
    /// Writes an envelope.
    pub(crate) fn of(envelope: &EncodedPayload) -> Self {
        let security = |(hash, security): &(PayloadHash, crate::SecurityHash)| {
            (hash.to_string(), base64::encode(security.0.as_slice()))
        };
        Self {
            sender_key: envelope.sender.to_string(),
            cipher_text: base64::encode(&envelope.cipher_text),
            cipher_text_nonce: base64::encode(&envelope.cipher_text_nonce),
            recipient_boxes: envelope.boxes.iter().map(|sealed| base64::encode(sealed)).collect(),
            recipient_nonce: base64::encode(&envelope.recipient_nonce),
            recipient_keys: texts(&envelope.recipients),
            privacy_mode: Some(envelope.mode.flag().into()),
            affected_contract_transactions: Some(envelope.affected.iter().map(security).collect()),
            exec_hash: Some(base64::encode(&envelope.exec_hash)),
        }
    }

    /// Its mode, as the client says.
    pub(crate) fn mode(&self) -> PrivacyMode {
        mode(self.privacy_mode)
    }

    /// Reads an envelope. Clients leave out what they do not know; mandatory recipients are never there, so an envelope of that
    /// mode is opened as one of a standard payload: nothing that is sealed depends on it.
    pub(crate) fn envelope(&self) -> Result<EncodedPayload, JsonError> {
        let list = |texts: &[String], field| -> Result<Vec<Bytes>, JsonError> {
            if texts.len() > MAX_RECIPIENTS {
                return Err(JsonError::Length(field));
            }
            texts.iter().map(|text| bytes(text, field)).collect()
        };
        let mode = match self.mode() {
            PrivacyMode::MandatoryRecipients => PrivacyMode::Standard,
            mode => mode,
        };
        let wire = WireEnvelope {
            sender: bytes(&self.sender_key, "senderKey")?,
            cipher_text: bytes(&self.cipher_text, "cipherText")?,
            cipher_text_nonce: bytes(&self.cipher_text_nonce, "cipherTextNonce")?,
            boxes: list(&self.recipient_boxes, "recipientBoxes")?,
            recipient_nonce: bytes(&self.recipient_nonce, "recipientNonce")?,
            recipients: list(&self.recipient_keys, "recipientKeys")?,
            mode,
            affected: self.affected()?,
            exec_hash: bytes(self.exec_hash.as_deref().unwrap_or_default(), "execHash")?,
            mandatory: Vec::new(),
            group: Bytes::new(),
        };
        EncodedPayload::try_from(wire).map_err(|_| JsonError::Length("a field of the payload"))
    }

    fn affected(&self) -> Result<Vec<(Bytes, Bytes)>, JsonError> {
        const FIELD: &str = "affectedContractTransactions";
        let Some(pairs) = &self.affected_contract_transactions else { return Ok(Vec::new()) };
        if pairs.len() > MAX_AFFECTED {
            return Err(JsonError::Length(FIELD));
        }
        pairs.iter().map(|(hash, security)| Ok((bytes(hash, FIELD)?, bytes(security, FIELD)?))).collect()
    }
}

impl KeysJson {
    /// Writes keys.
    pub(crate) fn of(keys: &[PublicKey]) -> Self {
        Self { keys: keys.iter().map(|key| KeyJson { key: key.to_string() }).collect() }
    }

    /// Reads them.
    pub(crate) fn keys(&self) -> Result<Vec<PublicKey>, JsonError> {
        self.keys.iter().take(MAX_RECIPIENTS).map(|entry| key(&entry.key, "keys")).collect()
    }
}

impl GroupJson {
    /// Writes a group.
    pub(crate) fn of(group: &PrivacyGroup) -> Self {
        Self {
            privacy_group_id: base64::encode(&group.id()),
            name: group.name.clone(),
            description: group.description.clone(),
            kind: GroupKind::name(group.kind).into(),
            members: texts(&group.members),
        }
    }
}
