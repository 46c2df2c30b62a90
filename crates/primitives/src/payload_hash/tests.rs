use super::*;
use proptest::prelude::*;

fn counted() -> [u8; 64] {
    std::array::from_fn(|index| index as u8)
}

#[test]
fn text_is_standard_base64_with_padding() {
    let hash = PayloadHash(B512::from(counted()));
    let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    assert_eq!(hash.to_string(), text);
    assert_eq!(text.parse(), Ok(hash));
    assert_eq!(format!("{hash:?}"), format!("PayloadHash({text})"));
    let json = serde_json::to_string(&hash).unwrap();
    assert_eq!(json, format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<PayloadHash>(&json).unwrap(), hash);
}

#[test]
fn other_texts_are_refused() {
    let text = PayloadHash(B512::from(counted())).to_string();
    let without_padding = text.trim_end_matches('=');
    let loose_bits = format!("{}x==", &text[..85]);
    let of_web = text.replace('+', "-");
    let shorter = STANDARD.encode([1; 63]);
    let longer = STANDARD.encode([1; 65]);
    let hex = "00".repeat(64);
    for bad in ["", " ", without_padding, &loose_bits, &of_web, &shorter, &longer, &hex, &format!(" {text}")]
    {
        assert_eq!(bad.parse::<PayloadHash>(), Err(PayloadHashError), "{bad}");
    }
    assert!(serde_json::from_str::<PayloadHash>("7").is_err());
}

#[test]
fn data_is_padded_and_cropped_on_the_left() {
    let hash = PayloadHash::from_data(&counted());
    assert_eq!(hash.as_slice(), counted());
    let mut longer = vec![0xee; 5];
    longer.extend_from_slice(&counted());
    assert_eq!(PayloadHash::from_data(&longer), hash);
    let short = PayloadHash::from_data(&[1, 2]);
    assert_eq!((&short.as_slice()[..62], &short.as_slice()[62..]), (&[0; 62][..], &[1, 2][..]));
    assert_eq!(PayloadHash::from_data(&[]), PayloadHash(B512::ZERO));
}

proptest! {
    #[test]
    fn text_round_trips(bytes in prop::array::uniform32(any::<u8>()), more in prop::array::uniform32(any::<u8>())) {
        let hash = PayloadHash::from_data(&[bytes, more].concat());
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
