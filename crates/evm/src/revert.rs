//! What a reverting contract says.

use alloy_primitives::{U256, hex};

/// Selector of Solidity's `Error(string)`.
const ERROR_STRING: [u8; 4] = hex!("08c379a0");
/// Selector of Solidity's `Panic(uint256)`.
const PANIC: [u8; 4] = hex!("4e487b71");

/// The readable reason in the output of a reverted call: the text of `require(condition, "text")`, or the meaning
/// of a Solidity panic code. `None` for custom errors, no data and data that is not well formed.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, arguments) = output.split_first_chunk::<4>()?;
    match *selector {
        ERROR_STRING => error_string(arguments),
        PANIC => Some(panic_meaning(word(arguments, 0)?)),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<U256> {
    let word = bytes.get(at..at.checked_add(32)?)?;
    Some(U256::from_be_slice(word))
}

fn error_string(arguments: &[u8]) -> Option<String> {
    let offset: usize = word(arguments, 0)?.try_into().ok()?;
    let length: usize = word(arguments, offset)?.try_into().ok()?;
    let start = offset.checked_add(32)?;
    let text = arguments.get(start..start.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The panic codes of the Solidity documentation.
fn panic_meaning(code: U256) -> String {
    let meaning = match u8::try_from(code) {
        Ok(0x00) => "generic panic",
        Ok(0x01) => "assert(false)",
        Ok(0x11) => "arithmetic underflow or overflow",
        Ok(0x12) => "division or modulo by zero",
        Ok(0x21) => "enum overflow",
        Ok(0x22) => "invalid encoded storage byte array accessed",
        Ok(0x31) => "out-of-bounds array access; popping on an empty array",
        Ok(0x32) => "out-of-bounds access of an array or bytesN",
        Ok(0x41) => "out of memory",
        Ok(0x51) => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    meaning.to_owned()
}
