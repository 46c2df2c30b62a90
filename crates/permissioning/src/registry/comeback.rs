//! The way back of a validator that was suspended by rule: it shows that it follows the chain again, and asks for its seat
//! when its time is over. Its own key may do both, so that nobody has to type anything after a repair.

use super::abi::{VALIDATORS, Validators};
use super::reader::Reader;
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip4844, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall;
use lonja_primitives::Signer;

/// Suspended for missed turns or for fraud (`ValidatorState.flags`).
const SUSPENDED: u8 = 2;
/// Suspended until a vote.
const BARRED: u8 = 4;
/// Gas for either step: a few slots.
const STEP_GAS: u64 = 300_000;

/// What a validator does next to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It shows that it has the newest block.
    Heartbeat(Bytes),
    /// It asks to be a candidate again.
    Return(Bytes),
}

impl Step {
    /// The call of the Validators contract.
    pub fn call(&self) -> &Bytes {
        match self {
            Self::Heartbeat(call) | Self::Return(call) => call,
        }
    }
}

/// The next step of the validator with this consensus address, at the state after block `head`; none where it is not
/// suspended, has to wait, or needs a vote.
///
/// # Errors
/// The registry does not answer, in words.
pub fn next_step(
    reader: &mut Reader<'_>,
    validator: Address,
    head: (u64, B256),
) -> Result<Option<Step>, String> {
    let node = reader.ask(super::abi::REGISTRY, &super::abi::Registry::nodeOfValidatorCall { validator })?;
    if node.is_zero() {
        return Ok(None);
    }
    let state = reader.ask(VALIDATORS, &Validators::getValidatorCall { nodeKey: node })?;
    if state.flags & SUSPENDED == 0 || state.flags & BARRED != 0 {
        return Ok(None);
    }
    let (height, hash) = head;
    // The block that takes the step is a later one.
    let next = height.saturating_add(1);
    let sla = reader.policy()?.sla;
    if state.heartbeats < sla.heartbeats {
        let from = state.lastHeartbeat.saturating_add(u64::from(sla.heartbeatInterval));
        let call = Validators::heartbeatCall { height, hash }.abi_encode();
        let due = state.lastHeartbeat == 0 || next >= from;
        return Ok(due.then(|| Step::Heartbeat(call.into())));
    }
    let call = Validators::requestReincorporationCall { nodeKey: node }.abi_encode();
    Ok((next >= state.jailedUntil).then(|| Step::Return(call.into())))
}

/// The step as a transaction that the validator signs, in EIP-2718 form.
pub fn signed(step: &Step, key: &dyn Signer, chain_id: u64, nonce: u64) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(chain_id),
        nonce,
        gas_price: 0,
        gas_limit: STEP_GAS,
        to: TxKind::Call(VALIDATORS),
        value: U256::ZERO,
        input: step.call().clone(),
    };
    let signature = key.sign(tx.signature_hash()).0;
    let (r, s) = (U256::from_be_slice(&signature[..32]), U256::from_be_slice(&signature[32..64]));
    let signed = tx.into_signed(Signature::new(r, s, signature[64] == 1));
    EthereumTxEnvelope::<TxEip4844>::Legacy(signed).encoded_2718().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::plan::EXAMPLE;
    use crate::registry::testing::World;
    use alloy_primitives::keccak256;
    use lonja_primitives::{NodeKey, RecoveredTransaction};

    /// The keys of the example's validators are known to everybody.
    fn key(n: u8) -> NodeKey {
        NodeKey::from_bytes(B256::with_last_byte(n).as_ref()).unwrap()
    }

    #[test]
    fn who_is_not_suspended_has_nothing_to_do() {
        let world = World::new();
        let step = |address| next_step(&mut world.reader(), address, (0, B256::ZERO));
        assert_eq!(step(key(1).address()), Ok(None), "it holds its seat");
        assert_eq!(step(Address::repeat_byte(9)), Ok(None), "a stranger");
    }

    #[test]
    fn a_suspended_validator_beats_and_then_returns() {
        let plan = [
            ("\"consecutiveMisses\": 20", "\"consecutiveMisses\": 3"),
            ("\"jailLength\": 86400", "\"jailLength\": 4"),
            ("\"heartbeats\": 20", "\"heartbeats\": 1"),
        ];
        let plan = plan.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let mut world = World::of(&plan);
        let missing = key(1).address();
        let node = keccak256(key(1).node_id().0);
        for number in 1..=3 {
            let call = Validators::endBlockCall { author: key(2).address(), missed: vec![missing] };
            assert!(world.system(number, VALIDATORS, &call).success);
        }
        let at =
            |world: &World, number| next_step(&mut world.reader(), missing, (number, B256::repeat_byte(5)));
        let Ok(Some(step @ Step::Heartbeat(_))) = at(&world, 3) else { panic!("{:?}", at(&world, 3)) };
        let raw = signed(&step, &key(1), 1337, 7);
        let tx = RecoveredTransaction::recover(raw, 1337).unwrap();
        assert_eq!((tx.sender(), tx.nonce(), tx.kind()), (missing, 7, TxKind::Call(VALIDATORS)));
        let state = world.reader().ask(VALIDATORS, &Validators::getValidatorCall { nodeKey: node }).unwrap();
        assert_eq!((state.strikes, state.jailedUntil), (1, 3 + 4));
    }
}
