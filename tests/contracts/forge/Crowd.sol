// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {VM} from "./Cheats.sol";
import {Guards} from "./Guards.sol";

/// @title Everybody at once: what forge plays with, and the list of what must have been done at least once.
contract Crowd is Guards {
    /// @notice The actions and the turns in them that a sizeable run must have seen. Refusals are counted by their error.
    function acts() public pure returns (bytes32[36] memory) {
        return [
            bytes32("register"), "grantShare", "moveShare", "sell", "retier", "setOperator", "delegate", "retire",
            "open", "openWithAuthorization", "topUp", "topUpWithAuthorization", "cancelUnstarted", "close",
            "redeem", "redeemAttested", "forge", "replay", "settleBatch", "row paid", "row skipped",
            "claim", "challenge", "resolve", "finalize", "claim paid", "claim dropped",
            "withdrawOwed", "sweepFees", "setFee", "freeze", "stopMoney", "donate",
            "share kept as owed", "paid to a former holder", "paid to eight co-owners"
        ];
    }

    /// @notice One line: how often each act was done, and how many calls there were.
    function tally() external view returns (string memory line) {
        line = string.concat("calls=", VM.toString(calls));
        bytes32[36] memory all = acts();
        for (uint256 i = 0; i < all.length; ++i) {
            line = string.concat(line, ";", _text(all[i]), "=", VM.toString(counts[all[i]]));
        }
    }

    function selectors() external pure returns (bytes4[] memory all) {
        bytes4[29] memory list = [
            this.register.selector, this.grantShare.selector, this.moveShare.selector, this.sell.selector,
            this.retier.selector, this.papers.selector, this.open.selector, this.open.selector,
            this.openWithAuthorization.selector, this.topUp.selector, this.topUpWithAuthorization.selector,
            this.cancelUnstarted.selector, this.close.selector, this.redeem.selector, this.redeem.selector,
            this.redeemAttested.selector, this.forge.selector, this.replay.selector, this.settleBatch.selector,
            this.claim.selector, this.claim.selector, this.challenge.selector, this.resolve.selector,
            this.finalize.selector, this.withdrawOwed.selector, this.sweepFees.selector, this.freeze.selector,
            this.wait_.selector, this.powers.selector
        ];
        all = new bytes4[](list.length);
        for (uint256 i = 0; i < all.length; ++i) all[i] = list[i];
    }
}
