//! The names the tests give to refusals of a transaction: those of the execution-specs, and the older ones.

use lonja_evm::TxInvalid;
use lonja_primitives::TransactionError;

/// Why a transaction did not get into a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It does not decode, or its signature is wrong.
    Form(TransactionError),
    /// The executor refused it.
    Rule(TxInvalid),
    /// A number in the test is longer than its field, so that there is no transaction.
    Number,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Form(error) => error.fmt(f),
            Self::Rule(invalid) => invalid.fmt(f),
            Self::Number => f.write_str("a number does not fit its field"),
        }
    }
}

/// Whether a refusal is the one that the test expects. Several names, with `|` between them, leave the choice; a
/// name that is not known here says only that the transaction is refused.
pub(crate) fn expected(names: &str, refusal: &Refusal) -> bool {
    names.split('|').any(|name| {
        let name = name.strip_prefix("TransactionException.").unwrap_or(name);
        matches(name, refusal).unwrap_or(true)
    })
}

fn matches(name: &str, refusal: &Refusal) -> Option<bool> {
    use TxInvalid as T;
    let rule = match refusal {
        Refusal::Form(_) | Refusal::Number => {
            let of_form =
                ["RLP_INVALID_VALUE", "TR_RLP_WRONGVALUE", "GASLIMIT_PRICE_PRODUCT_OVERFLOW", "TR_NoFundsX"];
            return Some(of_form.contains(&name) || name.starts_with("TYPE_"));
        }
        Refusal::Rule(rule) => rule,
    };
    Some(match name {
        "INTRINSIC_GAS_TOO_LOW" | "IntrinsicGas" | "TR_IntrinsicGas" => {
            matches!(rule, T::IntrinsicGas { .. } | T::FloorDataGas { .. })
        }
        "INTRINSIC_GAS_BELOW_FLOOR_GAS_COST" => matches!(rule, T::FloorDataGas { .. }),
        "INSUFFICIENT_ACCOUNT_FUNDS" | "TR_NoFunds" | "TR_NoFundsX" => {
            matches!(rule, T::InsufficientFunds { .. } | T::CostOverflow { .. })
        }
        "TR_NoFundsOrGas" => {
            matches!(rule, T::InsufficientFunds { .. } | T::CostOverflow { .. } | T::IntrinsicGas { .. })
        }
        "GASLIMIT_PRICE_PRODUCT_OVERFLOW" => matches!(rule, T::CostOverflow { .. }),
        "SENDER_NOT_EOA" | "SenderNotEOA" => matches!(rule, T::SenderHasCode { .. }),
        "INITCODE_SIZE_EXCEEDED" | "TR_InitCodeLimitExceeded" => matches!(rule, T::InitCodeTooLarge { .. }),
        "INSUFFICIENT_MAX_FEE_PER_GAS" | "TR_FeeCapLessThanBlocks" => {
            matches!(rule, T::FeeBelowBaseFee { .. })
        }
        "PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS" | "TR_TipGtFeeCap" => matches!(rule, T::TipAboveFee { .. }),
        "NONCE_IS_MAX" | "TR_NonceHasMaxValue" => matches!(rule, T::NonceMax { .. }),
        "GAS_ALLOWANCE_EXCEEDED" | "TR_GasLimitReached" => matches!(rule, T::BlockGasExceeded { .. }),
        "GAS_LIMIT_EXCEEDS_MAXIMUM" => matches!(rule, T::GasLimitTooHigh { .. }),
        "TR_TypeNotSupported" | "TYPE_NOT_SUPPORTED" => matches!(rule, T::TypeNotSupported { .. }),
        "NONCE_MISMATCH_TOO_LOW" | "TR_NonceTooLow" => matches!(rule, T::NonceTooLow { .. }),
        "NONCE_MISMATCH_TOO_HIGH" | "TR_NonceTooHigh" => matches!(rule, T::NonceTooHigh { .. }),
        "TYPE_4_EMPTY_AUTHORIZATION_LIST" => matches!(rule, T::EmptyAuthorizationList),
        _ => return None,
    })
}
