use super::*;
use alloy_primitives::address;
use jsonrpsee::types::Params;

const FROM: &str = "0x0101010101010101010101010101010101010101";
const FOUND: Found = Found { chain_id: 1337, nonce: 5, gas_limit: 21_000, price: 7 };

fn read(fields: &str) -> Result<SendRequest, RpcError> {
    let params = format!(r#"[{{"from":"{FROM}"{}{fields}}}]"#, if fields.is_empty() { "" } else { "," });
    SendRequest::read(&Args::new(&Params::new(Some(&params)), 1)?, 0)
}

fn request(fields: &str) -> SendRequest {
    read(fields).unwrap_or_else(|error| panic!("{fields}: {error}"))
}

fn form(fields: &str) -> Result<Form, String> {
    request(fields).form(Fork::London).map_err(|error| error.to_string())
}

#[test]
fn every_field_arrives() {
    let request = request(
        r#""to":"0x0202020202020202020202020202020202020202","gas":"0x5208","gasPrice":"0x1","value":"0x2",
           "nonce":"0x3","data":"0x04","chainId":"0x539","type":"0x0","gasLimit":"0x1","condition":null"#,
    );
    assert_eq!(request.from, Address::repeat_byte(1));
    assert!(request.check(1337).is_ok() && request.check_complete().is_ok());
    let tx = request.legacy(FOUND).unwrap();
    assert_eq!((tx.to, tx.gas_price, tx.value), (TxKind::Call(Address::repeat_byte(2)), 1, U256::from(2)));
    assert_eq!((tx.chain_id, tx.input.as_ref()), (Some(1337), [4].as_slice()));
    assert_eq!(request.private, PrivateFields::default());
    let message = request.message().unwrap();
    assert_eq!(
        (message.from, message.gas, message.data.as_ref()),
        (Some(request.from), None, [4].as_slice())
    );
}

#[test]
fn a_sender_is_needed() {
    let params = Params::new(Some(r#"[{"to":null}]"#));
    let refused = SendRequest::read(&Args::new(&params, 1).unwrap(), 0).unwrap_err();
    assert!(refused.code() == -32602 && refused.to_string().contains("from"), "{refused}");
    for params in ["[]", "[null]", "[[]]", r#"["0x"]"#, r#"[{"from":"0x12"}]"#] {
        let params = Params::new(Some(params));
        assert_eq!(SendRequest::read(&Args::new(&params, 1).unwrap(), 0).unwrap_err().code(), -32602);
    }
}

#[test]
fn data_and_input_are_one_field_and_replaced_together() {
    for fields in [r#""data":"0x0102""#, r#""input":"0x0102""#, r#""data":"0x0102","input":"0x0102""#] {
        let mut request = request(fields);
        assert_eq!(request.payload().unwrap().as_ref(), [1, 2], "{fields}");
        request.replace_payload(vec![9; 64].into());
        assert_eq!(request.legacy(FOUND).unwrap().input.as_ref(), [9; 64], "{fields}");
        assert!(!format!("{request:?}").contains("0x0102"), "nothing is left of it: {request:?}");
    }
    let unequal = request(r#""data":"0x0102","input":"0x""#);
    assert!(unequal.check(1337).unwrap_err().to_string().contains("not equal"));
    assert!(unequal.payload().is_err());
}

#[test]
fn what_can_be_no_transaction_is_refused() {
    for (fields, said) in [
        (r#""to":"0x0202020202020202020202020202020202020202","chainId":"0x1""#, "want=1337"),
        (r#""data":"0x00","gasPrice":"0x1","maxFeePerGas":"0x1""#, "both gasPrice and"),
        (r#""data":"0x00","maxFeePerGas":"0x1","maxPriorityFeePerGas":"0x2""#, "maxFeePerGas (1) <"),
        ("", "contract creation without any data"),
        (r#""data":"0x""#, "contract creation without any data"),
    ] {
        let refused = request(fields).check(1337).unwrap_err();
        assert!(refused.code() == -32602 && refused.to_string().contains(said), "{fields}: {refused}");
    }
    for (fields, said) in [
        (r#""gas":"0x1""#, "gasPrice not specified"),
        (r#""gas":"0x1","gasPrice":"0x0""#, "nonce not specified"),
        (r#""gasPrice":"0x0","nonce":"0x0""#, "gas not specified"),
    ] {
        assert_eq!(request(fields).check_complete().unwrap_err().to_string(), said);
    }
    assert!(request(r#""gas":"0x1","maxFeePerGas":"0x0","nonce":"0x0""#).check_complete().is_ok());
}

#[test]
fn the_form_is_the_one_asked_for_or_the_newest() {
    let list = r#""accessList":[{"address":"0x0202020202020202020202020202020202020202","storageKeys":[]}]"#;
    for (fields, expected) in [
        ("", Form::DynamicFee),
        (r#""gasPrice":"0x1""#, Form::Legacy),
        (r#""maxFeePerGas":"0x1""#, Form::DynamicFee),
        (r#""maxPriorityFeePerGas":"0x1""#, Form::DynamicFee),
        (list, Form::DynamicFee),
        (&format!(r#"{list},"gasPrice":"0x1""#), Form::AccessList),
        (r#""type":"0x0""#, Form::Legacy),
        (r#""type":"0x0","accessList":[]"#, Form::Legacy),
        (r#""type":"0x1""#, Form::AccessList),
        (&format!(r#"{list},"type":"0x2""#), Form::DynamicFee),
    ] {
        assert_eq!(form(fields), Ok(expected), "{fields}");
    }
    assert_eq!(request("").form(Fork::Berlin).unwrap(), Form::Legacy);
    assert_eq!(request(list).form(Fork::Berlin).unwrap(), Form::AccessList);
    for (fields, said) in [
        (r#""type":"0x0","maxFeePerGas":"0x1""#, "type 0"),
        (&*format!(r#"{list},"type":"0x0""#), "type 0"),
        (r#""type":"0x1","maxFeePerGas":"0x1""#, "type 1"),
        (r#""type":"0x2","gasPrice":"0x1""#, "type 2"),
        (r#""type":"0x3""#, "type 3"),
        (r#""type":"0x4""#, "type 4"),
    ] {
        assert!(form(fields).unwrap_err().contains(said), "{fields}");
    }
}

#[test]
fn a_fee_follows_from_the_other_or_from_the_chain() {
    let fees = |fields: &str| {
        let tx = request(fields).dynamic(FOUND).unwrap();
        (tx.max_fee_per_gas, tx.max_priority_fee_per_gas)
    };
    assert_eq!(fees(""), (7, 7));
    assert_eq!(fees(r#""maxFeePerGas":"0x3""#), (3, 3));
    assert_eq!(fees(r#""maxFeePerGas":"0x9""#), (9, 7));
    assert_eq!(fees(r#""maxPriorityFeePerGas":"0x9""#), (9, 9));
    assert_eq!(fees(r#""maxFeePerGas":"0x9","maxPriorityFeePerGas":"0x2""#), (9, 2));
    assert_eq!(request("").legacy(FOUND).unwrap().gas_price, 7);
    assert_eq!(request(r#""gasPrice":"0x0""#).with_access_list(FOUND).unwrap().gas_price, 0);
    // The one type that can be private takes the fee that a newer client offers.
    assert_eq!(request(r#""maxFeePerGas":"0x9""#).legacy(FOUND).unwrap().gas_price, 9);
    for (fields, has) in [("", false), (r#""maxFeePerGas":"0x1""#, false), (r#""gasPrice":"0x0""#, true)] {
        assert_eq!(request(fields).has_price(), has, "{fields}");
    }
}

#[test]
fn whatever_is_not_null_is_private() {
    assert!(request(r#""privateFor":[]"#).private.is_private());
    let request = request(
        r#""privateFrom":"a","privateFor":["b","c"],"privacyFlag":2,"mandatoryFor":["b"],"restriction":"restricted""#,
    );
    let private = request.private;
    assert_eq!(private.private_for, Some(vec!["b".to_owned(), "c".to_owned()]));
    assert_eq!((private.private_from.as_deref(), private.privacy_flag), (Some("a"), Some(Quantity(2))));
    assert_eq!(
        (private.mandatory_for, private.restriction),
        (Some(vec!["b".into()]), Some("restricted".into()))
    );
    for public in [
        "",
        r#""privateFor":null,"privateFrom":null,"privacyFlag":null,"mandatoryFor":null"#,
        r#""privacyFlag":0,"restriction":"restricted""#,
    ] {
        assert!(!self::request(public).private.is_private(), "{public}");
    }
}

/// What its sender meant to be private is never read as a public transaction.
#[test]
fn half_private_and_misspelt_requests_are_refused() {
    for fields in [
        r#""privateFrom":"a""#,
        r#""privacyFlag":1"#,
        r#""mandatoryFor":["a"]"#,
        r#""privateFor":"a""#,
        r#""privateFor":{}"#,
        r#""privatefor":["a"]"#,
        r#""PrivateFor":["a"]"#,
        r#""private_for":["a"]"#,
        r#""privacyGroupId":"a""#,
        r#""private":true"#,
        r#""mandatoryfor":["a"],"privateFor":[]"#,
    ] {
        assert_eq!(read(fields).unwrap_err().code(), -32602, "{fields}");
    }
    assert!(read(r#""privatefor":null"#).is_ok());
}

#[test]
fn what_would_be_lost_is_refused() {
    for name in NOT_SIGNED {
        let refused = read(&format!(r#""{name}":[]"#)).unwrap_err().to_string();
        assert!(refused.contains(name), "{refused}");
    }
    let hardhat = address!("0202020202020202020202020202020202020202");
    assert!(read(&format!(r#""to":"{hardhat}","gasLimit":"0x1","note":"x""#)).is_ok());
}
