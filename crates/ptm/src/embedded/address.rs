//! Who gets a payload, and whether the rules allow it.

use super::{Core, MAX_SENT_BYTES, MAX_SENT_RECIPIENTS};
use crate::directory::Route;
use crate::envelope::each_once;
use crate::{Addressing, AffectedTransaction, EncodedPayload, Metadata, PtmError, PublicKey, SendRequest};
use crate::{base64, recipients_of_send, recipients_of_signed, rules};

/// A payload's parties, before anything is sealed.
pub(super) struct Addressed {
    pub(super) sender: PublicKey,
    /// Everybody, the sender included.
    pub(super) recipients: Vec<PublicKey>,
    metadata: Metadata,
    affected: Vec<AffectedTransaction>,
}

impl Addressed {
    pub(super) fn addressing(&self) -> Addressing<'_> {
        let Self { recipients, metadata, affected, .. } = self;
        Addressing { recipients, metadata, affected }
    }

    pub(super) fn seal(&self, core: &Core, payload: &[u8]) -> Result<EncodedPayload, PtmError> {
        let (surroundings, addressing) = (&*core.surroundings, self.addressing());
        Ok(EncodedPayload::encrypt_from(surroundings, &core.keyring, self.sender, payload, &addressing)?)
    }
}

/// Holds the size of a payload against what is sent.
pub(super) fn check_size(payload: &[u8]) -> Result<(), PtmError> {
    match payload.len() {
        0 => Err(PtmError::BadRequest("the payload is empty".into())),
        size if size > MAX_SENT_BYTES => {
            Err(PtmError::TooLarge { what: "payload bytes", size, limit: MAX_SENT_BYTES })
        }
        _ => Ok(()),
    }
}

impl Core {
    /// Works out who gets a node's payload.
    pub(super) fn address_send(&self, request: &SendRequest) -> Result<Addressed, PtmError> {
        check_size(&request.payload)?;
        let sender = self.keyring.sender(request.from)?;
        self.address(sender, &request.to, &request.metadata, recipients_of_send)
    }

    /// Works out who gets a payload that was stored before.
    pub(super) fn address_signed(
        &self,
        sender: PublicKey,
        to: &[PublicKey],
        metadata: &Metadata,
    ) -> Result<Addressed, PtmError> {
        self.address(sender, to, metadata, recipients_of_signed)
    }

    fn address(
        &self,
        sender: PublicKey,
        to: &[PublicKey],
        metadata: &Metadata,
        order: fn(&[PublicKey], PublicKey, &[PublicKey]) -> Vec<PublicKey>,
    ) -> Result<Addressed, PtmError> {
        let members = self.members(metadata)?;
        let to = members.as_deref().unwrap_or(to);
        let recipients = order(to, sender, &self.settings.always_send_to);
        let recipients = self.with_required(&sender, recipients, metadata)?;
        if recipients.len() > MAX_SENT_RECIPIENTS {
            let (size, limit) = (recipients.len(), MAX_SENT_RECIPIENTS);
            return Err(PtmError::TooLarge { what: "recipients", size, limit });
        }
        let mut metadata = metadata.clone();
        let mut seen = std::collections::HashSet::new();
        metadata.affected.retain(|hash| seen.insert(*hash));
        metadata.mandatory = each_once(metadata.mandatory);
        let known = self.store.envelopes(&metadata.affected)?;
        rules::check_send(self.settings.enhancements, &recipients, &metadata, &known)?;
        let open = |(_, envelope): &rules::Known| AffectedTransaction::open(&self.keyring, envelope);
        let affected = known.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Addressed { sender, recipients, metadata, affected })
    }

    /// The members of the privacy group, where one is named.
    fn members(&self, metadata: &Metadata) -> Result<Option<Vec<PublicKey>>, PtmError> {
        let Some(id) = metadata.group.as_ref().filter(|id| !id.is_empty()) else { return Ok(None) };
        match self.store.group(id)? {
            Some(group) if !group.deleted => Ok(Some(group.members)),
            _ => Err(PtmError::NotFound(format!("Privacy group not found: {}", base64::encode(id)))),
        }
    }

    /// The recipients that are not here. Each of them has to be known, and at a manager that understands this, before
    /// anybody gets anything.
    pub(super) fn remote(&self, addressed: &Addressed) -> Result<Vec<PublicKey>, PtmError> {
        let all = addressed.recipients.iter().filter(|key| !self.keyring.manages(key)).copied();
        let remote: Vec<PublicKey> = all.collect();
        for recipient in &remote {
            // The directory is not held meanwhile: whoever knows versions may be telling it something.
            let best = self.routes(recipient)?.into_iter().next();
            match best {
                None => return Err(PtmError::UnknownRecipient(*recipient)),
                Some((Route::Url(url), _)) => {
                    let versions = self.urls.get().map(|urls| urls.versions(&url)).unwrap_or_default();
                    let group = addressed.metadata.group.is_some();
                    versions.check(recipient, addressed.metadata.mode, group)?;
                }
                Some(_) => {}
            }
        }
        Ok(remote)
    }

    pub(super) fn encrypt(&self, request: &SendRequest) -> Result<EncodedPayload, PtmError> {
        self.address_send(request)?.seal(self, &request.payload)
    }
}
