//! Stating what is here.

use super::Core;
use crate::statement::{Evidence, Standing, Statement};
use crate::store::now_ms;
use crate::{EncodedPayload, Lookup, PayloadHash, PtmError, PublicKey};
use alloy_primitives::{B256, Bytes};
use lonja_primitives::Signature;

impl Core {
    pub(super) async fn statement(&self, hash: PayloadHash, disclose: bool) -> Result<Statement, PtmError> {
        let envelope = self.store.envelope(&hash)?.map(|row| row.envelope);
        let mut statement = Statement {
            payload: hash,
            genesis: self.settings.genesis,
            standing: Standing::Absent,
            sender: None,
            recipients: Vec::new(),
            opened_by: Vec::new(),
            order: None,
            time_ms: now_ms(),
            node: self.node,
            signature: Signature([0; 65]),
            transaction: None,
            evidence: None,
        };
        match envelope {
            Some(envelope) => {
                statement.opened_by = self.openers(&envelope);
                if statement.opened_by.is_empty() {
                    return Err(PtmError::NoKey(hash));
                }
                statement.evidence = Some(self.evidence(hash, &envelope, disclose).await?);
                statement.standing = Standing::Held;
                statement.sender = Some(envelope.sender);
                statement.recipients = envelope.recipients;
            }
            None => {
                let tombstone = self.tombstone(&hash)?;
                statement.order = tombstone.map(|tombstone| tombstone.order);
                if statement.order.is_some() {
                    statement.standing = Standing::Erased;
                }
            }
        }
        Ok(statement.sign(&*self.signer))
    }

    fn openers(&self, envelope: &EncodedPayload) -> Vec<PublicKey> {
        let keys = self.keyring.keys().iter().copied();
        keys.filter(|own| envelope.decrypt_with(&self.keyring, own).is_ok()).collect()
    }

    async fn evidence(
        &self,
        hash: PayloadHash,
        envelope: &EncodedPayload,
        disclose: bool,
    ) -> Result<Evidence, PtmError> {
        let (cipher_text, nonce) =
            (envelope.cipher_text.clone(), Bytes::copy_from_slice(&envelope.cipher_text_nonce));
        let mut master_key = None;
        if disclose {
            // What is disclosed is read.
            if let Lookup::Unavailable(reason) = self.lookup_recorded(hash).await {
                return Err(PtmError::Unavailable(reason));
            }
            let opened = envelope.open(&self.keyring)?;
            master_key = Some(B256::from(*opened.master_key.as_bytes()));
        }
        Ok(Evidence { cipher_text, nonce, master_key })
    }

    /// Whether everything that came and went so far was dealt with.
    pub(super) fn is_followed(&self) -> Result<bool, PtmError> {
        let done = self.store.arrivals_done()?;
        Ok(self.store.arrived_after(done, 1)?.is_empty())
    }
}
