//! What a node asks of a private-transaction manager.

use crate::{EncodedPayload, Lookup, PayloadHash, PrivatePayload, PtmError, PublicKey, RawPayload};
use crate::{SendRequest, SendSigned, Sent};
use alloy_primitives::Bytes;
use futures::future::BoxFuture;

/// A private-transaction manager: one that is part of this node, or a Tessera elsewhere.
pub trait PrivateTransactionManager: Send + Sync {
    /// Encrypts a payload, keeps it and hands it to every recipient. When it returns `Ok`, all of them have it.
    fn send(&self, request: SendRequest) -> BoxFuture<'_, Result<Sent, PtmError>>;

    /// Encrypts and keeps a payload for a transaction that a client signs itself. Nobody else gets it yet. `from`: the
    /// sender, the manager's default key where it is `None`.
    fn store_raw(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
    ) -> BoxFuture<'_, Result<PayloadHash, PtmError>>;

    /// Hands a payload that was kept by [`store_raw`](Self::store_raw) to its recipients.
    fn send_signed(&self, request: SendSigned) -> BoxFuture<'_, Result<Sent, PtmError>>;

    /// The payload of a transaction in a block, or why there is none.
    fn lookup(&self, hash: PayloadHash) -> BoxFuture<'_, Lookup>;

    /// The payload that [`store_raw`](Self::store_raw) kept. [`PtmError::NotFound`] where it did not.
    fn raw_payload(&self, hash: PayloadHash) -> BoxFuture<'_, Result<RawPayload, PtmError>>;

    /// Whether one of this manager's keys sent the payload.
    fn is_sender(&self, hash: PayloadHash) -> BoxFuture<'_, Result<bool, PtmError>>;

    /// The recipients as they are known here, the sender included where it is known.
    fn participants(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>>;

    /// Who had to take part. [`PtmError::BadRequest`] where the payload has another mode.
    fn mandatory(&self, hash: PayloadHash) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>>;

    /// This manager's own keys, the default one first.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<PublicKey>, PtmError>>;

    /// Erases a payload here. [`PtmError::NotFound`] where there is none.
    fn erase(&self, hash: PayloadHash) -> BoxFuture<'_, Result<(), PtmError>>;

    /// Encrypts a payload for its recipients without keeping or sending it.
    fn encrypt(&self, request: SendRequest) -> BoxFuture<'_, Result<EncodedPayload, PtmError>>;

    /// Decrypts an envelope that is not stored.
    fn decrypt(&self, envelope: EncodedPayload) -> BoxFuture<'_, Result<PrivatePayload, PtmError>>;
}
