// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

interface Token {
    function balanceOf(address account) external view returns (uint256);
}

interface Escrow {
    struct Job {
        address renter;
        uint48 rate;
        uint40 gpu;
        uint8 tier;
        uint64 held;
        uint48 fees;
        uint48 units;
        uint48 used;
        uint40 deadline;
        uint8 feeBps;
    }

    struct Claim {
        uint64 gpu;
        uint48 units;
        uint40 due;
        uint8 stage;
    }

    function jobs(bytes32 job) external view returns (Job memory);
    function claims(bytes32 job) external view returns (Claim memory);
    function owed(address account) external view returns (uint256);
    function unitsPaid(bytes32 job, uint256 gpu) external view returns (uint256);
    function feesAccrued() external view returns (uint256);
}

/// @title Look: reads whole books in one call, so that a test can compare them after every step.
contract Look {
    Token private immutable _token;
    Escrow private immutable _escrow;

    constructor(Token token, Escrow escrow) {
        (_token, _escrow) = (token, escrow);
    }

    /// @notice Balance and debt of each account, and the fees collected.
    function money(address[] calldata who) external view returns (uint256[] memory held, uint256[] memory owed, uint256 fees) {
        held = new uint256[](who.length);
        owed = new uint256[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            (held[i], owed[i]) = (_token.balanceOf(who[i]), _escrow.owed(who[i]));
        }
        fees = _escrow.feesAccrued();
    }

    /// @notice Each job's record and the claim on it.
    function jobs(bytes32[] calldata ids) external view returns (Escrow.Job[] memory found, Escrow.Claim[] memory claims) {
        found = new Escrow.Job[](ids.length);
        claims = new Escrow.Claim[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            (found[i], claims[i]) = (_escrow.jobs(ids[i]), _escrow.claims(ids[i]));
        }
    }

    /// @notice What each pair of job and account has been paid for.
    function paid(bytes32[] calldata ids, uint256[] calldata accounts) external view returns (uint256[] memory units) {
        units = new uint256[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) units[i] = _escrow.unitsPaid(ids[i], accounts[i]);
    }
}
