//! What is not run, and why. `tests/vectors/ethereum/SKIPPED.md` says the same in more words.

/// Why a test was not run: it asks for something that a lonja network refuses by design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// The test has a blob transaction (EIP-4844).
    BlobTransaction,
    /// The test's blocks have blobs behind them, so that a unit of blob gas does not cost 1 wei.
    BlobFee,
    /// Constantinople before Petersburg, with the gas rules of EIP-1283.
    Constantinople,
    /// A transaction of Frontier has a signature that EIP-2 made invalid.
    HighSignature,
    /// The test is that a block has the wrong proof of work.
    ProofOfWork,
    /// Prague's requests to the beacon chain (EIP-7685).
    Requests,
    /// The test was made when the fork it is of was a draft, which changed afterwards.
    Draft,
    /// The fork is not one that lonja knows.
    UnknownFork,
    /// The file is of another kind of test.
    OtherFormat,
}

impl Skip {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::BlobTransaction,
        Self::BlobFee,
        Self::Constantinople,
        Self::HighSignature,
        Self::ProofOfWork,
        Self::Requests,
        Self::Draft,
        Self::UnknownFork,
        Self::OtherFormat,
    ];

    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BlobTransaction => "blob transactions (EIP-4844) are refused on every lonja network",
            Self::BlobFee => "there is no blob market: a unit of blob gas costs 1 wei, always",
            Self::Constantinople => {
                "Constantinople without Petersburg (EIP-1283) is run as Petersburg, as all clients do"
            }
            Self::HighSignature => "a signature with a high s (EIP-2) is refused under every fork",
            Self::ProofOfWork => "proof of work is not verified",
            Self::Requests => "there is no beacon chain to make requests to (EIP-7685)",
            Self::Draft => "made for a draft of Prague that is not what Prague became",
            Self::UnknownFork => "the fork is not known",
            Self::OtherFormat => "the file is of another kind of test",
        }
    }
}
