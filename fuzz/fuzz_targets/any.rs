//! Each program is the target of its own name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lonja_tests::fuzzing::run(env!("CARGO_BIN_NAME"), bytes));
