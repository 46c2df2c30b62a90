//! A real IBFT 1.0 chain, and its continuation as QBFT from block 101 on.

use super::*;
use crate::testing::{address, block, hash, state_at};
use crate::{VoteState, proposer};
use lonja_primitives::NodeKey;
use proptest::prelude::*;

/// Five seconds and IBFT 1.0 up to 100, then one second and QBFT.
fn network() -> ChainSpec {
    let ibft1 = ConsensusParams { format: HeaderFormat::Ibft1, block_period_ms: 5000, ..params() };
    let mut spec = spec(ibft1);
    spec.consensus.push((101, params()));
    spec
}

/// A node that follows the chain by its headers alone.
struct Follower {
    spec: ChainSpec,
    head: SealedHeader,
    votes: VoteState,
}

impl Follower {
    fn turn(&self, round: u32) -> Address {
        let params = self.spec.consensus_at(self.head.number + 1);
        let last = proposer::last_author(&self.spec, &self.head).unwrap();
        proposer(params, self.votes.validators(), last, round)
    }

    fn certify(&self, block: Block) -> Result<CertifiedBlock, HeaderError> {
        certify(&self.spec, block, &self.head, self.votes.validators())
    }

    fn follow(&mut self, row: &Value) {
        let certified = self.certify(block(&row["rlp"])).unwrap();
        assert_eq!(certified.hash(), hash(&row["hash"]));
        let header = certified.block().header.clone();
        let format = self.spec.format_at(header.number);
        let author = author(&header, format).unwrap();
        assert_eq!(author, address(&row["proposer"]));
        self.votes.apply(&self.spec, &header, author).unwrap();
        self.head = SealedHeader::seal(header, format).unwrap();
    }
}

/// At genesis of the real chain.
fn at_genesis(blocks: &[Value]) -> Follower {
    let spec = network();
    let header = block(&blocks[0]["rlp"]).header;
    let votes = VoteState::genesis(&spec, &header).unwrap();
    let head = SealedHeader::seal(header, HeaderFormat::Ibft1).unwrap();
    assert_eq!(head.hash(), hash(&blocks[0]["hash"]));
    Follower { spec, head, votes }
}

/// At block 100, the last one of the old format.
fn before_the_change(file: &Value, validators: &[Address]) -> Follower {
    let header = block(&file["parent_block"]["rlp"]).header;
    let head = SealedHeader::seal(header, HeaderFormat::Ibft1).unwrap();
    assert_eq!(head.hash(), hash(&file["parent_hash_of_101"]));
    Follower { spec: network(), head, votes: state_at(100, validators) }
}

#[test]
fn the_real_ibft1_chain_is_certified_block_by_block() {
    let file = vectors!("ibft1_chain");
    let blocks = file["blocks"].as_array().unwrap();
    let validators = addresses(&file["validators_sorted"]);
    let mut follower = at_genesis(blocks);
    for row in &blocks[1..] {
        assert_eq!(follower.turn(0), address(&row["proposer"]));
        follower.follow(row);
        let committers = committers(&follower.head, HeaderFormat::Ibft1).unwrap();
        assert_eq!(committers, addresses(&row["committers_in_header_order"]));
        assert_eq!(follower.votes.validators().as_slice(), validators);
    }
    assert_eq!(follower.head.number, number(&file["range"][1]));
}

/// Signatures are deterministic, so the published keys must give back every byte.
#[test]
fn the_published_keys_reproduce_the_seals() {
    let file = vectors!("ibft1_chain");
    let key_of =
        |address: &Value| NodeKey::from_hex(text(&file["validator_private_keys"][text(address)])).unwrap();
    for row in &file["blocks"].as_array().unwrap()[1..] {
        let header = block(&row["rlp"]).header;
        let extra = ExtraData::decode(&header.extra_data, HeaderFormat::Ibft1).unwrap();
        let proposer_digest = extra::ibft1_proposer_digest(&header).unwrap();
        assert_eq!(extra.proposer_seal[..], key_of(&row["proposer"]).sign(proposer_digest).0);
        let digest = commit_digest(&header, HeaderFormat::Ibft1).unwrap();
        let committers = row["committers_in_header_order"].as_array().unwrap();
        let seals: Vec<_> = committers.iter().map(|address| key_of(address).sign(digest)).collect();
        assert_eq!(extra.seals, seals);
    }
}

#[test]
fn the_chain_goes_on_as_qbft_with_votes_rounds_and_other_quorums() {
    let file = vectors!("qbft_chain");
    let rows = file["blocks"].as_array().unwrap();
    let mut follower = before_the_change(&file, &addresses(&rows[0]["validators"]));
    for row in rows {
        let round = number(&row["round"]) as u32;
        assert_eq!(follower.votes.validators().as_slice(), addresses(&row["validators"]));
        assert_eq!(follower.turn(round), address(&row["proposer"]), "{}", row["number"]);
        let quorum = follower.votes.validators().quorum(params().quorum);
        assert_eq!(quorum as u64, number(&row["quorum"]));
        follower.follow(row);
        let header = &follower.head;
        assert_eq!(extra::qbft_round(header).unwrap(), round);
        assert_eq!(commit_digest(header, HeaderFormat::Qbft).unwrap(), hash(&row["commit_digest"]));
        assert_eq!(committers(header, HeaderFormat::Qbft).unwrap(), addresses(&row["committers"]));
        let after = addresses(&row["validators_after_block"]);
        assert_eq!(follower.votes.validators().as_slice(), after);
    }
    let newcomer = NodeKey::from_hex(text(&file["private_key_of_new_validator"])).unwrap();
    assert!(follower.votes.validators().contains(&newcomer.address()));
}

#[test]
fn each_format_holds_on_its_side_of_the_change_only() {
    let file = vectors!("qbft_chain");
    let rows = file["blocks"].as_array().unwrap();
    let validators = addresses(&rows[0]["validators"]);
    let mut early = before_the_change(&file, &validators);
    early.spec.consensus[1].0 = 102;
    assert!(matches!(early.certify(block(&rows[0]["rlp"])), Err(HeaderError::Extra(_))));
    let follower = before_the_change(&file, &validators);
    assert!(matches!(follower.certify(block(&rows[1]["rlp"])), Err(HeaderError::Number { .. })));
}

/// A wrong validator set for the height refuses the block, even where every seal is genuine.
#[test]
fn another_validator_set_refuses_genuine_blocks() {
    let file = vectors!("qbft_chain");
    let rows = file["blocks"].as_array().unwrap();
    let mut validators = addresses(&rows[0]["validators"]);
    validators.pop();
    let follower = before_the_change(&file, &validators);
    assert!(follower.certify(block(&rows[0]["rlp"])).is_err());
}

proptest! {
    /// No byte of a sealed block can change: it either no longer decodes or is refused.
    #[test]
    fn any_changed_byte_of_a_sealed_block_is_refused(
        qbft in any::<bool>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let (follower, mut raw) = if qbft {
            let file = vectors!("qbft_chain");
            let first = &file["blocks"][0];
            (before_the_change(&file, &addresses(&first["validators"])), bytes(&first["rlp"]))
        } else {
            let file = vectors!("ibft1_chain");
            let blocks = file["blocks"].as_array().unwrap();
            (at_genesis(blocks), bytes(&blocks[1]["rlp"]))
        };
        prop_assert!(follower.certify(alloy_rlp::decode_exact(&raw).unwrap()).is_ok());
        let at = at.index(raw.len());
        raw[at] ^= flip;
        if let Ok(changed) = alloy_rlp::decode_exact(&raw) {
            prop_assert!(follower.certify(changed).is_err());
        }
    }
}
