// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "./interfaces/IExtension.sol";

/// A private contract itself: deployed for one extension, by a private transaction to all parties and the new one. Nodes know
/// it by the hash of its code, so nothing that is particular to one extension may stand in the code, and they read the slots
/// below. It compiles for the oldest rules that networks with private transactions have.
contract Extension is IExtension {
    /// A hash in base64 has 88 bytes, a key 44.
    uint256 private constant MAX_TEXT_BYTES = 128;

    // slot 0
    address public creator;
    // slot 1
    address public contractToExtend;
    // slot 2
    address private recipient;
    bool private recipientVoted;
    bool public voteOutcome;
    bool public isFinished;
    // slot 3
    string public targetRecipientPTMKey;
    // slot 4
    string public sharedDataHash;
    // slot 5
    string private uuid;

    modifier running() {
        require(!isFinished, "the extension is finished");
        _;
    }

    modifier onlyRecipient() {
        require(msg.sender == recipient, "not the recipient");
        _;
    }

    constructor(address toExtend, address to, string memory recipientPTMKey) {
        require(toExtend != address(0), "no contract");
        require(to != address(0) && to != msg.sender, "no recipient");
        _check(recipientPTMKey);
        require(bytes(recipientPTMKey).length != 0, "no key");
        creator = msg.sender;
        contractToExtend = toExtend;
        recipient = to;
        voteOutcome = true;
        targetRecipientPTMKey = recipientPTMKey;
        emit NewContractExtensionContractCreated(toExtend, recipientPTMKey, to);
        emit NewVote(true, msg.sender);
    }

    /// @inheritdoc IExtension
    function doVote(bool vote, string calldata nextuuid) external running onlyRecipient {
        require(!recipientVoted, "already voted");
        _check(nextuuid);
        recipientVoted = true;
        voteOutcome = vote;
        emit AllNodesHaveAccepted(vote);
        if (vote) {
            uuid = nextuuid;
            emit CanPerformStateShare();
        } else {
            isFinished = true;
            emit ExtensionFinished();
        }
        emit NewVote(vote, msg.sender);
    }

    /// @inheritdoc IExtension
    function setUuid(string calldata nextuuid) external running onlyRecipient {
        _check(nextuuid);
        uuid = nextuuid;
    }

    /// @inheritdoc IExtension
    function setSharedStateHash(string calldata hash) external running {
        require(msg.sender == creator, "not the creator");
        require(recipientVoted && voteOutcome, "not all have accepted");
        require(bytes(hash).length != 0, "no hash");
        _check(hash);
        sharedDataHash = hash;
        emit StateShared(contractToExtend, hash, uuid);
    }

    /// @inheritdoc IExtension
    function finish() external running {
        bool shared = bytes(sharedDataHash).length != 0;
        require(msg.sender == creator || (msg.sender == recipient && shared), "not the creator");
        isFinished = true;
        emit ExtensionFinished();
    }

    /// @inheritdoc IExtension
    function updatePartyMembers() external {
        require(msg.sender == creator || msg.sender == recipient, "not a voter");
        emit UpdateMembers(contractToExtend, uuid);
    }

    /// @inheritdoc IExtension
    function walletAddressesToVote(uint256 index) external view returns (address) {
        require(index < 2, "no such voter");
        return index == 0 ? creator : recipient;
    }

    /// @inheritdoc IExtension
    function totalNumberOfVoters() external pure returns (uint256) {
        return 2;
    }

    /// @inheritdoc IExtension
    function votes(address voter) external view returns (bool) {
        return voter == creator || (voter == recipient && recipientVoted && voteOutcome);
    }

    /// @inheritdoc IExtension
    function haveAllNodesVoted() external view returns (bool) {
        return recipientVoted;
    }

    /// @inheritdoc IExtension
    function checkIfVoted() external view returns (bool) {
        return msg.sender == creator || (msg.sender == recipient && recipientVoted);
    }

    /// @inheritdoc IExtension
    function checkIfExtensionFinished() external view returns (bool) {
        return isFinished;
    }

    function _check(string memory text) private pure {
        require(bytes(text).length <= MAX_TEXT_BYTES, "too long");
    }
}
