//! What is said about a run.

use crate::skip::Skip;
use serde::Serialize;
use std::collections::BTreeMap;

/// A test that did not come out as it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// File of the test.
    pub file: String,
    /// Name of the test in its file.
    pub test: String,
    /// Fork or network.
    pub fork: String,
    /// Which of the tests under that name and fork, from 0.
    pub index: usize,
    /// What differs.
    pub what: String,
    /// What the test says.
    pub expected: String,
    /// What we have.
    pub got: String,
}

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files read.
    pub files: u64,
    /// Tests run: passed and failed.
    pub run: u64,
    /// Tests that came out as they say.
    pub passed: u64,
    /// Tests that did not, and files that could not be read.
    pub failed: u64,
    /// Tests not run.
    pub skipped: u64,
    /// Tests not run, by reason.
    pub skipped_by_reason: BTreeMap<&'static str, u64>,
}

impl Summary {
    pub(crate) fn skip(&mut self, skip: Skip) {
        self.skipped += 1;
        *self.skipped_by_reason.entry(skip.reason()).or_default() += 1;
    }
}
