//! By what a member is known, and the hashes that stand for texts.

use crate::registry::abi::IdScheme;
use alloy_primitives::{B256, hex, keccak256};

/// Characters of an LEI.
const LEI_LENGTH: usize = 20;
/// Bytes of a word, in which ids other than a DID stand as they are.
const WORD_BYTES: usize = 32;

/// A member's id as the contracts have it: keccak256 of the scheme's byte and the value.
pub fn member_id(scheme: IdScheme, value: B256) -> B256 {
    let mut bytes = [0; 1 + WORD_BYTES];
    bytes[0] = scheme.number();
    bytes[1..].copy_from_slice(value.as_slice());
    keccak256(bytes)
}

/// The value of an id.
///
/// # Errors
/// The text is no id of the scheme.
pub fn id_value(scheme: IdScheme, text: &str) -> Result<B256, String> {
    match scheme {
        IdScheme::Lei => check_lei(text)?,
        IdScheme::Did if !text.starts_with("did:") => return Err("a DID begins with did:".into()),
        IdScheme::Did => return Ok(keccak256(text)),
        IdScheme::TaxId | IdScheme::Euid => {}
    }
    let fits =
        (1..=WORD_BYTES).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !fits {
        return Err(format!(
            "1 to {WORD_BYTES} printable ASCII characters without spaces are expected; what is longer goes as did, which is \
             hashed"
        ));
    }
    Ok(B256::right_padding_from(text.as_bytes()))
}

/// ISO 17442: 18 capital letters or digits and two check digits, mod 97-10 of ISO 7064.
fn check_lei(text: &str) -> Result<(), String> {
    if text.len() != LEI_LENGTH {
        return Err(format!("an LEI has {LEI_LENGTH} characters, this one {}", text.chars().count()));
    }
    let mut remainder: u32 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let (value, factor) = match byte {
            b'0'..=b'9' => (byte - b'0', 10),
            b'A'..=b'Z' if place < LEI_LENGTH - 2 => (byte - b'A' + 10, 100),
            _ => return Err("an LEI has capital letters and digits, the last two digits".into()),
        };
        remainder = (remainder * factor + u32::from(value)) % 97;
    }
    if remainder == 1 {
        Ok(())
    } else {
        Err("the check digits of the LEI are wrong: a character must be mistyped".into())
    }
}

/// The hash that stands for a text on chain. What begins with `0x` must be a hash already: 64 hex digits.
///
/// # Errors
/// It begins with `0x` and is no hash.
pub fn hash_of(text: &str) -> Result<B256, String> {
    let Some(digits) = text.strip_prefix("0x") else { return Ok(keccak256(text)) };
    let bytes = hex::decode_to_array::<_, WORD_BYTES>(digits);
    bytes.map(B256::from).map_err(|_| "a hash has 64 hex digits after 0x; any other text is hashed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lei_is_checked_as_its_standard_says() {
        // From the directory of the foundation that issues them, and two slips.
        assert!(id_value(IdScheme::Lei, "506700GE1G29325QX363").is_ok());
        let said = |text| id_value(IdScheme::Lei, text).unwrap_err();
        assert!(said("506700GE1G29325QX364").contains("mistyped"));
        assert!(said("506700EG1G29325QX363").contains("mistyped"));
        assert!(said("506700ge1g29325qx363").contains("capital"));
        assert!(said("506700GE1G29325QX3").contains("20 characters"));
        assert!(
            said("506700GE1G29325QXÑ6").contains("capital") || said("506700GE1G29325QXÑ6").contains("20")
        );
        assert!(said("506700GE1G29325QX3A3").contains("last two"));
    }

    #[test]
    fn short_ids_stand_as_they_are_and_dids_are_hashed() {
        let value = id_value(IdScheme::TaxId, "ESA12345674").unwrap();
        assert!(value.starts_with(b"ESA12345674\0"));
        assert!(id_value(IdScheme::Euid, &"E".repeat(33)).unwrap_err().contains("did"));
        assert!(id_value(IdScheme::Euid, "").is_err());
        assert!(id_value(IdScheme::TaxId, "A B").is_err());
        assert_eq!(id_value(IdScheme::Did, "did:web:example.org"), Ok(keccak256("did:web:example.org")));
        assert!(id_value(IdScheme::Did, "example.org").is_err());
    }

    #[test]
    fn a_hash_is_taken_as_it_is() {
        let hash = keccak256("text");
        assert_eq!(hash_of("text"), Ok(hash));
        assert_eq!(hash_of(&hash.to_string()), Ok(hash));
        assert!(hash_of("0xabc").is_err());
    }
}
