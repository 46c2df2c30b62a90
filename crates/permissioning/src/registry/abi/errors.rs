//! The errors of the registry's contracts, and what they mean.

use alloy_sol_types::{SolInterface, sol};
use lonja_evm::revert_reason;

sol! {
    #![sol(all_derives)]

    /// All errors of all contracts.
    interface Failures {
        error OnlySystem();
        error OnlySeeding();
        error OnlyContract(address expected);
        error NotAdmin(address sender);
        error NotSupervisor(bytes32 memberId);
        error NotOwner(bytes32 memberId);
        error NoVotingRight(bytes32 memberId);
        error NotProposer(bytes32 memberId);
        error NotValidator(address sender);

        error MemberUnknown(bytes32 memberId);
        error MemberExists(bytes32 memberId);
        error MemberNotActive(bytes32 memberId);
        error WrongStatus(bytes32 subject, uint8 status);
        error BadIdScheme(uint8 idScheme);
        error BadLei(bytes32 idValue);
        error BadKind(uint8 kind);
        error BadQuotaClass(uint8 quotaClass);
        error BadAdmins();
        error AdminTaken(address admin);
        error TooManyGroups();
        error ElectorateTooSmall(uint256 groups, uint256 atLeast);
        error NothingToWithdraw();

        error NodeUnknown(bytes32 nodeKey);
        error NodeExists(bytes32 nodeKey);
        error BadPublicKey();
        error BadRoles(uint16 roles);
        error BadEndpoints();
        error BadExpiry(uint64 expires);
        error ValidatorTaken(address validator);
        error TooManyNodes();
        error TooManyCandidates();
        error AccountTaken(address account);
        error AccountUnknown(address account);
        error BadAccess(uint16 access);
        error TooManyAccounts();

        error NotFreezable(address subject);
        error NotFrozen(address subject);
        error StillFrozen(address subject);
        error FreezeTooLong(uint64 until, uint64 latest);
        error SupervisionProtected(bytes32 subject);
        error EmergencyTooSoon(uint64 from);
        error TooManyEmergencies();
        error NoEmergency(bytes32 subject);
        error BadCouncil();
        error AlreadyCounted();

        error BadParty();
        error BadScope(uint8 scope, bytes32 subject);
        error SupervisorExists(bytes32 key);
        error SupervisorUnknown(bytes32 key);
        error TooManySupervisors();
        error PartyTaken(bytes32 memberId);
        error AlreadyBound(bytes32 party);
        error PartyUnknown(bytes32 party);
        error TooManyParties();

        error BadProposalKind(uint16 kind);
        error BadPayload();
        error PayloadMismatch();
        error StatementMissing();
        error ProposalUnknown(uint256 id);
        error ProposalNotOpen(uint256 id, uint8 status);
        error ProposalNotPassed(uint256 id, uint8 status);
        error VotingOver(uint256 id);
        error NoVote(uint256 id);
        error TooManyProposals();
        error TooManyVotes();

        error BadPolicy(string field);
        error StaleRevision(uint64 given, uint64 expected);
        error PolicyMissing();

        error TooManySeatsLost(uint256 lost, uint256 limit);
        error LastValidator();
        error BadSet();
        error BadHeartbeat(uint64 height);
        error HeartbeatTooSoon(uint64 from);
        error NotSuspended(bytes32 nodeKey);
        error StillJailed(uint64 until);
        error Barred(bytes32 nodeKey);
        error NotBarred(bytes32 nodeKey);
        error HeartbeatsMissing(uint16 have, uint16 need);
        error ActUnknown(uint256 index);

        error BadHeader();
        error BadSeal();
        error SealsNotEmpty();
        error SameBlock();
        error DifferentSlot();
        error DifferentSigner();
        error OtherChain(uint64 height);
        error AlreadyKnown();

        error MalformedCall();
    }
}

/// What a reverting contract said, in words. `None` where it said nothing that is known.
pub fn explain_revert(output: &[u8]) -> Option<String> {
    match Failures::FailuresErrors::abi_decode(output) {
        Ok(failure) => Some(words(failure)),
        Err(_) => revert_reason(output),
    }
}

fn words(failure: Failures::FailuresErrors) -> String {
    use Failures::FailuresErrors as F;
    match failure {
        F::OnlySystem(_) => "only the end of a block may call this".into(),
        F::OnlySeeding(_) => "only the making of the genesis may call this".into(),
        F::OnlyContract(e) => format!("only the contract {} may call this", e.expected),
        F::NotAdmin(e) => format!("{} is no admin of a member", e.sender),
        F::NotSupervisor(e) => format!("member {} is no supervisor", e.memberId),
        F::NotOwner(e) => format!("it belongs to member {}", e.memberId),
        F::NoVotingRight(e) => format!("member {} has no vote", e.memberId),
        F::NotProposer(e) => format!("it is a proposal of member {}", e.memberId),
        F::NotValidator(e) => format!("{} is no validator's address", e.sender),
        F::MemberUnknown(e) => format!("there is no member {}", e.memberId),
        F::MemberExists(e) => format!("member {} is there already", e.memberId),
        F::MemberNotActive(e) => format!("member {} is not active", e.memberId),
        F::WrongStatus(e) => format!("{} has status {}, which does not allow that", e.subject, e.status),
        F::BadIdScheme(e) => {
            format!(
                "there is no id scheme {} (1 LEI, 2 tax id, 3 EUID, 4 DID), or the id is empty",
                e.idScheme
            )
        }
        F::BadLei(_) => {
            "the LEI is wrong: 18 capital letters or digits and two check digits are expected".into()
        }
        F::BadKind(e) => format!("there is no kind of member {}", e.kind),
        F::BadQuotaClass(e) => format!("there is no quota class {} (0 to 7)", e.quotaClass),
        F::BadAdmins(_) => {
            "admins: 1 to 16 different addresses are expected, and a threshold from 1 to their number".into()
        }
        F::AdminTaken(e) => format!("{} is an admin already, here or of another member", e.admin),
        F::TooManyGroups(_) => "there would be too many control groups".into(),
        F::ElectorateTooSmall(e) => {
            format!("{} control groups with a vote would be left, at least {} must be", e.groups, e.atLeast)
        }
        F::NothingToWithdraw(_) => "this admin has confirmed nothing of the kind".into(),
        F::NodeUnknown(e) => format!("there is no node {}", e.nodeKey),
        F::NodeExists(e) => format!("node {} is there already", e.nodeKey),
        F::BadPublicKey(_) => "the public key must have 64 bytes".into(),
        F::BadRoles(e) => format!(
            "roles {} are not possible here: the role supervisor is for members of kind supervisor and auditor, and \
             the role validator comes from a vote",
            e.roles
        ),
        F::BadEndpoints(_) => {
            "endpoints: at most 256 bytes of printable ASCII without spaces are expected".into()
        }
        F::BadExpiry(e) => format!("block {} is over", e.expires),
        F::ValidatorTaken(e) => format!("{} signs for another node", e.validator),
        F::TooManyNodes(_) => "the member has as many nodes as the policy allows".into(),
        F::TooManyCandidates(_) => "there are as many validator candidates as possible".into(),
        F::AccountTaken(e) => format!("account {} belongs to another member, or to nobody ever", e.account),
        F::AccountUnknown(e) => format!("there is no account {}", e.account),
        F::BadAccess(e) => {
            format!("access {} is not possible (1 transfer, 2 call, 4 deploy, 8 governance)", e.access)
        }
        F::TooManyAccounts(_) => "the member has as many accounts as the policy allows".into(),
        F::NotFreezable(e) => format!("{} cannot be frozen", e.subject),
        F::NotFrozen(e) => format!("{} is not frozen", e.subject),
        F::StillFrozen(e) => format!("the freeze of {} is not over", e.subject),
        F::FreezeTooLong(e) => {
            format!("a freeze until block {} is too long, {} is the latest", e.until, e.latest)
        }
        F::SupervisionProtected(e) => {
            format!("{} is a supervisor's or auditor's: that needs a larger vote", e.subject)
        }
        F::EmergencyTooSoon(e) => {
            format!("the next emergency suspension is possible from block {} on", e.from)
        }
        F::TooManyEmergencies(_) => "there are as many emergency suspensions as possible".into(),
        F::NoEmergency(e) => format!("{} is under no emergency suspension", e.subject),
        F::BadCouncil(_) => "the council: at most 16 different addresses are expected".into(),
        F::AlreadyCounted(_) => "this word has been counted already".into(),
        F::BadParty(_) => "a party's key is 32 bytes that are not all zero".into(),
        F::BadScope(e) => {
            format!("{} {} is neither everybody, nor a sector, nor a member", e.scope, e.subject)
        }
        F::SupervisorExists(e) => format!("{} supervises there already", e.key),
        F::SupervisorUnknown(e) => format!("{} does not supervise there", e.key),
        F::TooManySupervisors(_) => {
            "at most 8 keys may supervise everybody, 4 a sector and 4 a member, by 64 rules in all".into()
        }
        F::PartyTaken(e) => format!("member {} has bound this key; a vote can release it", e.memberId),
        F::AlreadyBound(e) => format!("{} is bound to this node already", e.party),
        F::PartyUnknown(e) => format!("{} is not bound there", e.party),
        F::TooManyParties(_) => "a node has at most 64 keys bound to it, and a key at most 16 nodes".into(),
        F::BadProposalKind(e) => format!("there is no kind of proposal {}", e.kind),
        F::BadPayload(_) => "the payload is not what this kind of proposal takes".into(),
        F::PayloadMismatch(_) => "the payload is not the one that was voted on".into(),
        F::StatementMissing(_) => "the hash of the statement to the member is missing".into(),
        F::ProposalUnknown(e) => format!("there is no proposal {}", e.id),
        F::ProposalNotOpen(e) => format!("proposal {} is not open: {}", e.id, proposal_state(e.status)),
        F::ProposalNotPassed(e) => format!("proposal {} has not passed: {}", e.id, proposal_state(e.status)),
        F::VotingOver(e) => format!("the time to vote on proposal {} is over", e.id),
        F::NoVote(e) => format!("the control group has not voted on proposal {}", e.id),
        F::TooManyProposals(_) => "the member has as many open proposals as the policy allows".into(),
        F::TooManyVotes(_) => "there are too many votes on this proposal".into(),
        F::BadPolicy(e) => format!("the policy's {} is out of bounds", e.field),
        F::StaleRevision(e) => {
            format!("it is made for policy revision {}, the newest one is {}", e.given, e.expected)
        }
        F::PolicyMissing(_) => "there is no policy".into(),
        F::TooManySeatsLost(e) => {
            format!("{} validators would lose their seats at once, at most {} may", e.lost, e.limit)
        }
        F::LastValidator(_) => "no validator would be left".into(),
        F::BadSet(_) => {
            "these nodes are no set of validators: 1 to 31 different ones with role validator are expected"
                .into()
        }
        F::BadHeartbeat(e) => format!("the hash of block {} is another one, or too old", e.height),
        F::HeartbeatTooSoon(e) => format!("the next heartbeat counts from block {} on", e.from),
        F::NotSuspended(e) => format!("node {} is not suspended as a validator", e.nodeKey),
        F::StillJailed(e) => format!("the suspension lasts until block {}", e.until),
        F::Barred(e) => format!("node {} comes back as a validator by a vote only", e.nodeKey),
        F::NotBarred(e) => format!("node {} needs no vote to come back as a validator", e.nodeKey),
        F::HeartbeatsMissing(e) => format!("{} heartbeats have counted, {} are needed", e.have, e.need),
        F::ActUnknown(e) => format!("act {} is not kept", e.index),
        F::BadHeader(_) => "these bytes are no header of a block of this network".into(),
        F::BadSeal(_) => "a seal is malformed".into(),
        F::SealsNotEmpty(_) => "the header must have an empty list of seals".into(),
        F::SameBlock(_) => "both headers are the same block".into(),
        F::DifferentSlot(_) => "the headers have different heights or rounds".into(),
        F::DifferentSigner(_) => "the seals are of different validators".into(),
        F::OtherChain(e) => format!("neither header goes with this chain at height {}", e.height),
        F::AlreadyKnown(_) => "this is known already".into(),
        F::MalformedCall(_) => "the call is malformed".into(),
    }
}

/// The status of a proposal as the contracts number it.
pub fn proposal_state(status: u8) -> &'static str {
    match status {
        1 => "open",
        2 => "passed",
        3 => "rejected",
        4 => "expired",
        5 => "executed",
        6 => "cancelled",
        _ => "unknown",
    }
}
