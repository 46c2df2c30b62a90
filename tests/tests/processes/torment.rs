//! A little of what the program `torment` does for hours.

use lonja_tests::harness::turn;
use lonja_tests::torment::{flip, kill};

const KILLS: usize = 6;
/// Flips in each kind of file.
const FLIPS: usize = 4;

#[test]
fn nodes_killed_at_any_instant_lose_nothing() {
    let seed = rand::random();
    println!("torment kill --times {KILLS} --seed {seed}");
    let tally = kill::run(KILLS, seed, |_| {});
    println!("{tally}");
    assert!(tally.blocks > 0 && tally.transactions > 0, "nothing happened: {tally}");
}

#[test]
fn a_flipped_byte_in_any_file_is_detected_or_harmless() {
    let seed = rand::random();
    println!("torment flip --times {FLIPS} --seed {seed}");
    let specimen = flip::Specimen::make();
    let _turn = turn();
    let kinds = specimen.kinds();
    // All tables but those that only long chains fill, and every file beside the database.
    for wanted in
        ["table headers", "table account-history", "write-ahead log", "MANIFEST", "consensus.log", "votes"]
    {
        assert!(kinds.iter().any(|(kind, _)| kind == wanted), "no {wanted} among {kinds:?}");
    }
    let report = flip::run(&specimen, FLIPS, seed, 2, "", |_| {});
    println!("{report}");
    assert_eq!(report.wrong().count(), 0, "{report}");
    for kind in ["node.key", "table bodies", "write-ahead log", "genesis.json"] {
        assert!(report.0[kind].detected > 0, "nobody notices a damaged {kind}");
    }
}
