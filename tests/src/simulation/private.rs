//! Private transactions in the world: members with the real manager and the real second pass, whose messages go the way of
//! all others, and who deal with each other while everything goes wrong.
//!
//! Their seeds are a kind of their own (`simulate --private`): a small network of validators who know nothing of all this,
//! a few members who deal, and one who is nobody's partner.
//!
//! | promise | looked at when |
//! |---|---|
//! | no secret leaves in clear, no envelope comes to who is no party | a message leaves |
//! | what was sent is durable at every recipient, or waits in the sender's store | a send succeeds |
//! | in good weather every send succeeds | the storm is over |
//! | what was sent is with every party in the end, and with nobody else | the world ends |
//! | parties have the same state of a contract and the same receipts; others have none | the world ends |
//! | who lost its payloads gets back what others have of them | somebody lost them |
//! | the private head reaches the public one; made anew, the state is the same | the world ends |
//! | no store but the private state of a party has a byte of a secret | the world ends |

mod audit;
mod deals;
mod gates;
mod judge;
mod line;
mod member;
mod story;
mod threads;
mod time;

pub use deals::{Contract, Deal, Deals, Stage};
pub use judge::{Judge, SECRET_BYTES, Secret};
pub use member::{Member, Party};
pub(super) use story::run;

use super::dice::Dice;
use super::plan::Plan;
use super::process::Node;
use alloy_primitives::keccak256;
use lonja_primitives::NodeKey;

/// Private transactions of a world.
#[derive(Clone, Copy, Debug)]
pub struct Dealings {
    /// Members who deal with each other: the first nodes behind the validators.
    pub members: usize,
    /// Members behind them who deal with nobody.
    pub strangers: usize,
    /// Mean time between two deals, microseconds; 0 for none.
    pub pause_us: u64,
    /// Of a hundred members, so many have an outbox.
    pub outbox_percent: u64,
}

impl Dealings {
    /// For the world of a seed, whose beats are so long.
    pub(super) fn draw(dice: &mut Dice, beat_us: u64) -> Self {
        Self {
            members: dice.pick(&[2, 3, 3, 4]),
            strangers: 1,
            pause_us: dice.magnitude(beat_us / 6, beat_us),
            outbox_percent: dice.pick(&[0, 50, 100]),
        }
    }
}

/// Gives the members of a plan their keys.
pub(super) fn make_parties(plan: &Plan, nodes: &mut [Node]) {
    let Some(dealings) = plan.dealings else { return };
    let mut dice = Dice::new(plan.seed);
    let members = nodes.iter_mut().skip(plan.validators).take(dealings.members + dealings.strangers);
    for (index, node) in members.enumerate() {
        let secret = |what: &str| keccak256(format!("{what} {index} of world {}", plan.seed)).0;
        let account =
            NodeKey::from_bytes(&secret("account")).expect("a hash is below the order of the curve");
        let outbox = dice.chance(dealings.outbox_percent);
        node.party = Some(Party::new(secret("party"), account, index < dealings.members, outbox));
    }
}

/// The judge of a world with these nodes.
pub(super) fn make_deals(nodes: &[Node]) -> Deals {
    Deals::of(Judge::new(nodes.iter().filter_map(|node| node.party.as_ref()).map(|party| party.secret)))
}
