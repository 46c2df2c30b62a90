//! `lonja permission`: who belongs to the network and what they may do, as the registry on chain has it.

mod account;
mod act;
mod confirmation;
mod describe;
mod look;
mod member;
mod names;
mod node;
mod outcome;
mod party;
mod policy;
mod proposal;
mod send;
mod supervision;
mod supervisors;
pub mod table;
mod why;

use clap::Subcommand;
use eyre::Result;

/// Members, nodes, accounts, votes and supervision of a network with lonja's registry.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Reading asks a running node (--data-dir or --rpc). What changes something is a transaction to the registry's contracts,
signed by an admin of a member (--key FILE), sent, and waited for. A member with a threshold above 1 acts when as many of its
admins sent the same.

Examples:
  lonja permission member list
  lonja permission why enode://…@10.0.0.7:30303
  lonja permission member admit new-member.json --key admin.key
  lonja permission proposal vote 7 --for --key admin.key
  lonja permission node add new-member.json --key admin-of-new-member.key
  lonja permission account set 0x… --access transfer,call --key admin.key")]
pub enum PermissionCommand {
    /// The members: list, show, and proposals to admit, suspend, expel or change them
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// The nodes: list, show, one's own, and proposals about others'
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// The accounts that may transact: list, show, one's own
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// What members vote on
    #[command(subcommand)]
    Proposal(proposal::ProposalCommand),
    /// The values that the network goes by: selection, service level, votes, limits, quotas
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Freezes, emergency suspensions, the council
    #[command(subcommand)]
    Supervision(supervision::SupervisionCommand),
    /// The keys that must be parties of what members share
    #[command(subcommand)]
    Supervisors(supervisors::SupervisorsCommand),
    /// Which nodes hold parties' keys, and the binding of one's own
    #[command(subcommand)]
    Party(party::PartyCommand),
    /// Acts of a member that wait for more of its admins
    #[command(subcommand)]
    Confirmation(confirmation::ConfirmationCommand),
    /// Say whether a node, account or transaction is permitted, by which rule, and what to do next
    Why(why::WhyCommand),
    /// Send a transaction that was signed with --offline
    Send(send::SendCommand),
}

impl PermissionCommand {
    /// Runs the command.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Member(command) => command.run().await,
            Self::Node(command) => command.run().await,
            Self::Account(command) => command.run().await,
            Self::Proposal(command) => command.run().await,
            Self::Policy(command) => command.run().await,
            Self::Supervision(command) => command.run().await,
            Self::Supervisors(command) => command.run().await,
            Self::Party(command) => command.run().await,
            Self::Confirmation(command) => command.run().await,
            Self::Why(command) => command.run().await,
            Self::Send(command) => command.run().await,
        }
    }
}
