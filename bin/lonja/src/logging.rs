//! Sets logging up: text with colour on a terminal only, or JSON.

use crate::settings::LogFormat;
use eyre::{Result, eyre};
use std::io::{IsTerminal, stdout};
use tracing_subscriber::EnvFilter;

/// Stands before what the operator asks for, who may say otherwise: this crate's only line at `info` has no message.
const QUIET: &str = "libp2p_swarm=warn";

/// Installs the logger for the process.
pub fn start(filter: &str, format: LogFormat) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|error| eyre!("log filter {filter:?}: {error}; try `info` or `info,lonja_p2p=debug`"))?;
    // A node goes on when nobody reads its log any more; saying so on standard error could fail as well.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    let installed = match format {
        LogFormat::Text => builder.with_ansi(stdout().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|error| eyre!("cannot start logging: {error}"))
}
