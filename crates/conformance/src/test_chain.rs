//! Chains of Ethereum's development tools (`geth --dev`, Clique networks) out of files: everything about them is
//! verified and executed as in the tests, except how they are sealed.

use crate::block::{Body, cut, decode};
use crate::chain::{Chain, Refused, Sealed};
use crate::clique::Clique;
use crate::geth::GethGenesis;
use crate::mainnet::{check_common, ensure};
use alloy_primitives::B256;
use lonja_primitives::Header;
use lonja_storage::StoreError;
use std::ops::ControlFlow;
use thiserror::Error;

/// Which seals the blocks of a test chain must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestSeals {
    /// Those of Clique (EIP-225), with the period and the epoch of the genesis file.
    Clique,
    /// Any: difficulty, nonce, mix hash and `extraData` are not looked at.
    None,
}

/// Why a test chain is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TestChainError {
    /// The genesis file.
    #[error("genesis: {0}")]
    Genesis(String),
    /// The file of blocks.
    #[error("after {blocks} blocks: {reason}")]
    File {
        /// Whole blocks read before it.
        blocks: u64,
        /// What is wrong.
        reason: String,
    },
    /// A block breaks a rule.
    #[error("block {number}: {reason}")]
    Block {
        /// Its number.
        number: u64,
        /// The rule.
        reason: String,
    },
}

/// A test chain in memory.
pub struct TestChain {
    chain: Chain,
    head: Header,
    clique: Option<Clique>,
    genesis: B256,
    transactions: u64,
}

impl TestChain {
    /// Opens it at block 0 of a genesis file of geth's.
    ///
    /// # Errors
    /// [`TestChainError::Genesis`], with the field.
    pub fn open(genesis: &str, seals: TestSeals) -> Result<Self, TestChainError> {
        let genesis = GethGenesis::read(genesis).map_err(TestChainError::Genesis)?;
        let clique = match (seals, genesis.clique) {
            (TestSeals::None, _) => None,
            (TestSeals::Clique, Some((period_s, epoch_blocks))) => {
                let clique = Clique::new(genesis.header.header(), period_s, epoch_blocks);
                Some(clique.map_err(TestChainError::Genesis)?)
            }
            (TestSeals::Clique, None) => {
                return Err(TestChainError::Genesis("config.clique: it must be given".into()));
            }
        };
        let (head, hash) = (genesis.header.header().clone(), genesis.header.hash());
        let chain = Chain::new(genesis.network, genesis.header, genesis.alloc);
        let chain = chain.map_err(|error: StoreError| TestChainError::Genesis(error.to_string()))?;
        Ok(Self { chain, head, clique, genesis: hash, transactions: 0 })
    }

    /// The newest block.
    pub fn head(&self) -> (u64, B256) {
        (self.head.number, self.chain.best())
    }

    #[cfg(test)]
    pub(crate) fn head_header(&self) -> &Header {
        &self.head
    }

    #[cfg(test)]
    pub(crate) fn balance(&self, address: &alloy_primitives::Address) -> alloy_primitives::U256 {
        self.chain.account(address).map(|account| account.balance).unwrap_or_default()
    }

    /// Transactions executed.
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Takes the blocks of a file, RLP one after the other; block 0 is compared. `report` is called after each.
    ///
    /// # Errors
    /// The first block that breaks a rule; those before it are in the chain.
    pub fn import(
        &mut self,
        file: &[u8],
        report: &mut dyn FnMut(&Self) -> ControlFlow<()>,
    ) -> Result<(), TestChainError> {
        let items = cut(file).map_err(|reason| TestChainError::File { blocks: 0, reason })?;
        for (blocks, item) in (0..).zip(items) {
            let (header, body) = decode(item).map_err(|reason| TestChainError::File { blocks, reason })?;
            let number = header.number;
            self.take(header, body).map_err(|reason| TestChainError::Block { number, reason })?;
            if report(self).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, header: Header, body: Body) -> Result<(), String> {
        if header.number == 0 {
            return ensure(header.hash_slow() == self.genesis, "not that of the genesis file");
        }
        let parent = self.chain.best();
        ensure(
            header.parent_hash == parent,
            &format!("it does not follow block {} {parent}", self.head.number),
        )?;
        check_common(self.chain.network(), &header, &self.head)?;
        let mut clique = self.clique.clone();
        let author = clique.as_mut().map(|clique| clique.step(&header, &self.head)).transpose()?;
        ensure(header.timestamp >= self.head.timestamp, "timestamp: below the parent's")?;
        let count = body.transactions.len() as u64;
        let sealed = Sealed { author, has_work: !header.difficulty.is_zero(), reward: false };
        let head = header.clone();
        let hash =
            self.chain.import_checked(header, body, &sealed).map_err(|error: Refused| error.to_string())?;
        self.chain.set_best(hash);
        (self.head, self.clique) = (head, clique);
        self.transactions += count;
        Ok(())
    }
}
