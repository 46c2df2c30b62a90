//! What must hold in the end.

use super::deals::{Contract, Deal};
use crate::simulation::report::{Outcome, Violation};
use crate::simulation::world::World;
use alloy_primitives::{Address, B256, keccak256};
use lonja_chain::private::{Advance, PrivateFollower};
use lonja_primitives::StateView;
use lonja_ptm::{Lookup, PayloadHash};
use lonja_storage::private::{Fate, PrivateReader, PrivateReceipt, open_private};
use lonja_storage::{MemoryKv, ProofLimits, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A proof takes far less.
const PROOF_TIME: Duration = Duration::from_secs(60);

/// What one private transaction came to: where, and its receipt.
type Came = Vec<(u64, u32, Option<PrivateReceipt>)>;

fn broken(error: StoreError) -> Violation {
    Violation(format!("a private state cannot be read: {error}"))
}

/// Root of a contract's storage with its code and nonce; `None` where there is no such account.
fn state_of(reader: &PrivateReader, address: &Address, number: u64) -> Outcome<Option<(B256, B256, u64)>> {
    let state = reader.state_at(number).map_err(broken)?;
    let account = state.account(address).map_err(|error| Violation(error.to_string()))?;
    let Some(account) = account else { return Ok(None) };
    let limits = ProofLimits { changes: 1 << 20, until: Instant::now() + PROOF_TIME };
    let proof = reader.proof(number, address, &[], &limits).map_err(broken)?;
    Ok(Some((proof.storage_root, account.code_hash, account.nonce)))
}

fn came_to(reader: &PrivateReader, hash: &PayloadHash) -> Outcome<Came> {
    let seen = reader.seen(hash).map_err(broken)?;
    let executed = seen.into_iter().filter(|(_, _, fate)| matches!(fate, Fate::Executed | Fate::Read));
    executed
        .map(|(number, index, _)| Ok((number, index, reader.receipt(number, index).map_err(broken)?)))
        .collect()
}

impl World {
    /// Looks at everything private as of a block that all members have passed.
    pub fn private_audit(&mut self, height: u64) -> Outcome {
        let members: Vec<(usize, PrivateReader)> = (0..self.nodes.len())
            .filter_map(|node| Some((node, self.member(node)?.follower.reader())))
            .collect();
        for deal in &self.deals.done {
            self.expect_lookups(deal, &members)?;
            self.expect_same_receipts(deal, &members)?;
        }
        let made = |contract: &&Contract| members.iter().any(|(_, reader)| contract.is_made(reader));
        for contract in self.deals.contracts().iter().filter(made) {
            self.expect_same_state(contract, &members, height)?;
        }
        for (node, reader) in &members {
            let again = self.made_anew(*node, height)?;
            let root = reader.root_at(height).map_err(broken)?;
            if again != root {
                return self
                    .violation(format!("private state: node {node} has {root}, and made anew {again}"));
            }
        }
        self.expect_secrecy()
    }

    fn expect_same_state(
        &self,
        contract: &Contract,
        members: &[(usize, PrivateReader)],
        height: u64,
    ) -> Outcome {
        let mut first = None;
        for (node, reader) in members {
            let state = state_of(reader, &contract.address, height)?;
            if !contract.parties.contains(node) {
                if state.is_some() {
                    let address = contract.address;
                    return self.violation(format!("secrecy: node {node} has the contract {address}"));
                }
                continue;
            }
            if *first.get_or_insert(state) != state {
                return self.violation(format!(
                    "private state: node {node} has {state:?} of contract {}, another party {:?}",
                    contract.address,
                    first.flatten()
                ));
            }
        }
        Ok(())
    }

    fn expect_lookups(&self, deal: &Deal, members: &[(usize, PrivateReader)]) -> Outcome {
        let hashes: Vec<PayloadHash> = deal.hashes().collect();
        for (node, _) in members {
            for hash in &hashes {
                let found = self.member(*node).map(|member| member.lookup(*hash));
                let right = match (found.as_ref(), deal.parties.contains(node)) {
                    (Some(Lookup::Found(payload)), true) => {
                        hashes.last() != Some(hash) || payload.payload == deal.payload
                    }
                    (Some(Lookup::NotOurs), false) => true,
                    _ => false,
                };
                if !right {
                    return self.violation(format!("delivery: node {node} answers {found:?} for {hash}"));
                }
            }
        }
        Ok(())
    }

    fn expect_same_receipts(&self, deal: &Deal, members: &[(usize, PrivateReader)]) -> Outcome {
        for hash in deal.hashes() {
            let mut first = None;
            for (node, reader) in members {
                let came = came_to(reader, &hash)?;
                let right = match deal.parties.contains(node) {
                    true => *first.get_or_insert_with(|| came.clone()) == came,
                    false => came.is_empty(),
                };
                if !right {
                    return self.violation(format!(
                        "private state: {hash} of {deal:?} came to something else at node {node}: {came:?}, not {first:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The private root of a node, worked out once more from the chain and the payloads.
    fn made_anew(&self, node: usize, height: u64) -> Outcome<B256> {
        let Some(process) = &self.nodes[node].process else { return Ok(B256::ZERO) };
        let Some(member) = &process.member else { return Ok(B256::ZERO) };
        let store = open_private(Arc::new(MemoryKv::new()), self.genesis.hash()).map_err(broken)?;
        let follower = PrivateFollower::open(store, process.reader.clone(), self.spec.clone());
        let mut follower = follower.map_err(|error| Violation(error.to_string()))?;
        let mut ask = |hashes: &[PayloadHash]| hashes.iter().map(|hash| member.lookup(*hash)).collect();
        loop {
            match follower.advance(&mut ask).map_err(|error| Violation(error.to_string()))? {
                Advance::UpToDate => return follower.reader().root_at(height).map_err(broken),
                Advance::Moved { .. } => {}
                Advance::Waiting(waiting) => {
                    return self.violation(format!("private state: node {node} waits for {waiting:?}"));
                }
            }
        }
    }

    /// Something executed. Counted, so that quiet worlds are noticed.
    pub(super) fn executed(&mut self, node: usize, head: u64) -> Outcome {
        let Some(member) = self.member(node) else { return Ok(()) };
        let receipts = member.follower.reader().receipts(head).map_err(broken)?;
        let failed = receipts.iter().filter(|(_, receipt)| !receipt.success).count();
        self.stats.private_runs += receipts.len() as u64;
        self.stats.private_failures += failed as u64;
        Ok(())
    }

    /// A hash over all private states, to compare two runs of a seed.
    pub(in crate::simulation) fn private_trail(&self) -> String {
        let members = (0..self.nodes.len()).filter_map(|node| self.member(node));
        let roots = members.map(|member| {
            let (reader, head) = (member.follower.reader(), member.follower.head().number);
            reader.root_at(head).unwrap_or_default()
        });
        let roots: Vec<u8> = roots.flat_map(|root| root.0).collect();
        if roots.is_empty() { String::new() } else { format!(" {}", keccak256(roots)) }
    }
}
