//! Bytes from outside that nobody made with good intentions: what reads them says no, and nothing else happens.
//!
//! Each [target](TARGETS) takes any bytes, and panics where a promise is broken. Three drive them: the test suite, from
//! the vectors of the project with a few thousand mutations ([`crate::fuzzing::mutate`]); the program `fuzz`, with as many
//! as one likes; and libFuzzer, which sees what the code does with its input (the package in `fuzz/`).

mod manager;
pub mod mutate;
pub mod seeds;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Something that takes any bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its libFuzzer program.
    pub name: &'static str,
    /// Takes the bytes; panics where it should not.
    pub take: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    Target { name: "envelope_cbor", take: targets::envelope_cbor },
    Target { name: "envelope_legacy", take: targets::envelope_legacy },
    Target { name: "party_info", take: targets::party_info },
    Target { name: "privacy_group", take: targets::privacy_group },
    Target { name: "key_file", take: targets::key_file },
    Target { name: "texts", take: targets::texts },
    Target { name: "manager_wire", take: targets::manager_wire },
    Target { name: "records", take: targets::records },
    Target { name: "session_wire", take: targets::session_wire },
    Target { name: "transaction", take: targets::transaction },
    Target { name: "marker", take: targets::marker },
    Target { name: "manager_requests", take: manager::requests },
    Target { name: "manager_pushes", take: manager::pushes },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Runs a target of which only the name is known, as libFuzzer's programs do.
pub fn run(name: &str, bytes: &[u8]) {
    let target = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    (target.take)(bytes);
}

impl Target {
    /// Takes the bytes; the words of a panic come back, with the bytes to see it again.
    pub fn try_take(&self, bytes: &[u8]) -> Result<(), String> {
        catch_unwind(AssertUnwindSafe(|| (self.take)(bytes))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let hex = alloy_primitives::hex::encode(bytes);
            format!("{}: {} with the bytes {hex}", self.name, text.unwrap_or_default())
        })
    }
}
