// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A plain OpenZeppelin token: everything belongs to whoever deploys it.
contract Token is ERC20 {
    constructor() ERC20("Lonja Scenario", "LSC") {
        _mint(msg.sender, 1_000_000 ether);
    }
}
