//! Privacy marker transactions go to a precompiled contract: it costs nothing, answers nothing and never fails. What it
//! carries is executed by its parties, in their own pass.

use crate::machine::spec_id;
use lonja_primitives::BlockRules;
use lonja_primitives::spec::MARKER_PRECOMPILE;
use revm::handler::EthPrecompiles;
use revm::precompile::{
    EthPrecompileOutput, EthPrecompileResult, Precompile, PrecompileId, PrecompileSpecId, Precompiles,
    eth_precompile_fn,
};
use std::sync::OnceLock;

eth_precompile_fn!(marker_precompile, marker);

fn marker(_: &[u8], _: u64) -> EthPrecompileResult {
    Ok(EthPrecompileOutput::new(0, Default::default()))
}

/// The precompiled contracts under these rules. That the marker's is among them shows in the price of calls to it alone.
pub(crate) fn precompiles(rules: &BlockRules) -> EthPrecompiles {
    static WITH_MARKER: [OnceLock<Precompiles>; PrecompileSpecId::NEXT as usize + 1] =
        [const { OnceLock::new() }; PrecompileSpecId::NEXT as usize + 1];
    let spec = spec_id(rules.fork);
    let mut contracts = EthPrecompiles::new(spec);
    let place = WITH_MARKER.get(PrecompileSpecId::from_spec_id(spec) as usize);
    if let Some(place) = place.filter(|_| rules.privacy.markers.is_some()) {
        contracts.precompiles = place.get_or_init(|| with_marker(contracts.precompiles));
    }
    contracts
}

fn with_marker(others: &Precompiles) -> Precompiles {
    let mut all = others.clone();
    all.extend([Precompile::new(
        PrecompileId::custom("privacy-marker"),
        MARKER_PRECOMPILE,
        marker_precompile,
    )]);
    all
}
