// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {Dice, VM} from "./Cheats.sol";
import {Guard, Model} from "./Model.sol";

/// @title What renters do: open, top up, cancel, close; in person and by signature.
abstract contract Renters is Model {
    using Dice for Dice.Hand;

    uint256 private constant MAX_LIVE = 10;
    uint256 private constant MOST = 1 << 54;

    struct Bounds {
        uint256 floor;
        uint256 ceiling;
    }

    mapping(uint8 tier => Bounds) internal _bounds;
    uint256 internal _feeBps = 10;
    bool internal _paused;

    constructor() {
        for (uint8 tier = 1; tier <= 3; ++tier) _bounds[tier] = Bounds(1, type(uint48).max);
    }

    function open(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_live.length >= MAX_LIVE) return;
        ITaskEscrow.Terms memory terms = _terms(hand);
        bytes32 job = escrow.jobId(terms);
        address by = hand.once(16) ? _anyone(hand) : terms.renter;
        bytes4 expected = by == terms.renter ? _opens(terms, job) : ITaskEscrow.NotRenter.selector;
        bytes memory call = abi.encodeCall(escrow.open, (terms));
        if (_try(by, address(escrow), call, expected, Guard.BOOKS, "open")) _bookOpen(terms, job);
    }

    /// @dev Also with the authorisation of somebody else, of another job, or for another sum.
    function openWithAuthorization(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_live.length >= MAX_LIVE) return;
        ITaskEscrow.Terms memory terms = _terms(hand);
        bytes32 job = escrow.jobId(terms);
        uint256 value = _price(terms.units, terms.rate);
        uint256 trick = hand.roll(12);
        bytes memory signature = _authorized(
            trick == 0 ? _other(terms.renter) : terms.renter,
            trick == 1 ? value + 1 : value,
            trick == 2 ? bytes32(seed) : job
        );
        bytes4 expected = _opens(terms, job);
        if (expected == 0 && trick < 3) expected = ANY;
        bytes memory call = abi.encodeCall(
            escrow.openWithAuthorization,
            (terms, 0, type(uint256).max, signature)
        );
        if (!_try(_anyone(hand), address(escrow), call, expected, Guard.PAYEES, "openWithAuthorization")) return;
        _bookOpen(terms, job);
    }

    function topUp(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_live.length == 0) return;
        bytes32 job = _live[hand.roll(_live.length)];
        uint64 units = _extra(hand);
        address renter = _works[job].terms.renter;
        address by = hand.once(8) ? _anyone(hand) : renter;
        bytes4 expected = _grows(job, units);
        if (by != renter && (expected == 0 || expected == ANY)) expected = ITaskEscrow.NotRenter.selector;
        bytes memory call = abi.encodeCall(escrow.topUp, (job, units));
        if (_try(by, address(escrow), call, expected, Guard.PAYEES, "topUp")) _bookTopUp(job, units);
    }

    /// @dev Also with an authorisation for other units, or one that was used.
    function topUpWithAuthorization(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_live.length == 0) return;
        bytes32 job = _live[hand.roll(_live.length)];
        (uint64 units, bytes32 salt) = (_extra(hand), bytes32(calls));
        Work storage work = _works[job];
        uint256 value = _price(work.units + units, work.terms.rate) - _price(work.units, work.terms.rate);
        bool tricked = hand.once(6);
        bytes32 nonce = escrow.topUpNonce(job, tricked ? units + 1 : units, salt);
        bytes memory call = abi.encodeCall(
            escrow.topUpWithAuthorization,
            (job, units, salt, 0, type(uint256).max, _authorized(work.terms.renter, value, nonce))
        );
        bytes4 expected = _grows(job, units);
        if (expected == 0 && tricked) expected = ANY;
        if (!_try(_anyone(hand), address(escrow), call, expected, Guard.PAYEES, "topUpWithAuthorization")) return;
        _bookTopUp(job, units);
        _try(_anyone(hand), address(escrow), call, ANY, Guard.PAYEES, "topUpWithAuthorization");
    }

    function cancelUnstarted(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_live.length == 0 || !hand.once(2)) return;
        bytes32 job = _live[hand.roll(_live.length)];
        Work storage work = _works[job];
        address by = hand.once(8) ? _anyone(hand) : work.terms.renter;
        bytes4 expected;
        if (by != work.terms.renter) expected = ITaskEscrow.NotRenter.selector;
        else if (work.used != 0 || _undecided(work)) expected = ITaskEscrow.JobStarted.selector;
        bytes memory call = abi.encodeCall(escrow.cancelUnstarted, (job));
        if (!_try(by, address(escrow), call, expected, Guard.BOOKS, "cancelUnstarted")) return;
        if (block.timestamp < work.deadline) work.deadline = block.timestamp;
    }

    function close(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        bool again = _closed.length != 0 && hand.once(8);
        if (!again && _live.length == 0) return;
        uint256 start = hand.roll(again ? _closed.length : _live.length);
        bytes32 job = again ? _closed[start] : _live[start];
        for (uint256 i = 0; !again && i < _live.length && _closes(job) != 0; ++i) job = _live[(start + i) % _live.length];
        uint256 end = _works[job].deadline + 1 days + hand.roll(2);
        if (hand.once(6) && end > block.timestamp) VM.warp(end);
        bytes memory call = abi.encodeCall(escrow.close, (job));
        if (_try(_anyone(hand), address(escrow), call, _closes(job), Guard.BOOKS, "close")) _bury(job);
    }

    function _undecided(Work storage work) internal view returns (bool) {
        return work.claim.stage == ITaskEscrow.Stage.CLAIMED || work.claim.stage == ITaskEscrow.Stage.CHALLENGED;
    }

    function _closes(bytes32 job) internal view returns (bytes4) {
        Work storage work = _works[job];
        if (!work.open) return ITaskEscrow.JobNotOpen.selector;
        if (work.used < work.units && block.timestamp <= work.deadline + 1 days) return ITaskEscrow.TooEarly.selector;
        return _undecided(work) ? ITaskEscrow.JobStarted.selector : bytes4(0);
    }

    /// @dev From the smallest job to the largest there may be, and one unit beyond.
    function _terms(Dice.Hand memory hand) private view returns (ITaskEscrow.Terms memory terms) {
        if (_closed.length != 0 && hand.once(24)) return _works[_closed[hand.roll(_closed.length)]].terms;
        if (_live.length != 0 && hand.once(24)) return _works[_live[hand.roll(_live.length)]].terms;
        terms.renter = _anyone(hand);
        terms.tier = uint8(1 + hand.roll(2));
        if (_gpus != 0 && hand.once(2)) {
            terms.gpu = uint64(1 + hand.roll(_gpus));
            terms.tier = _accounts[_account(terms.gpu)].tier;
            if (!hand.once(4)) terms.window = uint32(1 hours + hand.roll(2 days));
            if (hand.once(32)) terms.window = 30 days + 1;
        } else if (hand.once(32)) terms.window = 1; // nobody may claim from a roaming job
        uint256 kind = hand.roll(8);
        terms.rate = kind == 1 ? type(uint48).max : uint64(1 + hand.roll(kind == 0 ? 1 : 1 << (8 + 5 * kind)));
        terms.units = _size(hand, (MOST * HOUR) / terms.rate);
        terms.deadline = uint64(block.timestamp + hand.roll(4 days));
        terms.salt = bytes32(hand.roll(1 << 64));
    }

    /// @dev One unit, some, or as many as the money and the field hold, and now and then one more.
    function _size(Dice.Hand memory hand, uint256 most) private pure returns (uint64) {
        if (most > type(uint48).max) most = type(uint48).max;
        uint256 kind = hand.roll(8);
        if (kind == 0) return uint64(most + hand.roll(2));
        uint256 some = kind == 1 ? 1 : 1 << (5 * kind);
        return uint64(1 + hand.roll(some < most ? some : most));
    }

    /// @dev Dust, some, or more than there is room for.
    function _extra(Dice.Hand memory hand) private pure returns (uint64) {
        uint256 kind = hand.roll(10);
        return uint64(kind == 0 ? 0 : kind == 1 ? hand.roll(1 << 49) : 1 + hand.roll(1 << (3 * kind)));
    }

    function _opens(ITaskEscrow.Terms memory terms, bytes32 job) private view returns (bytes4) {
        uint256 price = _price(terms.units, terms.rate);
        bool fits = terms.units <= type(uint48).max && price <= MOST && terms.deadline > block.timestamp;
        if (!fits || terms.window > (terms.gpu == 0 ? 0 : 30 days)) {
            return _works[job].terms.renter != address(0) ? ANY : ITaskEscrow.TermsOutOfRange.selector;
        }
        if (_works[job].terms.renter != address(0)) return ITaskEscrow.JobExists.selector;
        if (_paused) return ITaskEscrow.MarketPaused.selector;
        Bounds storage range = _bounds[terms.tier];
        if (terms.rate < range.floor || terms.rate > range.ceiling) return ITaskEscrow.RateOutOfBounds.selector;
        return _moves(terms.renter) && _money[terms.renter] >= price ? bytes4(0) : ANY;
    }

    function _grows(bytes32 job, uint256 units) private view returns (bytes4) {
        Work storage work = _works[job];
        if (block.timestamp > work.deadline) return ITaskEscrow.TooLate.selector;
        uint256 whole = work.units + units;
        uint256 price = _price(whole, work.terms.rate);
        if (units == 0 || whole > type(uint48).max || price > MOST) return ITaskEscrow.TermsOutOfRange.selector;
        return _moves(work.terms.renter) && _money[work.terms.renter] >= price ? bytes4(0) : ANY;
    }

    function _bookOpen(ITaskEscrow.Terms memory terms, bytes32 job) private {
        Work storage work = _works[job];
        work.terms = terms;
        (work.units, work.deadline, work.bps, work.open) = (terms.units, terms.deadline, _feeBps, true);
        work.held = _price(terms.units, terms.rate);
        _money[terms.renter] -= work.held;
        _live.push(job);
    }

    function _bookTopUp(bytes32 job, uint256 units) private {
        Work storage work = _works[job];
        uint256 more = _price(work.units + units, work.terms.rate) - _price(work.units, work.terms.rate);
        work.units += units;
        work.held += more;
        _money[work.terms.renter] -= more;
    }

    function _other(address who) private view returns (address) {
        return who == people[3] ? people[4] : people[3];
    }
}
