// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// Keeps a word and deals with others, for tests. The same code serves as a public and as a private contract.
contract Dealer {
    uint256 public word;
    /// What a call of another came to, or what borrowed code answered.
    uint256 public seen;
    /// The contract made last.
    Page public made;

    uint256 private constant REFUSED = 1;
    uint256 private constant SILENT = 2;
    uint256 private constant ANSWERED = 3;

    event Written(address indexed by, uint256 word);

    function write(uint256 value) public returns (bool) {
        word = value;
        emit Written(msg.sender, value);
        return true;
    }

    /// Writes here, and the next number there.
    function writeBoth(Dealer other, uint256 value) external {
        write(value);
        other.write(value + 1);
    }

    /// Writes what the other has.
    function copy(Dealer other) external {
        write(other.word());
    }

    /// Passes a message on, and goes on whatever comes of it.
    function attempt(address to, bytes calldata message) external {
        (bool success, bytes memory answer) = to.call(message);
        seen = !success ? REFUSED : answer.length == 0 ? SILENT : ANSWERED;
    }

    /// Passes a message on, and fails with it.
    function pass(address to, bytes calldata message) external returns (bytes memory) {
        (bool success, bytes memory answer) = to.call(message);
        require(success, "it was refused there");
        return answer;
    }

    /// Runs another's code in its own place.
    function borrow(address code, bytes calldata message) external {
        (bool success, bytes memory answer) = code.delegatecall(message);
        require(success, "it was refused here");
        seen = abi.decode(answer, (uint256));
    }

    /// Makes a contract, and calls it.
    function make(uint256 value) external {
        made = new Page(value);
        made.write(value + 1);
    }
}

/// A contract that is made by another.
contract Page {
    uint256 public immutable first;
    uint256 public word;

    event Written(address indexed by, uint256 word);

    constructor(uint256 value) {
        first = value;
    }

    function write(uint256 value) external {
        word = value;
        emit Written(msg.sender, value);
    }
}
