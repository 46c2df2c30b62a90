//! Who holds which key.
//!
//! Nodes say which keys their managers hold, and pass on what others said. A word is only a *claim* until its node has shown
//! that it can open what is sealed for the key; then it is *proven*, and kept over restarts. Several nodes may claim a key:
//! the proven ones are asked first, then those that spoke for themselves, the newest word first. Here is what is known;
//! asking and believing is the manager's part.

use crate::records::Binding;
use crate::{MAX_KEYS, PeerUrl, PublicKey};
use alloy_primitives::B256;
use lonja_primitives::NodeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Claims that are remembered: a few keys for each of some thousand nodes. At about 300 bytes each they take 5 MB.
const MAX_CLAIMS: usize = 16_384;

/// Claims of one key. A key moves from node to node now and then; more than this is somebody's mischief.
const MAX_CLAIMS_PER_KEY: usize = 16;

/// Claims that one peer passed on from others, so that no peer fills the memory for all. Those of a large network fit.
const MAX_CLAIMS_PER_SOURCE: usize = 4_096;

/// The same for one key: an honest peer passes on the present holder and the one before.
const MAX_CLAIMS_PER_SOURCE_AND_KEY: usize = 4;

/// Where a recipient's manager is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Here.
    Local,
    /// Part of this node.
    Node(NodeId),
    /// At this URL.
    Url(PeerUrl),
}

/// How far a claim is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Its node could not show that it holds the key. Nothing is sent there.
    Refuted,
    /// Somebody passed it on.
    Heard,
    /// The node said it itself.
    Direct,
    /// The node showed it.
    Proven,
}

/// What is to be done with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It is known, or an older word of the same node.
    Known,
    /// It is about ourselves, of another network, or there is no room for it: which of these.
    Ignored(&'static str),
    /// It is new: the signature has to be looked at.
    New,
}

#[derive(Clone, Debug)]
struct Claim {
    binding: Binding,
    standing: Standing,
    source: NodeId,
}

impl Claim {
    fn rank(&self) -> (Standing, u64) {
        (self.standing, self.binding.sequence_ms)
    }
}

/// What is known of who holds which key.
pub(crate) struct Directory {
    node: NodeId,
    genesis: B256,
    /// Of each key the claims, the best first.
    claims: BTreeMap<PublicKey, Vec<Claim>>,
    count: usize,
    /// Claims not proven, by who passed them on.
    by_source: HashMap<NodeId, usize>,
    /// Claims about a node.
    by_node: HashMap<NodeId, usize>,
    urls: BTreeMap<PeerUrl, BTreeSet<PublicKey>>,
}

impl Directory {
    /// An empty one, of this node.
    pub(crate) fn new(node: NodeId, genesis: B256) -> Self {
        let (by_source, by_node) = (HashMap::new(), HashMap::new());
        Self { node, genesis, claims: BTreeMap::new(), count: 0, by_source, by_node, urls: BTreeMap::new() }
    }

    fn standing_of(binding: &Binding, source: &NodeId) -> Standing {
        if binding.node == *source { Standing::Direct } else { Standing::Heard }
    }

    /// Looks at a claim that `source` made or passed on, except at its signature.
    pub(crate) fn judge(&self, source: &NodeId, binding: &Binding) -> Judged {
        if binding.genesis != self.genesis {
            return Judged::Ignored("network");
        }
        if binding.node == self.node {
            return Judged::Ignored("own");
        }
        let standing = Self::standing_of(binding, source);
        let claims = self.claims.get(&binding.key).map_or(&[][..], Vec::as_slice);
        if let Some(claim) = claims.iter().find(|claim| claim.binding.node == binding.node) {
            let newer = binding.sequence_ms > claim.binding.sequence_ms;
            let nearer = binding.sequence_ms == claim.binding.sequence_ms
                && claim.standing == Standing::Heard
                && standing == Standing::Direct;
            return if newer || nearer { Judged::New } else { Judged::Known };
        }
        let of_node = self.by_node.get(&binding.node).copied().unwrap_or_default();
        // No manager holds more, and no node fills the memory for all.
        let fits = of_node < MAX_KEYS && self.has_room(source, standing, claims);
        if fits { Judged::New } else { Judged::Ignored("room") }
    }

    /// Whether there is room, perhaps in the place of a lesser claim.
    fn has_room(&self, source: &NodeId, standing: Standing, claims: &[Claim]) -> bool {
        let of_source = claims.iter().filter(|claim| claim.source == *source);
        let lesser = |claim: &Claim| claim.standing < standing;
        if standing == Standing::Heard {
            let count = self.by_source.get(source).copied().unwrap_or_default();
            if count >= MAX_CLAIMS_PER_SOURCE || of_source.count() >= MAX_CLAIMS_PER_SOURCE_AND_KEY {
                return false;
            }
        }
        if claims.len() >= MAX_CLAIMS_PER_KEY {
            return claims.last().is_some_and(lesser);
        }
        self.count < MAX_CLAIMS || self.claims.values().flatten().any(lesser)
    }

    /// Takes in a claim that was judged to be new, and whose signature is right.
    pub(crate) fn learn(&mut self, source: NodeId, binding: Binding) {
        if self.judge(&source, &binding) != Judged::New {
            return;
        }
        let mut standing = Self::standing_of(&binding, &source);
        if let Some(old) = self.remove(&binding.key, &binding.node)
            && old.standing == Standing::Proven
        {
            // A newer word of a node that has the key, as after a restart.
            standing = Standing::Proven;
        }
        self.insert(Claim { binding, standing, source });
    }

    /// Takes in what was proven before a restart.
    pub(crate) fn restore(&mut self, binding: Binding) {
        if self.count < MAX_CLAIMS && binding.genesis == self.genesis && binding.node != self.node {
            let source = binding.node;
            self.insert(Claim { binding, standing: Standing::Proven, source });
        }
    }

    fn insert(&mut self, claim: Claim) {
        let key = claim.binding.key;
        if self.claims.get(&key).is_some_and(|claims| claims.len() >= MAX_CLAIMS_PER_KEY) {
            self.drop_last(&key);
        } else if self.count >= MAX_CLAIMS {
            let least =
                self.claims.iter().filter_map(|(key, claims)| claims.last().map(|last| (last.rank(), *key)));
            if let Some((_, key)) = least.min() {
                self.drop_last(&key);
            }
        }
        self.count_of(&claim, true);
        let claims = self.claims.entry(key).or_default();
        let place = claims.partition_point(|other| other.rank() >= claim.rank());
        claims.insert(place, claim);
    }

    fn drop_last(&mut self, key: &PublicKey) {
        let last = self.claims.get(key).and_then(|claims| claims.last()).map(|last| last.binding.node);
        if let Some(node) = last {
            self.remove(key, &node);
        }
    }

    fn remove(&mut self, key: &PublicKey, node: &NodeId) -> Option<Claim> {
        let claims = self.claims.get_mut(key)?;
        let place = claims.iter().position(|claim| claim.binding.node == *node)?;
        let claim = claims.remove(place);
        if claims.is_empty() {
            self.claims.remove(key);
        }
        self.count_of(&claim, false);
        Some(claim)
    }

    fn count_of(&mut self, claim: &Claim, more: bool) {
        let step = |count: usize| if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        self.count = step(self.count);
        let count_in = |counts: &mut HashMap<NodeId, usize>, node: NodeId| {
            let count = counts.entry(node).or_default();
            *count = step(*count);
            if *count == 0 {
                counts.remove(&node);
            }
        };
        count_in(&mut self.by_node, claim.binding.node);
        if claim.standing != Standing::Proven {
            count_in(&mut self.by_source, claim.source);
        }
    }

    /// A node was asked to show that it holds a key: `true` when it did. Returns the binding where this changed something.
    pub(crate) fn settle(&mut self, key: &PublicKey, node: &NodeId, shown: bool) -> Option<Binding> {
        let standing = if shown { Standing::Proven } else { Standing::Refuted };
        let mut claim = self.remove(key, node)?;
        let changed = claim.standing != standing;
        claim.standing = standing;
        let binding = claim.binding.clone();
        self.insert(claim);
        changed.then_some(binding)
    }

    /// How far it is believed that this node holds this key.
    pub(crate) fn standing(&self, key: &PublicKey, node: &NodeId) -> Option<Standing> {
        let claims = self.claims.get(key)?;
        claims.iter().find(|claim| claim.binding.node == *node).map(|claim| claim.standing)
    }

    /// Whom to ask for a key, in this order. Empty where nobody is known.
    pub(crate) fn routes(&self, key: &PublicKey) -> Vec<(Route, Standing)> {
        let nodes = self.holders(key).into_iter().map(|(node, standing)| (Route::Node(node), standing));
        let urls = self.urls.iter().filter(|(_, keys)| keys.contains(key));
        // What stands at a URL is believed as far as whoever told us of it looked into it.
        nodes.chain(urls.map(|(url, _)| (Route::Url(url.clone()), Standing::Direct))).collect()
    }

    /// The nodes that may hold this key, the best first.
    pub(crate) fn holders(&self, key: &PublicKey) -> Vec<(NodeId, Standing)> {
        let claims = self.claims.get(key).map_or(&[][..], Vec::as_slice);
        let believed = claims.iter().filter(|claim| claim.standing > Standing::Refuted);
        believed.map(|claim| (claim.binding.node, claim.standing)).collect()
    }

    /// Every node that may hold a key.
    pub(crate) fn nodes(&self) -> BTreeSet<NodeId> {
        let believed = self.claims.values().flatten().filter(|claim| claim.standing > Standing::Refuted);
        believed.map(|claim| claim.binding.node).collect()
    }

    /// The keys that this node claims, or has shown to hold.
    pub(crate) fn keys_of(&self, node: &NodeId) -> Vec<(PublicKey, Standing)> {
        let of_node = |claim: &&Claim| claim.binding.node == *node;
        let found = self.claims.values().flat_map(|claims| claims.iter().filter(of_node));
        found.map(|claim| (claim.binding.key, claim.standing)).collect()
    }

    /// Everything that is worth passing on, the proven first.
    pub(crate) fn bindings(&self) -> Vec<Binding> {
        let mut claims: Vec<&Claim> =
            self.claims.values().flatten().filter(|claim| claim.standing > Standing::Refuted).collect();
        claims.sort_by_key(|claim| std::cmp::Reverse(claim.rank()));
        claims.into_iter().map(|claim| claim.binding.clone()).collect()
    }

    /// The keys at a URL, in place of those known before.
    pub(crate) fn learn_url(&mut self, url: &PeerUrl, keys: impl IntoIterator<Item = PublicKey>) {
        self.urls.remove(url);
        let others = self.urls.values().map(BTreeSet::len).fold(0, usize::saturating_add);
        let keys: BTreeSet<_> = keys.into_iter().take(MAX_CLAIMS.saturating_sub(others)).collect();
        if !keys.is_empty() {
            self.urls.insert(url.clone(), keys);
        }
    }

    /// Nothing is at this URL any more.
    pub(crate) fn forget_url(&mut self, url: &PeerUrl) {
        self.urls.remove(url);
    }

    /// Every key of others that is known.
    pub(crate) fn keys(&self) -> BTreeSet<PublicKey> {
        let believed = |(_, claims): &(&PublicKey, &Vec<Claim>)| {
            claims.first().is_some_and(|best| best.standing > Standing::Refuted)
        };
        let claimed = self.claims.iter().filter(believed).map(|(key, _)| *key);
        claimed.chain(self.urls.values().flatten().copied()).collect()
    }
}

#[cfg(test)]
mod tests;
