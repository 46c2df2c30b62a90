//! Handing things to managers at URLs.

use super::{Lines, PUSH_TIME};
use crate::tessera::http::{Answer, HttpError};
use crate::tessera::media::Media;
use crate::tessera::server::GroupCourier;
use crate::{
    Codec, EncodedPayload, PayloadHash, PeerUrl, PeerVersions, PrivacyGroup, PrivacyMode, PtmError,
    PublicKey, UrlCourier,
};
use futures::FutureExt;
use futures::future::BoxFuture;

/// What a recipient's manager answered, as the sender hears it.
fn taken(answer: Result<Answer, HttpError>, url: &PeerUrl, recipient: PublicKey) -> Result<Answer, PtmError> {
    match answer {
        Ok(answer) if answer.is_success() => Ok(answer),
        Ok(answer) => {
            let reason = format!("Unable to push payload to recipient url {url}: {}", answer.error());
            Err(PtmError::Refused { recipient, reason })
        }
        Err(error) => Err(PtmError::Unreachable { recipient, reason: format!("{url}: {error}") }),
    }
}

impl Lines {
    /// Hands an envelope over in the best encoding that both sides announced.
    pub(crate) async fn push(
        &self,
        url: &PeerUrl,
        recipient: PublicKey,
        copy: &EncodedPayload,
    ) -> Result<(), PtmError> {
        let codec = if self.options.cbor { UrlCourier::versions(self, url).codec() } else { Codec::Legacy };
        let body = copy.encode(codec);
        let answer = self.post(url, "/push", Media::Octets.name(), body, PUSH_TIME).await;
        let answer = taken(answer, url, recipient)?;
        let named = answer.text().parse::<PayloadHash>().ok();
        if named.is_some_and(|hash| hash != copy.hash()) {
            let reason = format!("{url} took it for another payload: the encodings differ");
            return Err(PtmError::Refused { recipient, reason });
        }
        Ok(())
    }

    async fn give_group(&self, member: PublicKey, group: &PrivacyGroup) -> Result<(), PtmError> {
        let url = self.table.lock().place(&member).ok_or(PtmError::UnknownRecipient(member))?;
        UrlCourier::versions(self, &url).check(&member, PrivacyMode::Standard, true)?;
        let answer =
            self.post(&url, "/pushPrivacyGroup", Media::Octets.name(), group.encode(), PUSH_TIME).await;
        taken(answer, &url, member).map(drop)
    }
}

impl UrlCourier for Lines {
    fn push(
        &self,
        url: PeerUrl,
        recipient: PublicKey,
        copy: EncodedPayload,
    ) -> BoxFuture<'_, Result<(), PtmError>> {
        async move { Lines::push(self, &url, recipient, &copy).await }.boxed()
    }

    fn versions(&self, url: &PeerUrl) -> PeerVersions {
        self.table.lock().versions(url)
    }
}

impl GroupCourier for Lines {
    fn push_group(&self, member: PublicKey, group: PrivacyGroup) -> BoxFuture<'_, Result<(), PtmError>> {
        async move { self.give_group(member, &group).await }.boxed()
    }
}
