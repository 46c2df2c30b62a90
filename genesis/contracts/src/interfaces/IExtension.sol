// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// The extension of a private contract to one more party, with the functions and events that GoQuorum's tools know.
interface IExtension {
    /// It begins.
    event NewContractExtensionContractCreated(address toExtend, string recipientPTMKey, address recipient);
    /// The last vote is in: all said yes, or one said no.
    event AllNodesHaveAccepted(bool outcome);
    /// The creator's node may share the state now.
    event CanPerformStateShare();
    /// Nothing happens here any more.
    event ExtensionFinished();
    /// Somebody voted.
    event NewVote(bool vote, address voter);
    /// The payload with this hash (base64) has the state of the contract. `uuid` names the payload by which the recipient's
    /// node consented.
    event StateShared(address toExtend, string tesserahash, string uuid);
    /// Somebody asks nodes to look at the parties again.
    event UpdateMembers(address toExtend, string uuid);

    /// The recipient, once. A yes names the consent of its node; a no ends it.
    function doVote(bool vote, string calldata nextuuid) external;
    /// The recipient names another consent.
    function setUuid(string calldata nextuuid) external;
    /// The creator, once all said yes; a later state takes the place of an earlier one.
    function setSharedStateHash(string calldata hash) external;
    /// The creator at any time, the recipient once a state was shared.
    function finish() external;
    /// Creator or recipient.
    function updatePartyMembers() external;

    /// Who began it; has voted yes by that.
    function creator() external view returns (address);
    /// The private contract.
    function contractToExtend() external view returns (address);
    /// The new party's key at its private-transaction manager, base64.
    function targetRecipientPTMKey() external view returns (string memory);
    /// The last payload with the state, base64; empty before there is one.
    function sharedDataHash() external view returns (string memory);
    /// False from the first no on.
    function voteOutcome() external view returns (bool);
    /// Whether nothing happens here any more.
    function isFinished() external view returns (bool);
    /// 0: the creator, 1: the recipient.
    function walletAddressesToVote(uint256 index) external view returns (address);
    /// Always 2.
    function totalNumberOfVoters() external view returns (uint256);
    /// Whether this address voted yes.
    function votes(address voter) external view returns (bool);
    /// Whether everybody voted.
    function haveAllNodesVoted() external view returns (bool);
    /// Whether the caller voted.
    function checkIfVoted() external view returns (bool);
    /// As `isFinished`.
    function checkIfExtensionFinished() external view returns (bool);
}
