// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {MarketPolicy} from "market/MarketPolicy.sol";
import {Dice, VM} from "./Cheats.sol";
import {Claimants} from "./Claimants.sol";
import {Guard} from "./Model.sol";

/// @title What the powerful do: the market's owners, its guardian, the stablecoin's issuer, and time. And who takes the money.
abstract contract Powers is Claimants {
    using Dice for Dice.Hand;

    address internal _treasury;

    constructor() {
        _treasury = people[1];
    }

    function withdrawOwed(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        uint256 start = hand.roll(CROWD);
        address who = people[start];
        for (uint256 i = 1; i < CROWD && _owed[who] == 0; ++i) who = people[(start + i) % CROWD];
        if (hand.once(3)) _freeze(who, false);
        bytes4 expected = _owed[who] == 0 ? ITaskEscrow.NothingOwed.selector : _moves(who) ? bytes4(0) : ANY;
        bytes memory call = abi.encodeCall(escrow.withdrawOwed, (who));
        if (!_try(_anyone(hand), address(escrow), call, expected, Guard.BOOKS, "withdrawOwed")) return;
        (_money[who], _owed[who]) = (_money[who] + _owed[who], 0);
    }

    /// @dev Of some jobs, one of them perhaps twice, one of them closed.
    function sweepFees(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        bytes32[] memory jobs = new bytes32[](hand.roll(4));
        for (uint256 i = 0; i < jobs.length; ++i) {
            bool live = _live.length != 0 && !hand.once(6);
            if (live) jobs[i] = _live[hand.roll(_live.length)];
            else if (_closed.length != 0) jobs[i] = _closed[hand.roll(_closed.length)];
        }
        bytes memory call = abi.encodeCall(escrow.sweepFees, (jobs));
        bytes4 expected = _moves(_treasury) ? bytes4(0) : ANY;
        if (_try(_anyone(hand), address(escrow), call, expected, Guard.BOOKS, "sweepFees")) _bookSweep(jobs);
    }

    /// @dev What happens seldom, one of eight.
    function powers(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        uint256 kind = hand.roll(8);
        if (kind == 0) _setFee(hand);
        else if (kind == 1) _setBounds(hand);
        else if (kind == 2) _pauseMarket(hand);
        else if (kind == 3) _setAttestor(hand);
        else if (kind == 4) _setAllowance(hand);
        else if (kind == 5) _setOffices(hand);
        else if (kind == 6) _stopMoney(hand);
        else _donate(hand);
    }

    /// @dev Never above one per cent, and never by another than the policy's owner.
    function _setFee(Dice.Hand memory hand) private {
        uint16 bps = uint16(hand.once(6) ? 101 + hand.roll(65_000) : hand.roll(101));
        address by = hand.once(6) ? _anyone(hand) : address(this);
        bytes4 expected;
        if (by != address(this)) expected = ANY;
        else if (bps > 100) expected = MarketPolicy.FeeAboveCap.selector;
        bytes memory call = abi.encodeCall(policy.setFee, (bps));
        if (_try(by, address(policy), call, expected, Guard.FEE, "setFee")) _feeBps = bps;
    }

    /// @dev Mostly wide, so that jobs can be opened.
    function _setBounds(Dice.Hand memory hand) private {
        uint8 tier = uint8(1 + hand.roll(3));
        uint64 floor = hand.once(4) ? uint64(hand.roll(1 << 30)) : 1;
        uint64 ceiling = hand.once(6) ? uint64(hand.roll(1 << 30)) : type(uint64).max;
        bytes4 expected = floor > ceiling ? MarketPolicy.BoundsCrossed.selector : bytes4(0);
        bytes memory call = abi.encodeCall(policy.setBounds, (tier, floor, ceiling));
        if (!_try(address(this), address(policy), call, expected, Guard.WORDS, "setBounds")) return;
        _bounds[tier] = Bounds(floor, ceiling);
    }

    function _pauseMarket(Dice.Hand memory hand) private {
        address by = hand.once(6) ? _anyone(hand) : hand.once(2) ? _guardian : address(this);
        bool paused = hand.once(4);
        bytes4 expected = by == _guardian || by == address(this) ? bytes4(0) : MarketPolicy.NotGuardian.selector;
        bytes memory call = abi.encodeCall(policy.setPaused, (paused));
        if (_try(by, address(policy), call, expected, Guard.WORDS, "pauseMarket")) _paused = paused;
    }

    function _setAttestor(Dice.Hand memory hand) private {
        (address who, bool trusted) = (_attestor(hand), !hand.once(4));
        bytes memory call = abi.encodeCall(policy.setAttestor, (who, trusted));
        if (_try(address(this), address(policy), call, 0, Guard.WORDS, "setAttestor")) _trusted[who] = trusted;
    }

    function _setAllowance(Dice.Hand memory hand) private {
        uint208 perDay = hand.once(4) ? uint208(hand.roll(1 << 30)) : 1 << 56;
        bytes memory call = abi.encodeCall(policy.setAllowance, (perDay));
        _try(address(this), address(policy), call, 0, Guard.WORDS, "setAllowance");
    }

    /// @dev Another treasury or another arbiter, from now on.
    function _setOffices(Dice.Hand memory hand) private {
        address who = _anyone(hand);
        bool purse = hand.once(2);
        bytes memory call = purse ? abi.encodeCall(policy.setTreasury, (who)) : abi.encodeCall(policy.setArbiter, (who));
        if (!_try(address(this), address(policy), call, 0, Guard.WORDS, "setOffices")) return;
        if (purse) _treasury = who;
        else _arbiter = who;
    }

    /// @dev The issuer freezes people, now and then the escrow itself, and mostly frees them again.
    function freeze(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        address who = hand.once(8) ? address(escrow) : _anyone(hand);
        _freeze(who, hand.once(who == address(escrow) ? 4 : 3));
        ++counts["freeze"];
    }

    function _stopMoney(Dice.Hand memory hand) private {
        bool stop = hand.once(4);
        if (stop == _stopped) return;
        _stopped = stop;
        if (stop) usdc.pause();
        else usdc.unpause();
        ++counts["stopMoney"];
    }

    /// @dev Money that nobody asked for disturbs nothing.
    function _donate(Dice.Hand memory hand) private {
        (address from, uint256 amount) = (_anyone(hand), hand.roll(1_000));
        bytes memory call = abi.encodeCall(usdc.transfer, (address(escrow), amount));
        if (!_try(from, address(usdc), call, _moves(from) ? bytes4(0) : ANY, Guard.WORDS, "donate")) return;
        _money[from] -= amount;
        _donated += amount;
    }

    /// @dev Seconds, hours, days, now and then weeks.
    function wait_(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        uint256 kind = hand.roll(16);
        uint256 most = kind < 6 ? 1 minutes : kind < 12 ? 4 hours : kind < 15 ? 2 days : 15 days;
        VM.warp(block.timestamp + 1 + hand.roll(most));
        ++counts["wait"];
    }

    function _freeze(address who, bool frozen) internal {
        _frozen[who] = frozen;
        if (frozen) usdc.blacklist(who);
        else usdc.unBlacklist(who);
    }

    function _bookSweep(bytes32[] memory jobs) internal {
        for (uint256 i = 0; i < jobs.length; ++i) {
            Work storage work = _works[jobs[i]];
            if (!work.open) continue;
            _accrued += work.fees;
            (work.collected, work.fees) = (work.collected + work.fees, 0);
        }
        _money[_treasury] += _accrued;
        (_swept, _accrued) = (_swept + _accrued, 0);
    }
}
