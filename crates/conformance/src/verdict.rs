//! What came of one test.

use crate::skip::Skip;

/// What is different, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What was looked at.
    pub(crate) what: &'static str,
    /// What the test says.
    pub(crate) expected: String,
    /// What we have.
    pub(crate) got: String,
}

impl Difference {
    pub(crate) fn new(what: &'static str, expected: impl ToString, got: impl ToString) -> Self {
        Self { what, expected: expected.to_string(), got: got.to_string() }
    }
}

/// What came of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed(Difference),
    Skipped(Skip),
}

impl From<Result<(), Difference>> for Verdict {
    fn from(result: Result<(), Difference>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(difference) => Self::Failed(difference),
        }
    }
}

/// One test of a file.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Name of the test in its file.
    pub(crate) name: String,
    /// Fork or network.
    pub(crate) fork: String,
    /// Which of the tests under that name and fork.
    pub(crate) index: usize,
    pub(crate) verdict: Verdict,
}
