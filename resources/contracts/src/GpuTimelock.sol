// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";

/// @title GpuTimelock: what was voted waits here, in sight of everybody, before it is done.
/// @notice Owns {MarketPolicy}. The deployer is admin only until it has named the governor as proposer and canceller.
contract GpuTimelock is TimelockController {
    /// @param minDelay seconds between a vote's end and its effect
    constructor(
        uint256 minDelay,
        address[] memory proposers,
        address[] memory executors,
        address admin
    ) TimelockController(minDelay, proposers, executors, admin) {}
}
