//! Who is where, as far as peers told: no clock, no network.

use super::PeerOptions;
use crate::{PartyInfo, PeerUrl, PeerVersions, PublicKey};
use std::collections::BTreeMap;

/// Managers that are remembered. A network has one for each member; more are somebody's invention.
pub(crate) const MAX_PEERS: usize = 2_048;

/// Keys that one manager may claim. A manager of our own holds as many.
const MAX_KEYS_OF_ONE: usize = crate::MAX_KEYS;

/// Rounds in a row without an answer, after which a manager that nobody configured is forgotten: a minute with the usual
/// interval. One lost packet must not make its parties unknown.
const MAX_SILENT_ROUNDS: u32 = 12;

/// What is known of all peers.
pub(crate) struct PeerTable {
    own: PeerUrl,
    peers: BTreeMap<PeerUrl, Peer>,
}

#[derive(Default)]
struct Peer {
    configured: bool,
    keys: Vec<PublicKey>,
    /// What it announced with its last party info; `None` where it never sent one.
    versions: Option<PeerVersions>,
    /// Whether it ever answered.
    answered: bool,
    silent_rounds: u32,
}

impl PeerTable {
    pub(crate) fn new(options: &PeerOptions) -> Self {
        let own = options.url.clone();
        let others = options.peers.iter().filter(|url| **url != own).take(MAX_PEERS);
        let peers = others.map(|url| (url.clone(), Peer { configured: true, ..Peer::default() })).collect();
        Self { own, peers }
    }

    /// Whether the operator named this one.
    pub(crate) fn is_configured(&self, url: &PeerUrl) -> bool {
        self.peers.get(url).is_some_and(|peer| peer.configured)
    }

    /// What we tell others: our own keys, and every manager we know.
    pub(crate) fn party_info(&self, own_keys: &[PublicKey]) -> PartyInfo {
        let recipients = own_keys.iter().map(|key| (*key, self.own.clone())).collect();
        let parties = self.peers.keys().cloned().chain([self.own.clone()]).collect();
        PartyInfo { recipients, parties, ..PartyInfo::of(self.own.clone()) }
    }

    /// Everybody there is to talk to.
    pub(crate) fn urls(&self) -> Vec<PeerUrl> {
        self.peers.keys().cloned().collect()
    }

    /// Keys and where they are, ours not among them.
    pub(crate) fn keys(&self) -> Vec<(PublicKey, PeerUrl)> {
        let of_peer = |(url, peer): (&PeerUrl, &Peer)| {
            peer.keys.iter().map(|key| (*key, url.clone())).collect::<Vec<_>>()
        };
        self.peers.iter().flat_map(of_peer).collect()
    }

    /// Where a key is. Where two claim it, those who answer go first, and then those whom the operator named.
    pub(crate) fn place(&self, key: &PublicKey) -> Option<PeerUrl> {
        let holders = self.peers.iter().filter(|(_, peer)| peer.keys.contains(key));
        let order = |peer: &Peer| (peer.silent_rounds == 0, peer.configured, peer.answered);
        holders.max_by_key(|(_, peer)| order(peer)).map(|(url, _)| url.clone())
    }

    /// What a manager announced that it understands; nothing, where it never said.
    pub(crate) fn versions(&self, url: &PeerUrl) -> PeerVersions {
        self.peers.get(url).and_then(|peer| peer.versions).unwrap_or_default()
    }

    /// Takes in what a manager said of itself. Answers the keys that are now at its URL; `None` where there is no room for it.
    pub(crate) fn announced(
        &mut self,
        url: &PeerUrl,
        keys: Vec<PublicKey>,
        versions: PeerVersions,
    ) -> Option<Vec<PublicKey>> {
        if *url == self.own || (!self.peers.contains_key(url) && self.peers.len() >= MAX_PEERS) {
            return None;
        }
        let mut keys = keys;
        keys.truncate(MAX_KEYS_OF_ONE);
        let peer = self.peers.entry(url.clone()).or_default();
        peer.versions = Some(versions);
        peer.keys = keys.clone();
        Some(keys)
    }

    /// Remembers managers that somebody named, as long as there is room.
    pub(crate) fn heard_of(&mut self, urls: impl IntoIterator<Item = PeerUrl>) {
        for url in urls {
            if self.peers.len() >= MAX_PEERS {
                return;
            }
            if url != self.own {
                self.peers.entry(url).or_default();
            }
        }
    }

    /// It answered.
    pub(crate) fn answered(&mut self, url: &PeerUrl) {
        if let Some(peer) = self.peers.get_mut(url) {
            (peer.answered, peer.silent_rounds) = (true, 0);
        }
    }

    /// It did not answer. Whether it is forgotten now: at once where it never answered and never spoke, so that made-up names
    /// do not stay.
    pub(crate) fn silent(&mut self, url: &PeerUrl) -> bool {
        let Some(peer) = self.peers.get_mut(url) else { return false };
        peer.silent_rounds = peer.silent_rounds.saturating_add(1);
        let known = peer.answered || peer.versions.is_some();
        let forgotten = !peer.configured && (!known || peer.silent_rounds >= MAX_SILENT_ROUNDS);
        if forgotten {
            self.peers.remove(url);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(host: impl std::fmt::Display) -> PeerUrl {
        format!("http://{host}").parse().unwrap()
    }

    fn table() -> PeerTable {
        PeerTable::new(&PeerOptions { peers: vec![url("b"), url("own")], ..PeerOptions::new(url("own")) })
    }

    const SPEAKS: PeerVersions =
        PeerVersions { cbor: true, enhancements: true, mandatory: true, groups: true };

    #[test]
    fn what_is_told() {
        let mut table = table();
        table.heard_of([url("c"), url("own"), url("b")]);
        let info = table.party_info(&[PublicKey([1; 32])]);
        assert_eq!(info.url, url("own"));
        assert_eq!(info.recipients, [(PublicKey([1; 32]), url("own"))]);
        assert_eq!(info.parties, [url("b"), url("c"), url("own")]);
        assert_eq!(table.urls(), [url("b"), url("c")]);
    }

    #[test]
    fn keys_are_replaced_and_belong_to_the_configured_first() {
        let mut table = table();
        let (one, two) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert_eq!(table.announced(&url("own"), vec![one], SPEAKS), None);
        assert_eq!(table.announced(&url("a"), vec![one, two], SPEAKS), Some(vec![one, two]));
        assert_eq!((table.place(&one), table.versions(&url("a"))), (Some(url("a")), SPEAKS));
        table.announced(&url("b"), vec![one], PeerVersions::default());
        assert_eq!(table.place(&one), Some(url("b")));
        table.silent(&url("b"));
        assert_eq!(table.place(&one), Some(url("a")));
        table.answered(&url("b"));
        table.announced(&url("a"), vec![], SPEAKS);
        assert_eq!(table.place(&two), None);
        assert_eq!(table.keys(), [(one, url("b"))]);
        assert_eq!(table.versions(&url("nobody")), PeerVersions::default());
    }

    #[test]
    fn the_silent_are_forgotten_unless_they_are_configured() {
        let mut table = table();
        table.heard_of([url("never")]);
        assert!(table.silent(&url("never")) && !table.silent(&url("never")));
        table.announced(&url("c"), vec![PublicKey([3; 32])], SPEAKS);
        for _ in 1..MAX_SILENT_ROUNDS {
            assert!(!table.silent(&url("c")) && !table.silent(&url("b")));
        }
        table.answered(&url("c"));
        for _ in 1..MAX_SILENT_ROUNDS {
            assert!(!table.silent(&url("c")));
        }
        assert!(table.silent(&url("c")));
        assert_eq!(table.urls(), [url("b")]);
    }

    #[test]
    fn nobody_fills_the_table() {
        let mut table = table();
        table.heard_of((0..2 * MAX_PEERS).map(url));
        assert_eq!(table.urls().len(), MAX_PEERS);
        assert_eq!(table.announced(&url("late"), vec![PublicKey([1; 32])], SPEAKS), None);
        let many = (0..=MAX_KEYS_OF_ONE).map(|n| PublicKey([(n % 256) as u8; 32])).collect();
        assert_eq!(table.announced(&url("b"), many, SPEAKS).unwrap().len(), MAX_KEYS_OF_ONE);
    }
}
