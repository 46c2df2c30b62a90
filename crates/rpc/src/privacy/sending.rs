//! Private transactions that the node signs.
//!
//! ```text
//!  request ─▶ draft ─▶ cover ─▶ what the parties are told ─▶ payload to the parties ─▶ sign ─┬──────────────▶ pool
//!   terms     gas      marker?   (the message is run)         its hash stands on chain       └▶ marker ─────▶ pool
//! ```
//!
//! Nobody gets a payload before everything was checked that can be checked without it.

use super::covers::{self, Cover};
use super::drafts::{Draft, NextBlock};
use super::metadata::{found_out, metadata};
use super::terms::Terms;
use super::{RpcPrivacy, parties};
use crate::context::Context;
use crate::error::RpcError;
use crate::methods::accounts::request::SendRequest;
use crate::methods::accounts::sending::{self as accounts, Turn, submit};
use crate::methods::accounts::signing::{Authority, Unsigned, sign, sign_by, sign_private};
use crate::params::Args;
use crate::register::Table;
use alloy_primitives::{Address, B256, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonrpsee::types::Params;
use lonja_primitives::{BlockRules, PayloadHash, RecoveredTransaction};
use lonja_ptm::{Metadata, PrivacyMode, PublicKey, SendRequest as Parcel, Sent};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

pub(super) fn register(table: &mut Table) {
    table.waiting("eth_sendTransactionAsync", send_unattended);
}

/// Sends a private transaction; the hash of what everybody sees of it, once the pool has taken it.
///
/// What was begun is finished, also for a client that goes away meanwhile.
pub(crate) async fn send(
    context: Arc<Context>,
    request: SendRequest,
    authority: Authority,
) -> Result<B256, RpcError> {
    let terms = Terms::read(&context, &request.private)?;
    let privacy = Arc::clone(parties(&context)?);
    let place = context.private.distribute()?;
    let sending = tokio::spawn(async move {
        let _place = place;
        let terms = terms.supervised(&context, &privacy, request.from).await?;
        Sender { context, privacy, terms, account: request.from, authority }.run(request).await
    });
    sending.await.unwrap_or_else(|error| Err(RpcError::Internal(format!("sending failed: {error}"))))
}

/// One private transaction on its way.
struct Sender {
    context: Arc<Context>,
    privacy: Arc<RpcPrivacy>,
    terms: Terms,
    account: Address,
    authority: Authority,
}

/// A transaction before its parties are told anything.
struct Prepared {
    draft: Draft,
    cover: Cover,
    /// The nonce; `None` where it is the account's next one at the end.
    nonce: Option<u64>,
    /// That one, or the account's next as it seems now.
    likely: u64,
    /// What the parties are told; `None` where states are compared, which is another's work.
    metadata: Option<Metadata>,
    /// Those of the block that it may come into.
    rules: BlockRules,
}

impl Sender {
    async fn run(self, request: SendRequest) -> Result<B256, RpcError> {
        let Prepared { draft, cover, mut nonce, mut likely, metadata: known, rules } =
            self.prepare(request).await?;
        let draft = Arc::new(draft);
        let mut turn = None;
        let metadata = match known {
            Some(metadata) => metadata,
            None => {
                // What a contract comes to is compared, and where it stands is part of that.
                if nonce.is_none() {
                    turn = Some(self.turn().await?);
                    likely = self.likely_nonce(&draft).await?;
                    nonce = Some(likely);
                }
                metadata(&self.context, &self.privacy, &self.terms, draft.message(likely)).await?
            }
        };
        let sent = self.distribute(draft.payload.clone(), self.terms.from, metadata).await?;
        if nonce.is_none() {
            turn = Some(self.turn().await?);
        }
        let signed = self.signed(draft, nonce, sent.hash).await?;
        let hash = match cover {
            Cover::Open => submit(&self.context, signed.raw().clone()).await,
            cover => self.covered(cover, &rules, &signed, sent.sender).await,
        };
        drop::<Option<Turn>>(turn);
        hash
    }

    /// Everything that can be done, and refused, without the payload's name, in one go. A password is tried: otherwise its
    /// being wrong would show too late.
    async fn prepare(&self, request: SendRequest) -> Result<Prepared, RpcError> {
        let (context, privacy, terms) =
            (Arc::clone(&self.context), Arc::clone(&self.privacy), self.terms.clone());
        let (account, authority) = (self.account, self.authority.clone());
        let job = move || {
            authority.prove(&context, account)?;
            let next = NextBlock::new(&context)?;
            let draft = Draft::new(&context, &next, request)?;
            let cover = Cover::choose(&context, &next, &privacy, &draft)?;
            let nonce = match &cover {
                Cover::Stranger(_) => Some(covers::drawn_nonce()),
                _ => draft.request.nonce.map(|nonce| nonce.0),
            };
            let likely = nonce.map_or_else(|| draft.likely_nonce(&context), Ok)?;
            let compared = terms.mode == PrivacyMode::StateValidation;
            let found = (!compared).then(|| found_out(&context, &terms, &draft.message(likely)));
            Ok(Prepared { cover, nonce, likely, metadata: found.transpose()?, draft, rules: next.rules })
        };
        self.context.workers.heavy.run(job).await
    }

    async fn turn(&self) -> Result<Turn, RpcError> {
        self.context.turns.take(self.account).await
    }

    async fn likely_nonce(&self, draft: &Arc<Draft>) -> Result<u64, RpcError> {
        let (owned, draft) = (Arc::clone(&self.context), Arc::clone(draft));
        self.context.workers.reads.run(move || draft.likely_nonce(&owned)).await
    }

    async fn distribute(
        &self,
        payload: Bytes,
        from: Option<PublicKey>,
        metadata: Metadata,
    ) -> Result<Sent, RpcError> {
        let parcel = Parcel { payload, from, to: self.terms.to.clone(), metadata };
        Ok(self.privacy.manager.send(parcel).await?)
    }

    async fn signed(
        &self,
        draft: Arc<Draft>,
        nonce: Option<u64>,
        hash: PayloadHash,
    ) -> Result<RecoveredTransaction, RpcError> {
        let (context, account, authority) = (Arc::clone(&self.context), self.account, self.authority.clone());
        self.with_key(move || {
            let tx = draft.finish(&context, nonce, &hash)?;
            let raw = sign_private(&context, account, &authority, tx)?;
            by_account(raw, account, context.node.spec.chain_id)
        })
        .await
    }

    /// Hands the signed transaction to the parties as another payload, and sends a marker for that.
    async fn covered(
        &self,
        cover: Cover,
        rules: &BlockRules,
        tx: &RecoveredTransaction,
        from: PublicKey,
    ) -> Result<B256, RpcError> {
        let payload = covers::payload(tx)?;
        let carried = self.distribute(payload, Some(from), Metadata::default()).await?.hash;
        let marker = match cover {
            // One signature: less than it would cost to have it made elsewhere.
            Cover::Stranger(key) => sign_by(&key, Unsigned::Legacy(covers::unsigned(rules, 0, 0, &carried)?)),
            Cover::Own | Cover::Open => {
                let unsigned = covers::unsigned(rules, tx.nonce(), tx.max_fee_per_gas(), &carried)?;
                let (context, account, authority) =
                    (Arc::clone(&self.context), self.account, self.authority.clone());
                self.with_key(move || sign(&context, account, &authority, Unsigned::Legacy(unsigned))).await?
            }
        };
        submit(&self.context, marker).await
    }

    /// Deriving from a password is work.
    async fn with_key<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let workers = &self.context.workers;
        let lane = match self.authority {
            Authority::Password(_) => &workers.heavy,
            Authority::Unlocked => &workers.reads,
        };
        lane.run(job).await
    }
}

/// What was just signed by an account.
fn by_account(raw: Bytes, account: Address, chain_id: u64) -> Result<RecoveredTransaction, RpcError> {
    RecoveredTransaction::stored(raw, account, chain_id)
        .map_err(|error| RpcError::Internal(format!("an own transaction is not one: {error}")))
}

/// Where GoQuorum would tell what became of a transaction.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a transaction object")]
struct Callback {
    callback_url: Option<String>,
}

/// Answers at once, with a hash of zeros as GoQuorum does; what goes wrong stands in the log. The node calls nobody back: a
/// client that chooses where requests go to could reach what only the node can reach.
fn send_unattended(
    context: Arc<Context>,
    params: Params<'static>,
) -> BoxFuture<'static, Result<Box<RawValue>, RpcError>> {
    async move {
        let args = Args::new(&params, 1)?;
        let request = SendRequest::read(&args, 0)?;
        let callback: Callback = args.required(0, "transaction")?;
        if callback.callback_url.is_some_and(|url| !url.is_empty()) {
            return Err(RpcError::Refused(
                "callbackUrl is not supported: this node makes no requests to addresses that clients name. Use \
                 eth_sendTransaction, which answers with the hash, or leave callbackUrl out"
                    .to_owned(),
            ));
        }
        if request.private.is_private() {
            Terms::read(&context, &request.private)?;
            parties(&context)?;
        }
        let place = context.private.unattended()?;
        tokio::spawn(async move {
            let _place = place;
            let sender = request.from;
            if let Err(error) = accounts::send(context, request, Authority::Unlocked).await {
                // The reason of a revert may be private.
                let reason = match error {
                    RpcError::Reverted { .. } => "execution reverted".to_owned(),
                    other => other.to_string(),
                };
                tracing::warn!(%sender, reason, "a transaction that nobody waits for was not sent");
            }
        });
        to_raw_value(&B256::ZERO).map_err(|error| RpcError::Internal(error.to_string()))
    }
    .boxed()
}
