//! Why a transaction may not be in a block. The texts are those that tools know from geth.

use alloy_primitives::{Address, U256};
use lonja_primitives::Fork;
use revm::context::TxEnv;
use revm::context_interface::result::InvalidTransaction;
use thiserror::Error;

/// Why a transaction may not be in this block. The state is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TxInvalid {
    /// The sender has sent a transaction with this nonce already.
    #[error("nonce too low: address {address}, tx: {tx} state: {state}")]
    NonceTooLow {
        /// The sender.
        address: Address,
        /// Nonce of the transaction.
        tx: u64,
        /// Nonce that comes next.
        state: u64,
    },
    /// Transactions of the sender are missing before this one.
    #[error("nonce too high: address {address}, tx: {tx} state: {state}")]
    NonceTooHigh {
        /// The sender.
        address: Address,
        /// Nonce of the transaction.
        tx: u64,
        /// Nonce that comes next.
        state: u64,
    },
    /// The nonce can not be counted up (EIP-2681).
    #[error("nonce has max value: address {address}, nonce: {}", u64::MAX)]
    NonceMax {
        /// The sender.
        address: Address,
    },
    /// The balance does not cover the value and, where gas is not free, the highest fee.
    #[error("insufficient funds for gas * price + value: address {address} have {have} want {want}")]
    InsufficientFunds {
        /// The sender.
        address: Address,
        /// Balance in wei.
        have: U256,
        /// Needed wei.
        want: U256,
    },
    /// Gas limit times price plus value is more than 256 bits hold.
    #[error(
        "insufficient funds for gas * price + value: address {address} required balance exceeds 256 bits"
    )]
    CostOverflow {
        /// The sender.
        address: Address,
    },
    /// The gas limit does not cover what a transaction of this shape costs before it runs.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// Gas limit of the transaction.
        have: u64,
        /// Intrinsic gas.
        want: u64,
    },
    /// The gas limit does not cover the least price of the call data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: have {have}, want {want}")]
    FloorDataGas {
        /// Gas limit of the transaction.
        have: u64,
        /// Floor of EIP-7623.
        want: u64,
    },
    /// The gas limit is above the cap for one transaction (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {tx})")]
    GasLimitTooHigh {
        /// The cap.
        cap: u64,
        /// Gas limit of the transaction.
        tx: u64,
    },
    /// The block has less gas left than the transaction may use. It may fit in another block.
    #[error("gas limit reached")]
    BlockGasExceeded {
        /// Gas the block has left.
        left: u64,
        /// Gas limit of the transaction.
        tx: u64,
    },
    /// The init code is longer than the rules of the network allow (EIP-3860).
    #[error("max initcode size exceeded: code size {size} limit {limit}")]
    InitCodeTooLarge {
        /// Bytes of init code.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The transaction is longer than the rules of the network allow.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    TooLarge {
        /// Bytes of the EIP-2718 form.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The fork in force does not know this type of transaction, or the network does not take it.
    #[error("transaction type not supported: type {tx_type} is not valid under the rules of {fork:?}")]
    TypeNotSupported {
        /// Type byte.
        tx_type: u8,
        /// Fork in force.
        fork: Fork,
    },
    /// A legacy transaction with `v` 37 or 38 on a network without private transactions.
    #[error(
        "the transaction is signed for chain id 1, or marked as private (v is 37 or 38); this chain is {chain_id}, and has no private transactions"
    )]
    PrivateNotEnabled {
        /// Chain id of this network.
        chain_id: u64,
    },
    /// A private transaction with a value.
    #[error("ether value is not supported for private transactions")]
    PrivateValue,
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {address}")]
    SenderHasCode {
        /// The sender.
        address: Address,
    },
    /// The tip is above the highest fee (EIP-1559).
    #[error(
        "max priority fee per gas higher than max fee per gas: address {address}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee}"
    )]
    TipAboveFee {
        /// The sender.
        address: Address,
        /// `maxPriorityFeePerGas` in wei.
        tip: u128,
        /// `maxFeePerGas` in wei.
        fee: u128,
    },
    /// The price is below the block's base fee.
    #[error("max fee per gas less than block base fee: address {address}, maxFeePerGas: {fee}")]
    FeeBelowBaseFee {
        /// The sender.
        address: Address,
        /// `maxFeePerGas` or `gasPrice` in wei.
        fee: u128,
    },
    /// A set-code transaction sets no code (EIP-7702).
    #[error("EIP-7702 transaction with empty auth list")]
    EmptyAuthorizationList,
    /// A set-code transaction has no target (EIP-7702).
    #[error("EIP-7702 transaction cannot be used to create contract")]
    AuthorizationListOnCreate,
    /// Signed for another chain (EIP-155).
    #[error("invalid chain id for signer")]
    WrongChain,
    /// Anything else the EVM refuses.
    #[error("{0}")]
    Other(String),
}

impl TxInvalid {
    /// From revm's verdict on `tx`. `init_code_limit` is in bytes.
    pub(crate) fn from_revm(
        error: InvalidTransaction,
        tx: &TxEnv,
        fork: Fork,
        init_code_limit: usize,
    ) -> Self {
        use InvalidTransaction as E;
        let address = tx.caller;
        match error {
            E::NonceTooLow { tx, state } => Self::NonceTooLow { address, tx, state },
            E::NonceTooHigh { tx, state } => Self::NonceTooHigh { address, tx, state },
            E::NonceOverflowInTransaction => Self::NonceMax { address },
            E::LackOfFundForMaxFee { fee, balance } => {
                Self::InsufficientFunds { address, have: *balance, want: *fee }
            }
            E::OverflowPaymentInTransaction => Self::CostOverflow { address },
            E::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::IntrinsicGas { have: gas_limit, want: initial_gas }
            }
            E::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::FloorDataGas { have: gas_limit, want: gas_floor }
            }
            E::TxGasLimitGreaterThanCap { gas_limit, cap } => Self::GasLimitTooHigh { cap, tx: gas_limit },
            E::CreateInitCodeSizeLimit => {
                Self::InitCodeTooLarge { size: tx.data.len(), limit: init_code_limit }
            }
            E::Eip2930NotSupported
            | E::Eip1559NotSupported
            | E::Eip4844NotSupported
            | E::Eip7702NotSupported => Self::TypeNotSupported { tx_type: tx.tx_type, fork },
            E::RejectCallerWithCode => Self::SenderHasCode { address },
            E::PriorityFeeGreaterThanMaxFee => {
                Self::TipAboveFee { address, tip: tx.gas_priority_fee.unwrap_or(0), fee: tx.gas_price }
            }
            E::GasPriceLessThanBasefee => Self::FeeBelowBaseFee { address, fee: tx.gas_price },
            E::EmptyAuthorizationList => Self::EmptyAuthorizationList,
            E::InvalidChainId | E::MissingChainId => Self::WrongChain,
            other => Self::Other(other.to_string()),
        }
    }
}
