//! Sets revm up for a block of ours.

use crate::env::BlockEnv;
use crate::overlay::Overlay;
use crate::transaction::transaction_gas_cap;
use crate::watch::{TimedPrecompiles, Watch};
use alloy_primitives::U256;
use lonja_primitives::{BlockRules, Fork};
use revm::context::Evm as RevmEvm;
use revm::context::{BlockEnv as RevmBlockEnv, CfgEnv, Journal, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::handler::EthFrame;
use revm::handler::instructions::EthInstructions;
use revm::interpreter::interpreter::EthInterpreter;
use revm::primitives::hardfork::SpecId;
use revm::{Context, MainBuilder};

/// Everything that opcodes can see and change.
pub(crate) type Machine<'a> =
    Context<RevmBlockEnv, TxEnv, CfgEnv, Overlay<'a>, Journal<Overlay<'a>>, Watch<'a>>;

/// A machine with its opcodes, its precompiles that look at the time where it is limited, and an observer where one is
/// wanted.
pub(crate) type Evm<'a, Observer = ()> = RevmEvm<
    Machine<'a>,
    Observer,
    EthInstructions<EthInterpreter, Machine<'a>>,
    TimedPrecompiles,
    EthFrame<EthInterpreter>,
>;

/// revm's name of a fork. It has no Constantinople with EIP-1283: clients take a genesis file that names
/// Constantinople alone to mean Petersburg too.
pub(crate) fn spec_id(fork: Fork) -> SpecId {
    match fork {
        Fork::Frontier => SpecId::FRONTIER,
        Fork::Homestead => SpecId::HOMESTEAD,
        Fork::TangerineWhistle => SpecId::TANGERINE,
        Fork::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        Fork::Byzantium => SpecId::BYZANTIUM,
        Fork::Constantinople | Fork::Petersburg => SpecId::PETERSBURG,
        Fork::Istanbul => SpecId::ISTANBUL,
        Fork::Berlin => SpecId::BERLIN,
        Fork::London => SpecId::LONDON,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
    }
}

/// What runs on the machine: a signed transaction of a block, or a message that nobody signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Block,
    Call,
}

/// A machine for the transactions of one block.
pub(crate) fn block_machine<'a, Observer>(
    rules: &BlockRules,
    env: &BlockEnv,
    overlay: Overlay<'a>,
    observer: Observer,
) -> Evm<'a, Observer> {
    built(rules, machine(rules, env, overlay, Purpose::Block), observer)
}

/// A machine that judges no nonce, signer or gas limit: for the payload of a private transaction, whose shell was judged, and
/// for questions.
pub(crate) fn watched_machine<'a, Observer>(
    rules: &BlockRules,
    env: &BlockEnv,
    overlay: Overlay<'a>,
    watch: Watch<'a>,
    observer: Observer,
) -> Evm<'a, Observer> {
    let mut machine = machine(rules, env, overlay, Purpose::Call);
    machine.chain = watch;
    built(rules, machine, observer)
}

/// A machine for questions, which notes what their answers depend on.
pub(crate) fn inquiry_machine<'a>(
    rules: &BlockRules,
    env: &BlockEnv,
    overlay: Overlay<'a>,
    watch: Watch<'a>,
) -> Evm<'a> {
    let mut evm = watched_machine(rules, env, overlay, watch, ());
    crate::reading::install(evm.instruction.instruction_table_mut());
    evm
}

/// A machine for calls: no nonce, no signer and no gas limit of the block is checked, and `watch` can stop it.
pub(crate) fn call_machine<'a, Observer>(
    rules: &BlockRules,
    env: &BlockEnv,
    overlay: Overlay<'a>,
    watch: Watch<'a>,
    observer: Observer,
) -> Evm<'a, Observer> {
    let mut evm = watched_machine(rules, env, overlay, watch, observer);
    crate::watch::install(evm.instruction.instruction_table_mut());
    evm
}

fn built<'a, Observer>(rules: &BlockRules, machine: Machine<'a>, observer: Observer) -> Evm<'a, Observer> {
    let precompiles = TimedPrecompiles::new(rules);
    let mut evm = machine.build_mainnet_with_inspector(observer).with_precompiles(precompiles);
    crate::occupied::install(evm.instruction.instruction_table_mut());
    evm
}

fn machine<'a>(rules: &BlockRules, env: &BlockEnv, overlay: Overlay<'a>, purpose: Purpose) -> Machine<'a> {
    let spec = spec_id(rules.fork);
    let mut machine: Machine<'a> = Context::new(overlay, spec);
    machine.modify_cfg(|cfg| configure(cfg, rules, purpose));
    machine.block = RevmBlockEnv {
        number: U256::from(env.number),
        beneficiary: rules.beneficiary.unwrap_or(env.beneficiary),
        timestamp: U256::from(env.timestamp),
        gas_limit: env.gas_limit,
        basefee: env.base_fee.unwrap_or(0),
        difficulty: env.difficulty,
        prevrandao: Some(env.prevrandao),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new_with_spec(0, spec)),
        slot_num: 0,
    };
    machine
}

fn configure(cfg: &mut CfgEnv, rules: &BlockRules, purpose: Purpose) {
    cfg.set_spec_and_mainnet_gas_params(spec_id(rules.fork));
    cfg.chain_id = rules.chain_id;
    cfg.limit_contract_code_size = Some(rules.limits.code_size);
    cfg.limit_contract_initcode_size = Some(rules.limits.init_code_size);
    cfg.tx_gas_limit_cap = Some(transaction_gas_cap(rules).unwrap_or(u64::MAX));
    // With free gas every price is taken as 0, which a base fee must not refuse.
    cfg.disable_base_fee = rules.free_gas;
    if purpose == Purpose::Call {
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        cfg.disable_base_fee = true;
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_block_gas_limit = true;
    }
}
