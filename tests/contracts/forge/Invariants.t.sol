// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {VM} from "./Cheats.sol";
import {Crowd} from "./Crowd.sol";
import {Guard} from "./Model.sol";

/// @title The invariants. Forge plays random actions of the crowd and asks after each of them.
contract InvariantsTest {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    Crowd private _crowd;
    string[14] private _names = [
        "01 the escrow holds what its books say",
        "02 no dollar is made or lost",
        "03 work paid only grows and never passes the job",
        "04 the fee is that of the opening and at most one per cent",
        "05 a payment is divided to the last micro-dollar",
        "06 a job's money reaches only its payees, the treasury and the renter",
        "07 a forged, stale or foreign voucher pays nothing",
        "08 a challenged claim pays nothing until it is decided",
        "09 a frozen payee holds up nobody",
        "10 time and anyone close every job, and nothing stays behind",
        "11 one token and one vote per GPU, shares move by their holders",
        "12 a bad row never reverts a batch",
        "13 earnings go to the holder of their era",
        "14 every action ends as its words say"
    ];

    /// @dev The game begins with some GPUs, many co-owners and a few jobs.
    function setUp() public {
        _crowd = new Crowd();
        for (uint256 i = 0; i < 8; ++i) _crowd.register(i);
        for (uint256 i = 0; i < 32; ++i) _crowd.grantShare(i);
        for (uint256 i = 0; i < 8; ++i) _crowd.open(i);
    }

    /// @dev Forge reads from this what it may play with.
    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(_crowd);
    }

    /// @dev The same, to the function.
    function targetSelectors() external view returns (FuzzSelector[] memory all) {
        all = new FuzzSelector[](1);
        all[0] = FuzzSelector(address(_crowd), _crowd.selectors());
    }

    /// @dev One game for all of them, because forge would otherwise play the same one again for each. What an action itself saw
    /// is told first, because it is nearest to what is broken.
    function invariant_everything_holds() external view {
        for (uint256 i = 0; i < _names.length; ++i) _none(Guard(i), _crowd.fault(Guard(i)));
        _none(Guard.SUPPLY, _crowd.supply());
        _none(Guard.VOUCHERS, _crowd.vouchers());
        _none(Guard.CHALLENGES, _crowd.challenges());
        _none(Guard.ERAS, _crowd.eras());
        _none(Guard.TOKENS, _crowd.tokens());
        _none(Guard.FEE, _crowd.fees());
        _none(Guard.WORK, _crowd.workPaid());
        _none(Guard.SPLIT, _crowd.split());
        _none(Guard.PAYEES, _crowd.payees());
        _none(Guard.BOOKS, _crowd.books());
    }

    /// @dev At the end of each run: time and strangers close every job, and then the escrow can be emptied to the last cent.
    function afterInvariant() external {
        string memory path = VM.envOr("SUBLET_FORGE_TALLY", "");
        if (bytes(path).length != 0) VM.writeLine(path, _crowd.tally());
        _none(Guard.LIVENESS, _crowd.wind());
        this.invariant_everything_holds();
        _none(Guard.LIVENESS, _crowd.empty());
        this.invariant_everything_holds();
    }

    function _none(Guard guard, string memory wrong) private view {
        require(bytes(wrong).length == 0, string.concat(_names[uint256(guard)], ": ", wrong));
    }
}
