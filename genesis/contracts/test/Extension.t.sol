// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import "../src/interfaces/IExtension.sol";
import "./Vm.sol";

/// The extension of a private contract, as its committed creation code makes it.
contract ExtensionTest {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant TARGET = address(0x7A26E7);
    address internal constant CREATOR = address(0xC0FFEE);
    address internal constant RECIPIENT = address(0xBE9);
    address internal constant STRANGER = address(0x5712A);
    string internal constant KEY = "BULeR8JyUWhiuuCMU/HLA0Q5pzkYT+cHII3ZKBey3Bo=";
    string internal constant HASH =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    string internal constant CONSENT =
        "Pz49PDs6OTg3NjU0MzIxMC8uLSwrKikoJyYlJCMiISAfHh0cGxoZGBcWFRQTEhEQDw4NDAsKCQgHBgUEAwIBAA==";

    string internal artifact;
    IExtension internal it;

    function setUp() public {
        artifact = vm.readFile("artifacts/Extension.json");
        it = IExtension(_create(TARGET, RECIPIENT, KEY));
    }

    function _create(address target, address to, string memory key) internal returns (address made) {
        bytes memory code = abi.encodePacked(vm.parseJsonBytes(artifact, ".creation"), abi.encode(target, to, key));
        vm.prank(CREATOR);
        assembly {
            made := create(0, add(code, 0x20), mload(code))
        }
    }

    function _refuses(address who, bytes memory call, string memory why) internal {
        vm.prank(who);
        (bool success, bytes memory output) = address(it).call(call);
        vm.assertFalse(success, why);
        vm.assertEq(keccak256(output), keccak256(abi.encodeWithSignature("Error(string)", why)), why);
    }

    function _accept() internal {
        vm.prank(RECIPIENT);
        it.doVote(true, CONSENT);
    }

    function _share(string memory hash) internal {
        vm.prank(CREATOR);
        it.setSharedStateHash(hash);
    }

    /// One log: this event, with these arguments, of which none is a topic.
    function _logged(Vm.Log memory log, bytes32 topic, bytes memory data) internal view {
        vm.assertEq(log.emitter, address(it), "by the contract");
        vm.assertEq(log.topics.length, 1, "one topic");
        vm.assertEq(log.topics[0], topic, "event");
        vm.assertEq(keccak256(log.data), keccak256(data), "arguments");
    }

    bytes32 internal constant BEGUN = 0x04576ede6057794ada68966eebc285c98a2726cbc4929ffd1ad9900336728d93;
    bytes32 internal constant ALL_VOTED = 0xf20540914db019dd7c8d05ed165316a58d1583642772ac46f3d0c29b8644bd36;
    bytes32 internal constant SHARE_NOW = 0xfd46cafaa71d87561071b8095703a7f081265fad232945049f5cf2d2c39b3d28;
    bytes32 internal constant FINISHED = 0x79c47b570b18a8a814b785800e5fcbf104e067663589cef1bba07756e3c6ede9;
    bytes32 internal constant VOTED = 0x225708d30006b0cc86d855ab91047edb5fe9c2e416412f36c18c6e90fe4e461f;
    bytes32 internal constant SHARED = 0x67a92539f3cbd7c5a9b36c23c0e2beceb27d2e1b3cd8eda02c623689267ae71e;
    bytes32 internal constant UPDATE = 0x8adc4573f947f9930560525736f61b116be55049125cb63a36887a40f92f3b44;

    function test_code_is_the_same_for_every_extension() public {
        bytes memory known = vm.parseJsonBytes(artifact, ".runtime");
        vm.assertEq(keccak256(address(it).code), keccak256(known), "as in the artifact");
        address other = _create(STRANGER, address(1), "x");
        vm.assertEq(other.codehash, address(it).codehash, "whatever it is about");
    }

    function test_creation_says_what_it_is_about_and_is_the_creators_yes() public {
        vm.recordLogs();
        it = IExtension(_create(TARGET, RECIPIENT, KEY));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2, "two events");
        _logged(logs[0], BEGUN, abi.encode(TARGET, KEY, RECIPIENT));
        _logged(logs[1], VOTED, abi.encode(true, CREATOR));
        vm.assertEq(it.creator(), CREATOR, "creator");
        vm.assertEq(it.contractToExtend(), TARGET, "contract");
        vm.assertEq(it.targetRecipientPTMKey(), KEY, "key");
        vm.assertEq(it.totalNumberOfVoters(), 2, "voters");
        vm.assertEq(it.walletAddressesToVote(0), CREATOR, "first voter");
        vm.assertEq(it.walletAddressesToVote(1), RECIPIENT, "second voter");
        vm.assertTrue(it.votes(CREATOR), "the creator voted");
        vm.assertFalse(it.votes(RECIPIENT), "the recipient did not");
        vm.assertTrue(it.voteOutcome(), "nobody said no");
        vm.assertFalse(it.haveAllNodesVoted(), "a vote is missing");
        vm.assertFalse(it.isFinished() || it.checkIfExtensionFinished(), "it goes on");
        vm.assertEq(it.sharedDataHash(), "", "nothing is shared");
        _refuses(STRANGER, abi.encodeCall(it.walletAddressesToVote, (2)), "no such voter");
    }

    /// Nodes put the parties' keys behind the arguments.
    function test_what_stands_behind_the_arguments_makes_no_difference() public {
        bytes memory arguments = abi.encodePacked(abi.encode(TARGET, RECIPIENT, KEY), keccak256("one"), keccak256("two"));
        bytes memory code = abi.encodePacked(vm.parseJsonBytes(artifact, ".creation"), arguments);
        address made;
        vm.prank(CREATOR);
        assembly {
            made := create(0, add(code, 0x20), mload(code))
        }
        vm.assertEq(made.codehash, address(it).codehash, "the same code");
        vm.assertEq(IExtension(made).targetRecipientPTMKey(), KEY, "the same key");
        vm.assertEq(IExtension(made).contractToExtend(), TARGET, "the same contract");
    }

    function test_creation_refuses_nonsense() public {
        vm.assertEq(_create(address(0), RECIPIENT, KEY), address(0), "no contract");
        vm.assertEq(_create(TARGET, address(0), KEY), address(0), "no recipient");
        vm.assertEq(_create(TARGET, CREATOR, KEY), address(0), "the creator as recipient");
        vm.assertEq(_create(TARGET, RECIPIENT, ""), address(0), "no key");
        vm.assertEq(_create(TARGET, RECIPIENT, string(new bytes(129))), address(0), "too long a key");
        vm.assertTrue(_create(TARGET, RECIPIENT, string(new bytes(128))) != address(0), "the longest");
    }

    function test_a_yes_lets_the_state_be_shared() public {
        vm.recordLogs();
        _accept();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3, "three events");
        _logged(logs[0], ALL_VOTED, abi.encode(true));
        _logged(logs[1], SHARE_NOW, "");
        _logged(logs[2], VOTED, abi.encode(true, RECIPIENT));
        vm.assertTrue(it.votes(RECIPIENT) && it.haveAllNodesVoted() && it.voteOutcome(), "accepted");
        vm.assertFalse(it.isFinished(), "it goes on");
        _share(HASH);
        logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 1, "one event");
        _logged(logs[0], SHARED, abi.encode(TARGET, HASH, CONSENT));
        vm.assertEq(it.sharedDataHash(), HASH, "the hash is kept");
        vm.assertFalse(it.isFinished(), "another state may follow");
    }

    function test_a_no_ends_it() public {
        vm.recordLogs();
        vm.prank(RECIPIENT);
        it.doVote(false, "");
        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 3, "three events");
        _logged(logs[0], ALL_VOTED, abi.encode(false));
        _logged(logs[1], FINISHED, "");
        _logged(logs[2], VOTED, abi.encode(false, RECIPIENT));
        vm.assertTrue(it.isFinished() && it.checkIfExtensionFinished() && it.haveAllNodesVoted(), "finished");
        vm.assertFalse(it.voteOutcome() || it.votes(RECIPIENT), "refused");
        _refuses(RECIPIENT, abi.encodeCall(it.doVote, (true, CONSENT)), "the extension is finished");
        _refuses(CREATOR, abi.encodeCall(it.setSharedStateHash, (HASH)), "the extension is finished");
        _refuses(CREATOR, abi.encodeCall(it.finish, ()), "the extension is finished");
        _refuses(RECIPIENT, abi.encodeCall(it.setUuid, (CONSENT)), "the extension is finished");
    }

    function test_only_the_recipient_votes_and_once() public {
        _refuses(STRANGER, abi.encodeCall(it.doVote, (true, CONSENT)), "not the recipient");
        _refuses(CREATOR, abi.encodeCall(it.doVote, (true, CONSENT)), "not the recipient");
        _refuses(RECIPIENT, abi.encodeCall(it.doVote, (true, string(new bytes(129)))), "too long");
        _accept();
        _refuses(RECIPIENT, abi.encodeCall(it.doVote, (true, CONSENT)), "already voted");
        _refuses(RECIPIENT, abi.encodeCall(it.doVote, (false, CONSENT)), "already voted");
    }

    function test_a_later_state_takes_the_place_of_an_earlier_one() public {
        _accept();
        _share("first");
        vm.recordLogs();
        _share(HASH);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _logged(logs[0], SHARED, abi.encode(TARGET, HASH, CONSENT));
        vm.assertEq(it.sharedDataHash(), HASH, "the last one");
        _share("a");
        vm.assertEq(it.sharedDataHash(), "a", "also a shorter one");
    }

    /// What stands in the slots depends on the last state alone: parties that missed an earlier one come to the same.
    function test_states_leave_no_trace_of_earlier_ones() public {
        _accept();
        IExtension once = it;
        _share(HASH);
        it = IExtension(_create(TARGET, RECIPIENT, KEY));
        _accept();
        _share(CONSENT);
        _share(HASH);
        bytes32 data = keccak256(abi.encode(4));
        for (uint256 i = 0; i < 8; i++) {
            bytes32 slot = bytes32(uint256(data) + i);
            vm.assertEq(vm.load(address(it), slot), vm.load(address(once), slot), "data of the hash");
            vm.assertEq(vm.load(address(it), bytes32(i)), vm.load(address(once), bytes32(i)), "slots");
        }
    }

    function test_only_the_creator_shares_and_only_what_was_accepted() public {
        _refuses(CREATOR, abi.encodeCall(it.setSharedStateHash, (HASH)), "not all have accepted");
        _accept();
        _refuses(RECIPIENT, abi.encodeCall(it.setSharedStateHash, (HASH)), "not the creator");
        _refuses(STRANGER, abi.encodeCall(it.setSharedStateHash, (HASH)), "not the creator");
        _refuses(CREATOR, abi.encodeCall(it.setSharedStateHash, ("")), "no hash");
        _refuses(CREATOR, abi.encodeCall(it.setSharedStateHash, (string(new bytes(129)))), "too long");
    }

    function test_the_creator_may_cancel() public {
        _refuses(STRANGER, abi.encodeCall(it.finish, ()), "not the creator");
        _refuses(RECIPIENT, abi.encodeCall(it.finish, ()), "not the creator");
        vm.recordLogs();
        vm.prank(CREATOR);
        it.finish();
        _logged(vm.getRecordedLogs()[0], FINISHED, "");
        vm.assertTrue(it.isFinished(), "finished");
        _refuses(RECIPIENT, abi.encodeCall(it.doVote, (true, CONSENT)), "the extension is finished");
    }

    function test_either_may_finish_what_was_shared() public {
        _accept();
        _refuses(RECIPIENT, abi.encodeCall(it.finish, ()), "not the creator");
        _share(HASH);
        vm.prank(RECIPIENT);
        it.finish();
        _refuses(CREATOR, abi.encodeCall(it.setSharedStateHash, (HASH)), "the extension is finished");
        vm.assertEq(it.sharedDataHash(), HASH, "it stays");
    }

    function test_the_recipient_may_name_another_consent() public {
        _refuses(CREATOR, abi.encodeCall(it.setUuid, ("other")), "not the recipient");
        _refuses(STRANGER, abi.encodeCall(it.setUuid, ("other")), "not the recipient");
        _accept();
        vm.prank(RECIPIENT);
        it.setUuid("other");
        vm.recordLogs();
        _share(HASH);
        vm.prank(RECIPIENT);
        it.updatePartyMembers();
        Vm.Log[] memory logs = vm.getRecordedLogs();
        _logged(logs[0], SHARED, abi.encode(TARGET, HASH, "other"));
        _logged(logs[1], UPDATE, abi.encode(TARGET, "other"));
        _refuses(STRANGER, abi.encodeCall(it.updatePartyMembers, ()), "not a voter");
    }

    function test_voters_ask_whether_they_voted() public {
        vm.prank(CREATOR);
        vm.assertTrue(it.checkIfVoted(), "the creator");
        vm.prank(RECIPIENT);
        vm.assertFalse(it.checkIfVoted(), "not yet");
        _accept();
        vm.prank(RECIPIENT);
        vm.assertTrue(it.checkIfVoted(), "the recipient");
        vm.prank(STRANGER);
        vm.assertFalse(it.checkIfVoted(), "somebody else");
    }

    /// It calls nobody, makes nothing and cannot go away; it has no instruction that came after the oldest rules.
    function test_code_can_do_nothing_else() public view {
        bytes memory code = address(it).code;
        for (uint256 at = 0; at < code.length; at++) {
            uint8 op = uint8(code[at]);
            if (op >= 0x60 && op <= 0x7f) at += op - 0x5f;
            bool forbidden = op >= 0xf0 && op != 0xf3 && op != 0xfd && op != 0xfe;
            bool young = op == 0x5f || op == 0x5c || op == 0x5d || op == 0x5e || (op >= 0x1b && op <= 0x1d);
            vm.assertFalse(forbidden || young, "calls, creations, or new instructions");
        }
    }
}
