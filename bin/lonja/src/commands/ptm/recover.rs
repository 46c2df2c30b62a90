//! `lonja ptm recover`: gets back from other managers what was lost with the store.

use super::options::PtmOptions;
use super::serve::{open, runtime};
use crate::logging;
use clap::Args;
use eyre::{Result, eyre};
use lonja_ptm::tessera::{Peers, Recovery, RecoveryReport, serve_managers};
use std::sync::Arc;
use thiserror::Error;

/// Options of `lonja ptm recover`.
#[derive(Args, Debug)]
pub struct RecoverArgs {
    #[command(flatten)]
    options: PtmOptions,
}

/// A recovery that did not get everything. The process ends with 1 where it got something, with 2 where it got nothing, as
/// Tessera does.
#[derive(Debug, Error)]
#[error("{text}")]
pub struct Incomplete {
    text: String,
    code: u8,
}

impl Incomplete {
    /// Something was recovered, and not everything.
    pub fn some(text: &str) -> Self {
        Self { text: text.to_owned(), code: 1 }
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

impl RecoverArgs {
    pub(super) fn run(self) -> Result<()> {
        let settings = self.options.resolve()?;
        logging::start(&settings.log, settings.log_format)?;
        let managers = settings.managers.clone();
        let (listen, options) = managers.ok_or_else(|| {
            eyre!("others push to us what they give: --p2p and at least one --peer are needed")
        })?;
        let report = runtime()?.block_on(async {
            let peers = Peers::new(open(settings)?, options)?;
            let recovery = Arc::new(Recovery::new(peers.clone()));
            let server = serve_managers(&listen, peers, Some(recovery.clone())).await?;
            let report = recovery.run().await;
            server.stop().await;
            eyre::Ok(report)
        })?;
        told(&report)
    }
}

fn told(report: &RecoveryReport) -> Result<()> {
    println!("peers asked         {}", report.peers);
    println!("payloads recovered  {}", report.stored);
    println!("refused             {}", report.refused);
    println!("without contract    {}", report.unproven);
    for (url, key, reason) in &report.failed {
        println!("not given           {key} by {url}: {reason}");
    }
    if report.is_complete() {
        return Ok(());
    }
    let (code, text) = match report.is_failure() {
        true => (2, "nothing was recovered"),
        false => (1, "not everything was recovered; run it again when all peers are up"),
    };
    Err(Incomplete { text: text.into(), code }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_says_how_much_came() {
        let code = |report: &RecoveryReport| {
            told(report).map_or_else(|error| error.downcast_ref::<Incomplete>().unwrap().exit_code(), |()| 0)
        };
        let failed = vec![("http://a".parse().unwrap(), lonja_ptm::PublicKey([1; 32]), "away".to_string())];
        let complete = RecoveryReport { peers: 1, ..RecoveryReport::default() };
        assert_eq!(code(&complete), 0);
        assert_eq!(code(&RecoveryReport { stored: 1, refused: 1, ..complete.clone() }), 1);
        assert_eq!(code(&RecoveryReport { stored: 1, failed: failed.clone(), ..complete.clone() }), 1);
        assert_eq!(code(&RecoveryReport { failed, ..complete }), 2);
        assert_eq!(code(&RecoveryReport::default()), 2);
    }
}
