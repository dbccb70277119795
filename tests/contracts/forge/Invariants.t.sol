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

    /// @dev One game for all of them, because forge would otherwise play the same one again for each.
    function invariant_everything_holds() external view {
        _none("01 the escrow holds what its books say", _crowd.books());
        _none("02 no dollar is made or lost", _crowd.supply());
        _none("03 work paid only grows and never passes the job", _crowd.workPaid());
        _none("04 the fee is that of the opening and at most one per cent", _crowd.fees());
        _none("05 a payment is divided to the last micro-dollar", _crowd.split());
        _none("06 a job's money reaches only its payees, the treasury and the renter", _crowd.payees());
        _none("07 a forged, stale or foreign voucher pays nothing", _crowd.vouchers());
        _none("08 a challenged claim pays nothing until it is decided", _crowd.challenges());
        _none("09 a frozen payee holds up nobody", _crowd.fault(Guard.FROZEN));
        _none("11 one token and one vote per GPU, shares move by their holders", _crowd.tokens());
        _none("12 a bad row never reverts a batch", _crowd.fault(Guard.BATCH));
        _none("13 earnings go to the holder of their era", _crowd.eras());
        _none("14 every action ends as its words say", _crowd.fault(Guard.WORDS));
    }

    /// @dev At the end of each run: time and strangers close every job, and then the escrow can be emptied to the last cent.
    function afterInvariant() external {
        string memory path = VM.envOr("SUBLET_FORGE_TALLY", "");
        if (bytes(path).length != 0) VM.writeLine(path, _crowd.tally());
        _none("10 time and anyone close every job", _crowd.wind());
        this.invariant_everything_holds();
        _none("10 nothing stays behind", _crowd.empty());
        this.invariant_everything_holds();
    }

    function _none(string memory name, string memory wrong) private pure {
        require(bytes(wrong).length == 0, string.concat(name, ": ", wrong));
    }
}
