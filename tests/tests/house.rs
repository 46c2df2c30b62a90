//! House rules: who may depend on whom, and which library's name stays inside which crate. Reads
//! `cargo metadata`, so that a broken floor is a failing test and not a matter of opinion.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Floors of `docs/architecture.md`. A crate imports only from floors below its own.
const FLOORS: &[(&str, u8)] = &[
    ("lonja-primitives", 0),
    ("lonja-storage", 1),
    ("lonja-evm", 1),
    ("lonja-consensus", 1),
    ("lonja-txpool", 1),
    ("lonja-p2p", 1),
    ("lonja-accounts", 1),
    ("lonja-permissioning", 2),
    ("lonja-ptm", 2),
    ("lonja-chain", 3),
    ("lonja-rpc", 4),
    ("lonja-conformance", 4),
    ("lonja-node", 5),
    ("lonja", 6),
    ("lonja-tests", 7),
    ("lonja-benches", 7),
];

/// Libraries known to one crate only.
const HOMES: &[(&str, &str)] = &[
    ("revm", "lonja-evm"),
    ("rocksdb", "lonja-storage"),
    ("libp2p", "lonja-p2p"),
    ("libp2p-stream", "lonja-p2p"),
    ("jsonrpsee", "lonja-rpc"),
    ("axum", "lonja-rpc"),
];

/// Crates that must stay free of any runtime.
const WITHOUT_RUNTIME: &[&str] = &[
    "lonja-primitives",
    "lonja-storage",
    "lonja-evm",
    "lonja-consensus",
    "lonja-txpool",
    "lonja-accounts",
    "lonja-permissioning",
    "lonja-chain",
];

/// Files longer than this are several rooms in one.
const LONGEST_FILE: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests package stands in the workspace").into()
}

/// Direct, non-dev dependencies of every workspace package.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &Value| value.as_str().expect("a name").to_string();
    let normal = |d: &&Value| d["kind"].as_str() != Some("dev");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages
        .iter()
        .map(|package| {
            let list = package["dependencies"].as_array().expect("a list of dependencies");
            (text(&package["name"]), list.iter().filter(normal).map(|d| text(&d["name"])).collect())
        })
        .collect()
}

#[test]
fn crates_import_only_from_floors_below() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let all = dependencies();
    for (package, dependencies) in &all {
        let own = *floors.get(package.as_str()).unwrap_or_else(|| panic!("{package} stands on no floor"));
        for dependency in dependencies {
            if let Some(floor) = floors.get(dependency.as_str()) {
                assert!(*floor < own, "{package} (floor {own}) imports {dependency} (floor {floor})");
            }
        }
    }
    assert_eq!(all.len(), FLOORS.len(), "a crate was added or removed: update the floors");
}

#[test]
fn a_library_lives_in_one_crate() {
    for (package, dependencies) in dependencies() {
        for (library, home) in HOMES {
            assert!(
                !dependencies.contains(*library) || package == *home,
                "{library} belongs to {home}, but {package} imports it"
            );
        }
    }
}

#[test]
fn pure_crates_have_no_runtime() {
    let all = dependencies();
    for package in WITHOUT_RUNTIME {
        for runtime in ["tokio", "futures", "async-std", "smol"] {
            assert!(!all[*package].contains(runtime), "{package} imports {runtime}");
        }
    }
    for noise in ["rand", "rayon", "parking_lot", "metrics", "tracing"] {
        assert!(!all["lonja-consensus"].contains(noise), "consensus is pure, but imports {noise}");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default().to_string();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_one_story_each_and_finished() {
    let mut files = Vec::new();
    for folder in ["crates", "bin", "tests", "benches"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "only {} files found", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable text");
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.display());
        for left in [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ign", "ore")] {
            assert!(!text.contains(left), "{} contains {left}", file.display());
        }
    }
}
