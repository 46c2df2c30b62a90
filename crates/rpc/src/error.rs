//! Errors: those a client sees, with the codes and texts that tools look for, and those that stop the start.

use crate::control::ControlError;
use alloy_primitives::Bytes;
use jsonrpsee::types::ErrorObjectOwned;
use lonja_accounts::AccountError;
use lonja_chain::private::SimulationError;
use lonja_primitives::StateError;
use lonja_ptm::PtmError;
use lonja_storage::StoreError;
use std::path::PathBuf;
use thiserror::Error;

/// Code of what a permission contract forbids.
pub(crate) const NOT_PERMITTED: i32 = -32007;
/// Code of what may be tried again later.
pub(crate) const LATER: i32 = -32005;

/// How the storage's text ends where a moment later there would have been an answer.
const TRY_AGAIN: &str = ": try again";

/// What a client is told. Codes: EIP-1474, geth's for reverted calls, Besu's for methods that the network's
/// mode switches off.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum RpcError {
    /// A parameter is missing or wrong (-32602).
    #[error("invalid argument {index} ({name}): {reason}")]
    InvalidArgument { index: usize, name: &'static str, reason: String },
    /// The parameters as a whole are wrong (-32602).
    #[error("{0}")]
    InvalidParams(String),
    /// The method is not offered on this transport (-32601).
    #[error("the method {0} does not exist/is not available")]
    NoSuchMethod(String),
    /// The method is known but not offered on this transport (-32601).
    #[error(
        "the method {0} does not exist/is not available: it is offered on IPC, elsewhere only where enabled"
    )]
    NotOffered(String),
    /// Subscriptions need a connection that stays (-32601).
    #[error("notifications not supported: subscribe over WebSocket or IPC")]
    NoNotifications,
    /// The mode of the network leaves no room for the method (-32604).
    #[error("Method not enabled: {0}")]
    NotEnabled(String),
    /// Anything that the node refuses (-32000).
    #[error("{0}")]
    Refused(String),
    /// A permission contract of the network forbids it (-32007, as Besu).
    #[error("{0}")]
    NotPermitted(String),
    /// A bound of [`crate::RpcLimits`], or no free worker (-32005).
    #[error("{0}")]
    Limit(String),
    /// The called code reverted (3, with the returned bytes as data).
    #[error("{message}")]
    Reverted { message: String, data: Bytes },
    /// Our disk or our own invariant (-32603).
    #[error("internal error: {0}")]
    Internal(String),
}

/// Why the servers could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Address and purpose.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The socket file could not be made.
    #[error("cannot open the IPC socket {path}: {source}")]
    Ipc {
        /// Its path.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process answers on the socket file.
    #[error("the IPC socket {0} is in use by another process")]
    IpcInUse(PathBuf),
    /// An origin or host in the configuration cannot be used, or it would give away what it must not.
    #[error("configuration of the RPC: {0}")]
    Config(String),
    /// A thread could not be started.
    #[error("cannot start a thread for the RPC: {0}")]
    Thread(std::io::Error),
}

impl RpcError {
    /// No free worker, or a queue is full.
    pub(crate) fn busy(what: &str) -> Self {
        metrics::counter!("lonja_rpc_busy_total", "queue" => what.to_owned()).increment(1);
        Self::Limit(format!("too busy, try again: the queue for {what} is full"))
    }

    /// A block that should be there is not known (geth's text, which libraries look for).
    pub(crate) fn header_not_found() -> Self {
        Self::Refused("header not found".to_owned())
    }

    /// GoQuorum's text for the same in the `istanbul_` namespace.
    pub(crate) fn unknown_block() -> Self {
        Self::Refused("unknown block".to_owned())
    }

    /// JSON-RPC error code.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::InvalidArgument { .. } | Self::InvalidParams(_) => -32602,
            Self::NoSuchMethod(_) | Self::NotOffered(_) | Self::NoNotifications => -32601,
            Self::NotEnabled(_) => -32604,
            Self::Refused(_) => -32000,
            Self::NotPermitted(_) => NOT_PERMITTED,
            Self::Limit(_) => LATER,
            Self::Reverted { .. } => 3,
            Self::Internal(_) => -32603,
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        if let RpcError::Internal(reason) = &error {
            tracing::error!(reason, "an RPC request failed for a reason of our own");
        }
        let code = error.code();
        match error {
            RpcError::Reverted { message, data } => ErrorObjectOwned::owned(code, message, Some(data)),
            other => ErrorObjectOwned::owned(code, other.to_string(), None::<()>),
        }
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotAvailable { .. } | StoreError::TooMuchChanged { .. } => {
                Self::Refused(error.to_string())
            }
            StoreError::Busy(_) => Self::Limit(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<PtmError> for RpcError {
    /// GoQuorum's form: the status that Tessera gives for it, and the text.
    fn from(error: PtmError) -> Self {
        match error {
            PtmError::Store(reason) => Self::Internal(format!("the payload store: {reason}")),
            PtmError::Unavailable(_) => Self::Limit(error.to_string()),
            PtmError::Remote { .. } => Self::Refused(error.to_string()),
            other => Self::Refused(format!("{} status: {other}", other.status())),
        }
    }
}

impl From<SimulationError> for RpcError {
    fn from(error: SimulationError) -> Self {
        let message = error.to_string();
        match error {
            SimulationError::Reverted(data) => Self::Reverted { message, data },
            _ => Self::Refused(message),
        }
    }
}

impl From<AccountError> for RpcError {
    fn from(error: AccountError) -> Self {
        match error {
            // Where the files stand is nobody's business but the operator's.
            AccountError::Io { source, .. } => Self::Internal(format!("the keystore: {source}")),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<ControlError> for RpcError {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Invalid(reason) => Self::InvalidParams(reason),
            ControlError::NotEnabled(reason) => Self::NotEnabled(reason),
            ControlError::Unavailable(reason) => Self::Limit(reason),
        }
    }
}

impl From<StateError> for RpcError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NotAvailable { .. } => Self::Refused(error.to_string()),
            // A private state that is being led back: the type does not tell it from damage, the storage's words do.
            StateError::Store(ref reason) if reason.ends_with(TRY_AGAIN) => Self::Limit(reason.clone()),
            StateError::Store(_) => Self::Internal(error.to_string()),
        }
    }
}
