// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Orders of supervisors, and suspensions that cannot wait for a vote.
interface ISupervision {
    /// One of the two words that a freeze needs.
    event FreezeRequested(address indexed subject, bytes32 indexed orderHash, address indexed by, bool supervisor);
    /// One more word for an emergency suspension; `by` is a member, or a council key.
    event EmergencyRequested(bytes32 indexed subject, bytes32 indexed reasonHash, bytes32 indexed by, uint256 groups);

    /// The admins of an active supervisor and one council key send the identical call; without a council the supervisor
    /// alone. `until` 0 means as long as the policy allows; more than that is refused.
    function freeze(address subject, bytes32 orderHash, uint64 until) external;
    /// The admins of an active supervisor.
    function unfreeze(address subject, bytes32 orderHash) external;
    /// Anybody: removes a freeze whose time is over.
    function clearLapsedFreeze(address subject) external;
    /// Members of three control groups, or a supervisor and a council key, send the identical call. `subject` is a member or
    /// a node.
    function emergencySuspend(bytes32 subject, bytes32 reasonHash) external;

    /// What a freeze has gathered.
    function freezeRequest(address subject, bytes32 orderHash, uint64 until)
        external
        view
        returns (bytes32 supervisor, bool council, uint64 since);
    /// What an emergency suspension has gathered.
    function emergencyRequest(bytes32 subject, bytes32 reasonHash)
        external
        view
        returns (bytes32[] memory groups, bool supervisor, bool council, uint64 since);
    /// The emergency suspensions in force that are not ratified.
    function standingEmergencies() external view returns (bytes32[] memory);
}
