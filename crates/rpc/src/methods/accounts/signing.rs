//! Signatures by the node's accounts.

use crate::context::Context;
use crate::error::RpcError;
use alloy_consensus::{EthereumTypedTransaction, SignableTransaction, TxEip4844, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature};
use lonja_accounts::Password;
use lonja_primitives::transaction::{private_signing_hash, to_private};
use lonja_primitives::{NodeKey, RecoveredTransaction, Signer, Transaction};

/// A transaction that nobody signed yet: of type 0, 1 or 2.
pub(crate) type Unsigned = EthereumTypedTransaction<TxEip4844>;

/// By what right a client has an account sign.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// The account was unlocked by the operator.
    Unlocked,
    /// The client knows its password. Opening the file takes about a second.
    Password(Password),
}

impl Authority {
    /// Refuses at once what would be refused after everything else was done. A password is only tried when it is used.
    pub(crate) fn check(&self, context: &Context, account: Address) -> Result<(), RpcError> {
        match self {
            Self::Unlocked => {
                context.node.accounts.check_unlocked(account).map_err(|error| refusal(error, account))
            }
            Self::Password(_) => match context.node.accounts.has(account)? {
                true => Ok(()),
                false => Err(refusal(lonja_accounts::AccountError::Unknown, account)),
            },
        }
    }

    /// As [`Authority::check`], and tries a password. Blocks.
    pub(crate) fn prove(&self, context: &Context, account: Address) -> Result<(), RpcError> {
        self.check(context, account)?;
        match self {
            Self::Unlocked => Ok(()),
            // Of nothing, and seen by nobody.
            Self::Password(_) => self.sign(context, account, B256::ZERO).map(drop),
        }
    }

    /// Signs a digest, whatever it is of. Blocks.
    pub(crate) fn sign(
        &self,
        context: &Context,
        account: Address,
        digest: B256,
    ) -> Result<lonja_primitives::Signature, RpcError> {
        let accounts = &context.node.accounts;
        let signed = match self {
            Self::Unlocked => accounts.sign(account, digest),
            Self::Password(password) => accounts.sign_with(account, password, digest),
        };
        signed.map_err(|error| refusal(error, account))
    }
}

/// A transaction without an account for it is the usual surprise of those who used a development node before.
fn refusal(error: lonja_accounts::AccountError, account: Address) -> RpcError {
    match error {
        lonja_accounts::AccountError::Unknown => RpcError::Refused(format!(
            "unknown account: this node holds no key of {account}; sign in your wallet or tool and send the result with \
             eth_sendRawTransaction"
        )),
        other => other.into(),
    }
}

/// Signs a public transaction; its EIP-2718 form. Blocks.
pub(crate) fn sign(
    context: &Context,
    account: Address,
    authority: &Authority,
    tx: Unsigned,
) -> Result<Bytes, RpcError> {
    let signature = signature(authority.sign(context, account, tx.signature_hash())?);
    Ok(encoded(Transaction::new_unhashed(tx, signature)))
}

/// Signs a public transaction with a key that is no account's.
pub(crate) fn sign_by(key: &NodeKey, tx: Unsigned) -> Bytes {
    let signature = signature(key.sign(tx.signature_hash()));
    encoded(Transaction::new_unhashed(tx, signature))
}

/// Signs a legacy transaction in private form (`v` 37 or 38), whatever chain id it has; its encoding. Its data must be
/// the hash of the payload by now. Blocks.
pub(crate) fn sign_private(
    context: &Context,
    account: Address,
    authority: &Authority,
    tx: TxLegacy,
) -> Result<Bytes, RpcError> {
    let signature = signature(authority.sign(context, account, private_signing_hash(&tx))?);
    let tx = Unsigned::Legacy(TxLegacy { chain_id: None, ..tx });
    let private = to_private(Transaction::new_unhashed(tx, signature));
    Ok(encoded(private.expect("a legacy transaction without a chain id has a private form")))
}

/// What was signed, read back: another look at a signature before anybody sees it.
pub(crate) fn read_back(context: &Context, raw: Bytes) -> Result<RecoveredTransaction, RpcError> {
    RecoveredTransaction::recover(raw, context.node.spec.chain_id)
        .map_err(|error| RpcError::Internal(format!("an own transaction is not one: {error}")))
}

fn encoded(tx: Transaction) -> Bytes {
    alloy_eips::Encodable2718::encoded_2718(&tx).into()
}

fn signature(signature: lonja_primitives::Signature) -> Signature {
    Signature::from_bytes_and_parity(&signature.0[..64], signature.0[64] == 1)
}
