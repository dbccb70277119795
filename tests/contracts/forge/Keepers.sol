// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {MarketPolicy} from "market/MarketPolicy.sol";
import {Dice} from "./Cheats.sol";
import {Guard} from "./Model.sol";
import {Owners} from "./Owners.sol";

/// @title What keepers do: bring vouchers, good ones and all sorts of bad ones, one by one and in batches.
abstract contract Keepers is Owners {
    using Dice for Dice.Hand;

    /// @dev The last voucher that was paid, with its signature: it must not pay again.
    ITaskEscrow.Voucher private _spent;
    bytes private _spentSignature;

    function redeem(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, ITaskEscrow.Voucher memory voucher) = _voucher(hand);
        if (!found) return;
        bytes memory signature = _signed(_works[voucher.job].terms.renter, escrow.voucherDigest(voucher));
        bytes4 expected = _refusal(voucher);
        bytes memory call = abi.encodeCall(escrow.redeem, (voucher, signature));
        if (!_try(_anyone(hand), address(escrow), call, expected, _guardOf(expected), "redeem")) return;
        _book(voucher);
        (_spent, _spentSignature) = (voucher, signature);
    }

    function redeemAttested(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, ITaskEscrow.Voucher memory voucher) = _voucher(hand);
        if (!found) return;
        address attestor = _attestor(hand);
        uint256 left = policy.available(address(escrow), attestor);
        // the policy is asked last, and says that it knows no such attestor before it says that nothing is left
        (bytes4 expected, uint256 gross) = _refusal(voucher, _trusted[attestor] ? left : type(uint256).max);
        if (expected == 0 && !_trusted[attestor]) expected = MarketPolicy.NotAttestor.selector;
        bytes memory signature = _signed(attestor, escrow.voucherDigest(voucher));
        bytes memory call = abi.encodeCall(escrow.redeemAttested, (voucher, attestor, signature));
        if (!_try(_anyone(hand), address(escrow), call, expected, _guardOf(expected), "redeemAttested")) return;
        _book(voucher);
        if (policy.available(address(escrow), attestor) != left - gross) _blame(Guard.VOUCHERS, "the allowance was not drawn on");
    }

    /// @dev Signed by nobody who may, for elsewhere, or changed after it was signed.
    function forge(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, ITaskEscrow.Voucher memory voucher) = _voucher(hand);
        if (!found || !_works[voucher.job].open) return;
        address renter = _works[voucher.job].terms.renter;
        uint256 trick = hand.roll(6);
        bytes memory signature;
        if (trick == 0) signature = _signed(_stranger(renter), escrow.voucherDigest(voucher));
        else if (trick == 1) signature = _signed(renter, _twin.voucherDigest(voucher));
        else if (trick == 2) signature = _signed(renter, escrow.claimDigest(voucher));
        else signature = _signed(renter, escrow.voucherDigest(voucher));
        if (trick == 3) ++voucher.units;
        else if (trick == 4) voucher.gpu += 1 << 40;
        else if (trick == 5) voucher.job = _live[hand.roll(_live.length)];
        if (trick == 5 && _works[voucher.job].terms.renter == renter) voucher.receiptsRoot = bytes32(seed);
        bytes memory call = abi.encodeCall(escrow.redeem, (voucher, signature));
        bytes4 expected = ITaskEscrow.VoucherNotSigned.selector;
        _try(_anyone(hand), address(escrow), call, expected, Guard.VOUCHERS, "forge");
        address attestor = _attestor(hand);
        call = abi.encodeCall(escrow.redeemAttested, (voucher, attestor, signature));
        _try(_anyone(hand), address(escrow), call, ITaskEscrow.NotAttested.selector, Guard.VOUCHERS, "forge");
        ++counts["forge"];
    }

    function replay(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_spent.job == 0) return;
        bytes4 expected = _works[_spent.job].open ? ITaskEscrow.VoucherStale.selector : ITaskEscrow.JobNotOpen.selector;
        if (expected != _refusal(_spent)) expected = _refusal(_spent);
        bytes memory call = abi.encodeCall(escrow.redeem, (_spent, _spentSignature));
        _try(_anyone(hand), address(escrow), call, expected, Guard.VOUCHERS, "replay");
        ++counts["replay"];
    }

    /// @dev Rows that can be paid between rows that cannot: closed and unknown jobs, GPUs that never were, everything.
    function settleBatch(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        ITaskEscrow.Voucher[] memory rows = new ITaskEscrow.Voucher[](1 + hand.roll(6));
        for (uint256 i = 0; i < rows.length; ++i) rows[i] = _row(hand);
        address attestor = _attestor(hand);
        bool forged = hand.once(12);
        bytes memory signature = _signed(forged ? _anyone(hand) : attestor, escrow.batchDigest(rows));
        bytes memory call = abi.encodeCall(escrow.settleBatchSigned, (rows, attestor, signature));
        bytes4 expected;
        if (forged) expected = ITaskEscrow.NotAttested.selector;
        else if (!_trusted[attestor]) expected = MarketPolicy.NotAttestor.selector;
        uint256 left = policy.available(address(escrow), attestor);
        if (!_settled(call, expected)) return;
        uint256 paid = 0;
        for (uint256 i = 0; i < rows.length; ++i) {
            (bytes4 why, uint256 gross) = _refusal(rows[i], left);
            if (why == 0) {
                _book(rows[i]);
                left -= gross;
                ++paid;
            } else ++counts["row skipped"];
        }
        counts["row paid"] += paid;
        if (policy.available(address(escrow), attestor) != left) _blame(Guard.VOUCHERS, "the allowance was not drawn on");
    }

    function _settled(bytes memory call, bytes4 expected) private returns (bool done) {
        bool clean = bytes(fault[Guard.WORDS]).length == 0 && bytes(fault[Guard.FROZEN]).length == 0;
        done = _try(people[5], address(escrow), call, expected, Guard.VOUCHERS, "settleBatch");
        if (clean && expected == 0 && !done) _blame(Guard.BATCH, "a batch was refused");
    }

    function _row(Dice.Hand memory hand) private view returns (ITaskEscrow.Voucher memory row) {
        bool found;
        if (!hand.once(4)) (found, row) = _voucher(hand);
        if (found) return row;
        uint256 kind = hand.roll(3);
        bytes32 job = kind == 0 || _live.length == 0 ? bytes32(hand.roll(2)) : _live[hand.roll(_live.length)];
        row = ITaskEscrow.Voucher(job, kind == 1 ? hand.seed : 1 << 40, kind == 2 ? type(uint64).max : 1, 0);
    }

    /// @dev Mostly one that can be paid: of an open job, for an account of its tier, present or past.
    function _voucher(Dice.Hand memory hand) internal view returns (bool found, ITaskEscrow.Voucher memory voucher) {
        if (_live.length == 0 || _gpus == 0) return (false, voucher);
        voucher.job = _live[hand.roll(_live.length)];
        if (_closed.length != 0 && hand.once(24)) voucher.job = _closed[hand.roll(_closed.length)];
        Work storage work = _works[voucher.job];
        uint256 pinned = work.terms.gpu;
        if (pinned != 0 && !hand.once(16)) voucher.gpu = hand.once(4) ? pinned : _account(pinned);
        else voucher.gpu = _everyAccount[hand.roll(_everyAccount.length)];
        for (uint256 i = 0; pinned == 0 && i < 6 && _accounts[voucher.gpu].tier != work.terms.tier; ++i) {
            voucher.gpu = _everyAccount[hand.roll(_everyAccount.length)];
        }
        voucher.units = uint64(_paid[voucher.job][voucher.gpu] + _more(hand, work.units - work.used));
        voucher.receiptsRoot = bytes32(hand.seed);
        found = true;
    }

    /// @dev One too many, nothing, all there is, or a part of it.
    function _more(Dice.Hand memory hand, uint256 left) private pure returns (uint256) {
        uint256 kind = hand.roll(12);
        if (kind == 0 || left == 0) return left + 1;
        if (kind == 1) return 0;
        return kind == 2 ? left : 1 + hand.roll(left) / (1 << hand.roll(8));
    }

    /// @dev Somebody with another key; the wallet's key is nobody else's.
    function _stranger(address renter) internal view returns (address) {
        return renter == people[6] ? people[7] : people[6];
    }
}
