//! Messages of IBFT 1.0. lonja verifies the headers of that protocol and does not speak it: no such message
//! may pass for one of QBFT. The parts that ended up in headers are checked with the code that checks headers.

use super::*;
use crate::header::author;
use alloy_rlp::{Encodable, Header as RlpHeader};
use lonja_primitives::{ExtraData, NodeKey, Signer};

/// Code of the messages on the wire.
const WIRE_CODE: u8 = 0x11;

/// A message of IBFT 1.0: `[code, msg, address, signature, committed seal]`.
struct Old {
    code: u8,
    content: Bytes,
    address: Address,
    signature: Bytes,
    seal: Bytes,
}

impl Old {
    fn decode(case: &Value) -> Self {
        let raw = bytes(&case["rlp"]);
        let mut rest = RlpHeader::decode_bytes(&mut &raw[..], true).unwrap();
        let old = Self {
            code: u8::decode(&mut rest).unwrap(),
            content: Bytes::decode(&mut rest).unwrap(),
            address: Address::decode(&mut rest).unwrap(),
            signature: Bytes::decode(&mut rest).unwrap(),
            seal: Bytes::decode(&mut rest).unwrap(),
        };
        assert!(rest.is_empty());
        assert_eq!(old.encode(&old.signature), raw, "{case}");
        old
    }

    fn encode(&self, signature: &Bytes) -> Vec<u8> {
        let parts: [&dyn Encodable; 5] = [&self.code, &self.content, &self.address, signature, &self.seal];
        let payload_length = parts.iter().map(|part| part.length()).sum();
        let mut out = Vec::new();
        RlpHeader { list: true, payload_length }.encode(&mut out);
        parts.iter().for_each(|part| part.encode(&mut out));
        out
    }

    fn preimage(&self) -> Vec<u8> {
        self.encode(&Bytes::new())
    }

    fn signer(&self) -> Address {
        Signature::from_slice(&self.signature).unwrap().recover(keccak256(self.preimage())).unwrap()
    }

    /// Who made the commit seal for this block.
    fn sealer(&self, digest: B256) -> Address {
        let seal = Signature::from_slice(&self.seal).unwrap();
        seal.recover(extra::ibft1_commit_digest(digest)).unwrap()
    }

    /// Round and sequence, in this order, and the rest of the content.
    fn view(&self) -> (u64, u64, Vec<u8>) {
        let mut content = &self.content[..];
        let mut rest = RlpHeader::decode_bytes(&mut content, true).unwrap();
        let mut view = RlpHeader::decode_bytes(&mut rest, true).unwrap();
        (u64::decode(&mut view).unwrap(), u64::decode(&mut view).unwrap(), rest.to_vec())
    }

    fn block(&self) -> alloy_rlp::Result<Block> {
        alloy_rlp::decode_exact(self.view().2)
    }

    /// The header alone of the block, whatever stands behind it.
    fn header(&self) -> Header {
        let content = self.view().2;
        let mut block = RlpHeader::decode_bytes(&mut &content[..], true).unwrap();
        Header::decode(&mut block).unwrap()
    }

    fn digest(&self) -> B256 {
        alloy_rlp::decode_exact(self.view().2).unwrap()
    }
}

/// Under no code, neither bare nor in the string it travels in.
fn is_no_message_here(case: &Value) {
    let raw = bytes(&case["rlp"]);
    let wrapped = alloy_rlp::encode(Bytes::from(raw.clone()));
    if case["wire_payload"].is_string() {
        assert_eq!(wrapped, bytes(&case["wire_payload"]));
    }
    for code in (0..=3).chain([WIRE_CODE]).chain(PROPOSAL_CODE..=ROUND_CHANGE_CODE) {
        for content in [&raw, &wrapped] {
            assert!(decode(&[&[code], &content[..]].concat()).is_err(), "{} as {code:#x}", case["id"]);
        }
    }
    assert!(decode(&raw).is_err() && decode(&wrapped).is_err());
}

/// A validator of the chain that the messages belong to.
fn published_key(address: Address) -> NodeKey {
    let file = vectors!("ibft1_chain");
    let keys = file["validator_private_keys"].as_object().unwrap();
    let (_, key) = keys.iter().find(|(name, _)| name.parse() == Ok(address)).unwrap();
    NodeKey::from_hex(text(key)).unwrap()
}

fn is_signed_as_stated(case: &Value, old: &Old) {
    assert_eq!(old.preimage(), bytes(&case["signed_preimage"]), "{case}");
    assert_eq!(old.signer(), address(&case["address"]));
    assert_eq!((old.address, u64::from(old.code)), (old.signer(), number(&case["inner_code"])));
    let key = published_key(old.address);
    assert_eq!(key.sign(keccak256(old.preimage())).0[..], old.signature[..]);
    assert_eq!(old.content, bytes(&case["msg_bytes"]));
    assert_eq!(keccak256(bytes(&case["wire_payload"])), hash(&case["known_message_key"]));
    let (round, sequence, _) = old.view();
    let parsed = &case["parsed"];
    assert_eq!((round, sequence), (number(&parsed["round"]), number(&parsed["sequence"])));
    assert_eq!(old.seal, bytes(&case["committed_seal"]));
}

/// The seals in the header of block 50 of the chain.
fn seals_of_block_50() -> Vec<Signature> {
    let file = vectors!("ibft1_chain");
    let header = crate::testing::block(&file["blocks"][50]["rlp"]).header;
    assert_eq!(header.number, 50);
    ExtraData::decode(&header.extra_data, HeaderFormat::Ibft1).unwrap().seals
}

#[test]
fn messages_of_ibft1() {
    let file = vectors!("ibft1_messages");
    assert_eq!(cases(&file).len(), 9);
    for case in cases(&file) {
        is_no_message_here(case);
        let old = Old::decode(case);
        match text(&case["id"]) {
            "preprepare" => {
                is_signed_as_stated(case, &old);
                let header = old.block().unwrap().header;
                let hash_of = block_hash(&header, HeaderFormat::Ibft1).unwrap();
                assert_eq!(hash_of, hash(&case["parsed"]["block_hash"]));
                assert_eq!(author(&header, HeaderFormat::Ibft1), Ok(old.address));
            }
            "prepare" | "prepare-round-2-sequence-300" => {
                is_signed_as_stated(case, &old);
                assert_eq!(old.digest(), hash(&case["parsed"]["digest"]));
            }
            "commit-with-real-seal" => {
                is_signed_as_stated(case, &old);
                assert_eq!(old.digest(), hash(&case["parsed"]["digest"]));
                assert_eq!(old.sealer(old.digest()), old.address);
                assert!(seals_of_block_50().iter().any(|seal| seal.0[..] == old.seal[..]));
            }
            "unsigned-preprepare-shape" => {
                assert!(Signature::from_slice(&old.signature).is_err());
                assert_eq!(old.address, address(&case["address"]));
                let (header, parsed) = (old.header(), &case["parsed"]);
                assert!(old.block().is_err(), "it lacks the hash of an empty list of ommers");
                assert_eq!(header.number, number(&parsed["block_number"]));
                assert_eq!(
                    header.hash_slow(),
                    hash(&parsed["block_hash"]),
                    "no Istanbul header: hashed whole"
                );
                assert!(block_hash(&header, HeaderFormat::Ibft1).is_err());
                assert_eq!((old.view().0, old.view().1), (1, 2));
            }
            "bad-address-not-signer" => assert_ne!(old.signer(), old.address),
            "bad-commit-seal-of-other" | "bad-commit-seal-over-hash" => {
                assert_eq!(old.signer(), old.address);
                assert_ne!(old.sealer(old.digest()), old.address);
            }
            "bad-view-order-trap" => assert_eq!((old.view().0, old.view().1), (50, 0)),
            other => panic!("unknown case {other}"),
        }
    }
}
