use super::*;
use proptest::prelude::*;

fn selector(json: &str) -> Result<BlockSelector, String> {
    serde_json::from_str(json).map_err(|error| plain(&error))
}

#[test]
fn block_selectors() {
    let hash = B256::repeat_byte(0xab);
    let cases = [
        (r#""latest""#.to_owned(), BlockSelector::Latest),
        (r#""safe""#.to_owned(), BlockSelector::Latest),
        (r#""finalized""#.to_owned(), BlockSelector::Latest),
        (r#""pending""#.to_owned(), BlockSelector::Pending),
        (r#""earliest""#.to_owned(), BlockSelector::Earliest),
        (r#""0x10""#.to_owned(), BlockSelector::Number(16)),
        (r#""0x010""#.to_owned(), BlockSelector::Number(16)),
        (r#"{"blockNumber":"0x2"}"#.to_owned(), BlockSelector::Number(2)),
        (r#"{"blockNumber":"latest"}"#.to_owned(), BlockSelector::Latest),
        (format!("\"{hash}\""), BlockSelector::Hash(hash)),
        (format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#), BlockSelector::Hash(hash)),
    ];
    for (json, expected) in cases {
        assert_eq!(selector(&json), Ok(expected), "{json}");
    }
}

#[test]
fn bad_block_selectors_are_refused() {
    let hash = B256::repeat_byte(0xab);
    let both = format!(r#"{{"blockHash":"{hash}","blockNumber":"0x1"}}"#);
    for json in [
        r#""""#,
        r#""12""#,
        r#""0x""#,
        r#""0xg""#,
        r#""newest""#,
        "true",
        "{}",
        "[]",
        "-1",
        "1.5",
        r#""0x10000000000000000""#,
        r#"{"blockHash":"0x12"}"#,
        &both,
    ] {
        assert!(selector(json).is_err(), "{json}");
    }
}

#[test]
fn positions_and_names_stand_in_the_refusal() {
    let params = Params::new(Some(r#"["0x12", null]"#));
    let args = Args::new(&params, 2).unwrap();
    let error = args.required::<Address>(0, "address").unwrap_err();
    assert_eq!(error.code(), -32602);
    assert!(error.to_string().starts_with("invalid argument 0 (address): "), "{error}");
    assert!(!error.to_string().contains(" line "), "{error}");
    let missing = args.required::<BlockSelector>(1, "block").unwrap_err();
    assert_eq!(missing.to_string(), "missing value for required argument 1 (block)");
    assert_eq!(args.optional::<BlockSelector>(7, "block"), Ok(None));
}

#[test]
fn refusals_name_the_value_and_what_is_wanted() {
    let refusal = |params: &str| {
        let params = Params::new(Some(params));
        let args = Args::new(&params, 4).unwrap();
        (args.optional::<Address>(0, "x").err().map(|error| error.to_string()).unwrap_or_default(), {
            let error = args.optional::<LogFilter>(0, "filter").unwrap_err();
            error.to_string()
        })
    };
    let bytes = |text: &str| {
        let params = format!("[{text:?}]");
        let params = Params::new(Some(&params));
        Args::new(&params, 1).unwrap().required::<alloy_primitives::Bytes>(0, "x").unwrap_err().to_string()
    };
    assert!(bytes("0x123").ends_with(r#""0x123": hex with two digits per byte is expected"#));
    assert!(bytes(&format!("0x{}", "1".repeat(100_001))).len() < 200);
    let long = format!("[{:?}]", "x".repeat(100_000));
    assert!(refusal(&long).1.len() < 500);
    let (address, filter) = refusal(r#"["0x12"]"#);
    assert!(address.contains(r#""0x12": "#) && address.contains("40 digits"), "{address}");
    assert!(filter.ends_with("expected a filter object"), "{filter}");
    assert!(refusal(r#"["0x123"]"#).0.contains(r#""0x123": two hex digits per byte"#));
    let bad = format!(r#"["0x{}"]"#, "g".repeat(40));
    assert!(refusal(&bad).0.contains("not hex: invalid character 'g'"), "{}", refusal(&bad).0);
    for field in
        [r#""blockHash":"0x12""#, r#""address":"0x12""#, r#""address":["0x12"]"#, r#""topics":[["0x12"]]"#]
    {
        let (_, filter) = refusal(&format!("[{{\n  {field}\n}}]"));
        assert!(filter.contains(r#""0x12": "#) && filter.contains("64 for a hash"), "{field}: {filter}");
    }
}

#[test]
fn only_lists_of_the_right_length_are_taken() {
    let too_many = Params::new(Some("[1, 2, 3]"));
    assert!(Args::new(&too_many, 2).unwrap_err().to_string().contains("at most 2"));
    let named = Params::new(Some(r#"{"address": "0x"}"#));
    assert_eq!(Args::new(&named, 2).unwrap_err().code(), -32602);
    assert!(Args::new(&Params::new(None), 2).unwrap().values.is_empty());
    assert!(Args::new(&Params::new(Some("[]")), 0).is_ok());
}

#[test]
fn quantities_hold_to_their_type() {
    let read = |json| serde_json::from_str::<Quantity<u64>>(json).map(|quantity| quantity.0).ok();
    assert_eq!(read(r#""0xffffffffffffffff""#), Some(u64::MAX));
    assert_eq!(read(r#""0x10000000000000000""#), None);
    assert_eq!(read("7"), Some(7));
    assert_eq!(read(r#""7""#), None);
    assert_eq!(read("-7"), None);
    let count = |json| serde_json::from_str::<Count>(json).map(|count| count.0).ok();
    assert_eq!((count(r#""7""#), count(r#""0x7""#), count("7")), (Some(7), Some(7), Some(7)));
}

#[test]
fn log_filters() {
    let read = |json: &str| serde_json::from_str::<LogFilter>(json).unwrap().checked();
    let one = Address::repeat_byte(1);
    let topic = B256::repeat_byte(2);
    let filter = read(&format!(
        r#"{{"fromBlock":"0x1","toBlock":"latest","address":"{one}","topics":[null,"{topic}",["{topic}"]]}}"#
    ))
    .unwrap();
    assert_eq!(filter.address.0, vec![one]);
    let lengths: Vec<usize> =
        filter.topics.unwrap().iter().map(|alternatives| alternatives.0.len()).collect();
    assert_eq!(lengths, vec![0, 1, 1]);
    assert_eq!(read("{}").unwrap(), LogFilter::default());
    assert!(read(&format!(r#"{{"fromBlock":"0x1","blockHash":"{topic}"}}"#)).is_err());
    assert!(read(r#"{"topics":[null,null,null,null,null]}"#).is_err());
    assert!(serde_json::from_str::<LogFilter>(r#"{"address":"0x12"}"#).is_err());
}

proptest! {
    #[test]
    fn junk_never_panics(text in ".{0,200}") {
        let params = Params::new(Some(&text));
        if let Ok(args) = Args::new(&params, 8) {
            for index in 0..8 {
                let _ = args.optional::<BlockSelector>(index, "block");
                let _ = args.optional::<LogFilter>(index, "filter");
                let _ = args.optional::<Quantity<u64>>(index, "number");
                let _ = args.optional::<Count>(index, "count");
            }
        }
    }

    #[test]
    fn every_number_is_read_back(number: u64) {
        prop_assert_eq!(selector(&format!("\"{number:#x}\"")), Ok(BlockSelector::Number(number)));
    }
}
