//! Who is where, as far as peers told: no clock, no network.

use super::PeerOptions;
use crate::{PartyInfo, PeerUrl, PeerVersions, PublicKey};
use std::collections::BTreeMap;

/// Managers that are remembered. A network has one for each member; more are somebody's invention.
pub(crate) const MAX_PEERS: usize = 2_048;

/// Keys that one manager may claim. A manager of our own holds as many.
const MAX_KEYS_OF_ONE: usize = crate::MAX_KEYS;

/// Keys of all managers together: as many as the directory remembers, a few for each of some thousand members. Strangers may be
/// many, each with its most.
const MAX_KEYS_OF_ALL: usize = 16_384;

/// Mere names that are tried in one round: those whom somebody named, and who never said a word. Most that are made up take the time
/// of a dial, and a round must not take longer the more of them there are.
const MAX_NAMES_AT_ONCE: usize = 64;

/// Rounds in a row without an answer, after which a manager that nobody configured is forgotten: a minute with the usual
/// interval. One lost packet must not make its parties unknown.
const MAX_SILENT_ROUNDS: u32 = 12;

/// What is known of all peers.
pub(crate) struct PeerTable {
    own: PeerUrl,
    peers: BTreeMap<PeerUrl, Peer>,
    /// The last name that was tried; those behind it are next.
    tried: Option<PeerUrl>,
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

impl Peer {
    /// Whether it ever said a word.
    fn is_known(&self) -> bool {
        self.answered || self.versions.is_some()
    }
}

impl PeerTable {
    pub(crate) fn new(options: &PeerOptions) -> Self {
        let own = options.url.clone();
        let others = options.peers.iter().filter(|url| **url != own).take(MAX_PEERS);
        let peers = others.map(|url| (url.clone(), Peer { configured: true, ..Peer::default() })).collect();
        Self { own, peers, tried: None }
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

    /// Everybody there is.
    pub(crate) fn urls(&self) -> Vec<PeerUrl> {
        self.peers.keys().cloned().collect()
    }

    /// Those to talk to in this round: whom the operator named, who ever said a word, and a few of the mere names, in turn.
    pub(crate) fn turn(&mut self) -> Vec<PeerUrl> {
        let (mut urls, names): (Vec<_>, Vec<_>) =
            self.peers.iter().partition(|(_, peer)| peer.configured || peer.is_known());
        let tried = names.partition_point(|(url, _)| self.tried.as_ref().is_some_and(|tried| *url <= tried));
        let turn = names.len().min(MAX_NAMES_AT_ONCE);
        urls.extend(names.into_iter().cycle().skip(tried).take(turn));
        let urls: Vec<PeerUrl> = urls.into_iter().map(|(url, _)| url.clone()).collect();
        if turn > 0 {
            self.tried = urls.last().cloned();
        }
        urls
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
        let others = self.peers.iter().filter(|(other, _)| *other != url);
        let others = others.fold(0_usize, |sum, (_, peer)| sum.saturating_add(peer.keys.len()));
        let mut keys = keys;
        keys.truncate(MAX_KEYS_OF_ONE.min(MAX_KEYS_OF_ALL.saturating_sub(others)));
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
        let forgotten = !peer.configured && (!peer.is_known() || peer.silent_rounds >= MAX_SILENT_ROUNDS);
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

    #[test]
    fn all_together_have_a_bound_on_their_keys() {
        let mut table = table();
        let keys = |from: usize| -> Vec<PublicKey> {
            let key = |number: usize| {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&number.to_be_bytes());
                PublicKey(key)
            };
            (from..from + MAX_KEYS_OF_ONE).map(key).collect()
        };
        let full = MAX_KEYS_OF_ALL / MAX_KEYS_OF_ONE;
        for peer in 0..full {
            let learned = table.announced(&url(peer), keys(peer * MAX_KEYS_OF_ONE), SPEAKS);
            assert_eq!(learned.unwrap().len(), MAX_KEYS_OF_ONE);
        }
        assert_eq!(table.announced(&url("late"), keys(MAX_KEYS_OF_ALL), SPEAKS), Some(vec![]));
        // Who is there already replaces its own, and what it gives up is free.
        assert_eq!(table.announced(&url(0), keys(0), SPEAKS).unwrap().len(), MAX_KEYS_OF_ONE);
        table.announced(&url(0), vec![PublicKey([7; 32])], SPEAKS);
        let learned = table.announced(&url("late"), keys(MAX_KEYS_OF_ALL), SPEAKS);
        assert_eq!(learned.unwrap().len(), MAX_KEYS_OF_ONE - 1);
        assert_eq!(table.keys().len(), MAX_KEYS_OF_ALL);
    }

    #[test]
    fn of_mere_names_a_few_are_tried_at_a_time_in_turn() {
        let mut table = table();
        table.announced(&url("spoke"), vec![], SPEAKS);
        table.heard_of((0..3 * MAX_NAMES_AT_ONCE).map(|number| url(format!("name{number:04}"))));
        let mut tried = Vec::new();
        for _ in 0..3 {
            let urls = table.turn();
            assert_eq!((urls.len(), &urls[..2]), (2 + MAX_NAMES_AT_ONCE, &[url("b"), url("spoke")][..]));
            tried.extend_from_slice(&urls[2..]);
        }
        assert_eq!(tried.iter().collect::<std::collections::BTreeSet<_>>().len(), 3 * MAX_NAMES_AT_ONCE);
        assert_eq!(table.turn()[2..], tried[..MAX_NAMES_AT_ONCE], "and again from the first one");
        // Who answers is a name no longer; who does not is gone.
        table.answered(&url("name0000"));
        assert!(table.turn().contains(&url("name0000")));
        for name in &tried[1..] {
            table.silent(name);
        }
        assert_eq!(table.turn(), [url("b"), url("name0000"), url("spoke")]);
    }
}
