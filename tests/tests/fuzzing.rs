//! Bad bytes, a few thousand for each target. More: the program `fuzz`, or libFuzzer (`fuzz/`).

use lonja_tests::fuzzing::mutate::Mutator;
use lonja_tests::fuzzing::{TARGETS, run, seeds};

/// Mutations for each target; `FUZZ_INPUTS` says otherwise.
const INPUTS: u64 = 4_000;

#[test]
fn bad_bytes_are_refused_and_nothing_else_happens() {
    let inputs = std::env::var("FUZZ_INPUTS").ok().and_then(|inputs| inputs.parse().ok()).unwrap_or(INPUTS);
    for target in TARGETS {
        let seeds = seeds::of(target.name);
        assert!(seeds.len() > 1, "{} begins with {} seeds", target.name, seeds.len());
        let mut mutator = Mutator::new(1);
        let mutated = (0..inputs).map(|_| mutator.next(&seeds));
        for bytes in seeds.iter().cloned().chain(mutated) {
            target.try_take(&bytes).unwrap_or_else(|text| panic!("{text}"));
        }
    }
}

/// The package with libFuzzer's programs stands outside of the workspace: nobody but this test sees that it fits.
#[test]
fn every_target_has_its_program() {
    let manifest = include_str!("../../fuzz/Cargo.toml");
    for target in TARGETS {
        let name = format!("name = \"{}\"", target.name);
        assert!(manifest.contains(&name), "fuzz/Cargo.toml has no program {}", target.name);
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

#[test]
#[should_panic(expected = "there is no target")]
fn an_unknown_target_is_said_to_be_none() {
    run("nothing", &[]);
}

#[test]
fn mutations_of_a_number_are_the_same() {
    let seeds = seeds::of("envelope_cbor");
    let [first, second] = [(); 2].map(|()| {
        let mut mutator = Mutator::new(3);
        (0..500).map(|_| mutator.next(&seeds)).collect::<Vec<_>>()
    });
    assert_eq!(first, second);
    assert_ne!(first[0], Mutator::new(4).next(&seeds));
}
