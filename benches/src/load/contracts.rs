//! The contracts that workloads call (sources and compiler settings: `benches/contracts`), and how they are called.

use alloy_primitives::{Address, Bytes, U256, hex};

/// Creation code of the ERC-20 token, without its argument.
const TOKEN: &str = include_str!("../../contracts/Token.hex");
/// Creation code of the contract that writes storage.
const SLOTS: &str = include_str!("../../contracts/Slots.hex");

/// Creates a contract of 30 bytes that stores the word it is called with, and logs it as a topic.
const VAULT: [u8; 41] =
    hex!("601e80600b6000396000f336156012576000358060005560006000a1005b60005460005260206000f3");

/// `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = [0xa9, 0x05, 0x9c, 0xbb];
/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
/// `give(address[],uint256)`.
const GIVE: [u8; 4] = [0x9f, 0x98, 0xdf, 0x30];
/// `write(uint256)`.
const WRITE: [u8; 4] = [0x2f, 0x04, 0x8a, 0xfa];

/// Gas for creating any of them, with room.
pub const CREATE_GAS: u64 = 1_000_000;
/// Gas of a token transfer, to an account without tokens, with little room.
pub const TOKEN_TRANSFER_GAS: u64 = 60_000;
/// Gas of a call of the contract that keeps a word, with room for its being private.
pub const VAULT_GAS: u64 = 100_000;
/// Gas of giving tokens: per call, and per account.
const GIVE_GAS: [u64; 2] = [60_000, 35_000];
/// Gas of writing slots: per call (the first one also writes the counter for the first time), and per slot.
const WRITE_GAS: [u64; 2] = [55_000, 23_500];

/// Code that creates the token; all of `supply` belongs to the creator.
pub fn token(supply: U256) -> Bytes {
    join(&code(TOKEN), &[supply])
}

/// Code that creates the contract that writes storage.
pub fn slots() -> Bytes {
    code(SLOTS).into()
}

/// Code that creates the contract that keeps a word.
pub fn vault() -> Bytes {
    Bytes::from_static(&VAULT)
}

/// A token transfer.
pub fn transfer(to: Address, value: U256) -> Bytes {
    join(&TRANSFER, &[word(to), value])
}

/// The question for tokens of an account.
pub fn balance_of(account: Address) -> Bytes {
    join(&BALANCE_OF, &[word(account)])
}

/// Tokens for many accounts, `value` for each; and the gas that it takes.
pub fn give(to: &[Address], value: U256) -> (Bytes, u64) {
    let count = to.len() as u64;
    let mut words = vec![U256::from(64), value, U256::from(count)];
    words.extend(to.iter().copied().map(word));
    (join(&GIVE, &words), GIVE_GAS[0] + GIVE_GAS[1] * count)
}

/// A call that writes so many fresh slots.
pub fn write(count: u64) -> Bytes {
    join(&WRITE, &[U256::from(count)])
}

/// The gas that writing takes.
pub fn write_gas(count: u64) -> u64 {
    WRITE_GAS[0].saturating_add(WRITE_GAS[1].saturating_mul(count))
}

fn word(address: Address) -> U256 {
    U256::from_be_slice(address.as_slice())
}

fn join(head: &[u8], words: &[U256]) -> Bytes {
    let mut bytes = head.to_vec();
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_be_bytes::<32>()));
    bytes.into()
}

fn code(hexadecimal: &str) -> Vec<u8> {
    hex::decode(hexadecimal.trim()).expect("the compiler writes hexadecimal")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;

    #[test]
    fn selectors_belong_to_their_signatures() {
        let selectors = [
            (TRANSFER, "transfer(address,uint256)"),
            (BALANCE_OF, "balanceOf(address)"),
            (GIVE, "give(address[],uint256)"),
            (WRITE, "write(uint256)"),
        ];
        for (selector, signature) in selectors {
            assert_eq!(selector, keccak256(signature)[..4], "{signature}");
            let holder = if signature == "write(uint256)" { SLOTS } else { TOKEN };
            assert!(holder.contains(&hex::encode(selector)), "{signature} is not in the code");
        }
    }

    #[test]
    fn lists_are_encoded_behind_the_words() {
        let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let (call, gas) = give(&[one, two], U256::from(7));
        assert_eq!(gas, 130_000);
        let words: Vec<U256> = call[4..].chunks(32).map(U256::from_be_slice).collect();
        assert_eq!(words, [U256::from(64), U256::from(7), U256::from(2), word(one), word(two)]);
        assert_eq!(token(U256::from(9)).len(), TOKEN.trim().len() / 2 + 32);
    }
}
