//! Telling peers who is here, in rounds, and taking in what they tell.

use super::{CALLS_AT_ONCE, Peers};
use crate::tessera::media::Media;
use crate::{PartyInfo, PeerUrl, PeerVersions, PublicKey};
use futures::StreamExt;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

/// Until the names of configured hosts are looked up. A slow name server must not hold up the round.
const NAME_TIME: Duration = Duration::from_secs(2);

/// What came of a party info.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was taken in.
    Taken,
    /// Its speaker is not configured, and others are not listened to.
    Stranger,
    /// None of the keys that it announced was shown to be its own.
    NoValidKey,
    /// It was not asked for its keys: too many others are.
    Busy,
}

impl Peers {
    /// Talks to peers until told to stop: at once, and then in rounds.
    pub async fn run(&self, stop: CancellationToken) {
        let mut rounds = interval_at(Instant::now(), self.lines.options.interval);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = rounds.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.round() => {}
            }
        }
    }

    /// One round: those whose turn it is hear who is here.
    pub async fn round(&self) {
        if self.lines.options.only_configured_hosts {
            self.look_up_hosts().await;
        }
        let (info, urls) = {
            let mut table = self.lines.table.lock();
            (table.party_info(self.manager.keyring().keys()), table.turn())
        };
        let info = info.encode();
        let calls = urls.into_iter().map(|url| self.tell(url, info.clone()));
        futures::stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect::<()>().await;
        let known = self.lines.table.lock().urls().len();
        metrics::gauge!("lonja_ptm_peers").set(known as f64);
    }

    async fn tell(&self, url: PeerUrl, info: Vec<u8>) {
        // Three quarters of the interval, as Tessera has it: rounds do not overlap.
        let time = self.lines.options.interval.mul_f64(0.75);
        let answer = self.lines.post(&url, "/partyinfo", Media::Octets.name(), info, time).await;
        match answer {
            Ok(answer) if answer.is_success() => self.lines.table.lock().answered(&url),
            // It is there, and does not want us. What it says of itself is taken all the same.
            Ok(answer) => {
                tracing::debug!(%url, status = answer.status, "a peer refused the party info");
                self.lines.table.lock().answered(&url);
            }
            Err(error) => {
                tracing::debug!(%url, %error, "a peer did not answer");
                if self.lines.table.lock().silent(&url) {
                    self.manager.forget_url(&url);
                }
            }
        }
    }

    /// Takes in what a manager says of itself and whom it knows.
    pub(crate) async fn heard(&self, info: PartyInfo, versions: PeerVersions) -> Heard {
        let options = &self.lines.options;
        if info.url == options.url {
            return Heard::Taken;
        }
        if !options.discovery && !self.lines.table.lock().is_configured(&info.url) {
            return Heard::Stranger;
        }
        // Nobody takes away our own keys.
        let claimed: Vec<PublicKey> =
            info.own_keys().filter(|key| !self.manager.keyring().manages(key)).collect();
        let keys = match options.validate_keys {
            false => claimed,
            true => {
                let Some(valid) = self.valid_keys(&info.url, claimed).await else { return Heard::Busy };
                if valid.is_empty() {
                    return Heard::NoValidKey;
                }
                valid
            }
        };
        let learned = {
            let mut table = self.lines.table.lock();
            let learned = table.announced(&info.url, keys, versions);
            if options.discovery {
                table.heard_of(info.parties);
            }
            learned
        };
        if let Some(keys) = learned {
            self.manager.learn_url(&info.url, &keys);
        }
        Heard::Taken
    }

    /// Finds out from which addresses configured managers may come.
    async fn look_up_hosts(&self) {
        let mut found = HashSet::new();
        for url in &self.lines.options.peers {
            let authority = url.authority();
            let with_port = match authority.rsplit_once(':') {
                Some((_, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    authority.to_string()
                }
                _ => format!("{authority}:80"),
            };
            match timeout(NAME_TIME, tokio::net::lookup_host(with_port)).await {
                Ok(Ok(addresses)) => found.extend(addresses.map(|address| address.ip().to_canonical())),
                _ => tracing::warn!(%url, "the host of a configured peer is not found: it cannot come in"),
            }
        }
        *self.hosts.write() = found;
    }
}
