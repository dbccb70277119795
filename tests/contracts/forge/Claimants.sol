// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {Dice, VM} from "./Cheats.sol";
import {Keepers} from "./Keepers.sol";
import {Guard} from "./Model.sol";
import {Renters} from "./Renters.sol";

/// @title Work without a voucher: owners claim, renters challenge, the arbiter decides or does not.
abstract contract Claimants is Renters, Keepers {
    using Dice for Dice.Hand;

    address internal _arbiter;

    constructor() {
        _arbiter = people[2];
    }

    /// @dev By the holder or the operator of the present account or a past one; also by those who are neither.
    function claim(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, bytes32 job) = _claimable(hand);
        if (!found) return;
        Work storage work = _works[job];
        ITaskEscrow.Voucher memory made = _work(hand, job);
        uint256 id = uint40(made.gpu);
        address holder = _accounts[made.gpu].holder;
        uint256 kind = hand.roll(4);
        address signer = kind == 0 ? _anyone(hand) : kind == 1 ? _operators[id] : holder;
        bool speaks = signer == _operators[id] && made.gpu == _account(id) && _operatorEras[id] == _eras[id];
        bytes4 expected = _claims(made, signer == holder || speaks);
        bytes memory call = _claimCall(work.terms, made, signer);
        if (!_try(_anyone(hand), address(escrow), call, expected, Guard.CHALLENGES, "claim")) return;
        if (signer != holder) ++counts["claimed by operator"];
        uint40 due = uint40(block.timestamp + work.terms.window);
        work.claim = ITaskEscrow.Claim(uint64(made.gpu), uint48(made.units), due, ITaskEscrow.Stage.CLAIMED);
    }

    /// @dev In person or by signature; by strangers, too late, and of other claims too.
    function challenge(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, bytes32 job) = _atStage(hand, ITaskEscrow.Stage.CLAIMED);
        if (!found) return;
        Work storage work = _works[job];
        uint256 kind = hand.roll(6);
        address by = kind < 3 ? work.terms.renter : _stranger(work.terms.renter);
        bytes4 expected;
        if (work.claim.stage != ITaskEscrow.Stage.CLAIMED) expected = ITaskEscrow.WrongStage.selector;
        else if (block.timestamp > work.claim.due) expected = ITaskEscrow.TooLate.selector;
        else if (kind == 3 || kind == 4) expected = ITaskEscrow.ChallengeNotSigned.selector;
        bytes memory call = abi.encodeCall(escrow.challenge, (job, _objection(job, kind)));
        if (!_try(by, address(escrow), call, expected, Guard.CHALLENGES, "challenge")) return;
        (work.claim.due, work.claim.stage) = (uint40(block.timestamp + 14 days), ITaskEscrow.Stage.CHALLENGED);
        if (kind == 5) ++counts["challenged by signature"];
    }

    function resolve(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        (bool found, bytes32 job) = _atStage(hand, ITaskEscrow.Stage.CHALLENGED);
        if (!found) return;
        ITaskEscrow.Claim memory made = _works[job].claim;
        uint256 units = hand.once(3) ? made.units : hand.roll(uint256(made.units) + 2);
        address by = hand.once(8) ? _anyone(hand) : _arbiter;
        bytes4 expected;
        if (by != _arbiter) expected = ITaskEscrow.NotArbiter.selector;
        else if (made.stage != ITaskEscrow.Stage.CHALLENGED) expected = ITaskEscrow.WrongStage.selector;
        else if (block.timestamp > made.due) expected = ITaskEscrow.TooLate.selector;
        else if (units > made.units) expected = ITaskEscrow.JobOverrun.selector;
        bytes memory call = abi.encodeCall(escrow.resolve, (job, uint64(units)));
        if (!_try(by, address(escrow), call, expected, Guard.CHALLENGES, "resolve")) return;
        _bookEnd(job, units, units < made.units);
    }

    /// @dev Tried at every stage, above all while a challenge is undecided.
    function finalize(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        ITaskEscrow.Stage stage = hand.once(3) ? ITaskEscrow.Stage.CHALLENGED : ITaskEscrow.Stage.CLAIMED;
        (bool found, bytes32 job) = _atStage(hand, stage);
        if (!found) return;
        ITaskEscrow.Claim memory made = _works[job].claim;
        bool patient = hand.once(stage == ITaskEscrow.Stage.CHALLENGED ? 4 : 2);
        if (patient && block.timestamp <= made.due) VM.warp(uint256(made.due) + 1);
        bytes4 expected;
        if (!_undecided(_works[job])) expected = ITaskEscrow.WrongStage.selector;
        else if (block.timestamp <= made.due) expected = ITaskEscrow.TooEarly.selector;
        bytes memory call = abi.encodeCall(escrow.finalize, (job));
        if (!_try(_anyone(hand), address(escrow), call, expected, Guard.CHALLENGES, "finalize")) return;
        bool dropped = made.stage == ITaskEscrow.Stage.CHALLENGED;
        ++counts[dropped ? bytes32("claim dropped") : bytes32("claim paid")];
        _bookEnd(job, dropped ? 0 : made.units, dropped);
    }

    /// @dev The claim is over, with `units` awarded.
    function _bookEnd(bytes32 job, uint256 units, bool barred) internal {
        Work storage work = _works[job];
        uint256 gpu = work.claim.gpu;
        uint256 most = _paid[job][gpu] + work.units - work.used;
        if (units > most) units = most;
        delete work.claim;
        if (barred) work.claim.stage = ITaskEscrow.Stage.BARRED;
        if (units > _paid[job][gpu]) _book(ITaskEscrow.Voucher(job, gpu, uint64(units), 0));
        if (escrow.unitsPaid(job, gpu) != _paid[job][gpu]) _blame(Guard.CHALLENGES, "a claim was paid, and not as it was decided");
    }

    function _work(Dice.Hand memory hand, bytes32 job) private view returns (ITaskEscrow.Voucher memory made) {
        uint256 id = _works[job].terms.gpu == 0 ? 1 + hand.roll(_gpus) : _works[job].terms.gpu;
        made.job = job;
        made.gpu = hand.once(6) ? id : _account(id);
        uint256 left = _works[job].units - _works[job].used;
        made.units = uint64(_paid[job][made.gpu] + (hand.once(8) ? left + hand.roll(2) : 1 + hand.roll(left + 1) / 2));
        made.receiptsRoot = bytes32(hand.seed);
    }

    function _claimCall(
        ITaskEscrow.Terms memory terms,
        ITaskEscrow.Voucher memory made,
        address signer
    ) private view returns (bytes memory) {
        bytes memory signature = _signed(signer, escrow.claimDigest(made));
        return abi.encodeCall(escrow.claim, (terms, made, _hardware(uint40(made.gpu)), signature));
    }

    /// @dev Nothing, a stranger's signature (3), one over another claim (4), or the renter's (5).
    function _objection(bytes32 job, uint256 kind) private view returns (bytes memory) {
        if (kind < 3) return "";
        Work storage work = _works[job];
        uint64 units = work.claim.units;
        if (kind == 4) ++units;
        address signer = kind == 3 ? _stranger(work.terms.renter) : work.terms.renter;
        return _signed(signer, escrow.challengeDigest(job, work.claim.gpu, units));
    }

    /// @dev A job that allows claims, and mostly has none; now and then any other.
    function _claimable(Dice.Hand memory hand) private view returns (bool found, bytes32 job) {
        if (_live.length == 0 || _gpus == 0) return (false, 0);
        uint256 start = hand.roll(_live.length);
        bool any = hand.once(12);
        for (uint256 i = 0; i < _live.length; ++i) {
            job = _live[(start + i) % _live.length];
            Work storage work = _works[job];
            bool fits = work.terms.window != 0 && work.used < work.units && work.claim.stage == ITaskEscrow.Stage.NONE;
            if (any || (fits && block.timestamp <= work.deadline + 1 days)) return (true, job);
        }
        return (false, 0);
    }

    /// @dev A live job whose claim is at `stage`; now and then any other.
    function _atStage(Dice.Hand memory hand, ITaskEscrow.Stage stage) private view returns (bool found, bytes32 job) {
        if (_live.length == 0) return (false, 0);
        uint256 start = hand.roll(_live.length);
        bool any = hand.once(12);
        for (uint256 i = 0; i < _live.length; ++i) {
            job = _live[(start + i) % _live.length];
            if (any || _works[job].claim.stage == stage) return (true, job);
        }
        return (false, 0);
    }

    function _claims(ITaskEscrow.Voucher memory made, bool signed) private view returns (bytes4) {
        Work storage work = _works[made.job];
        ITaskEscrow.Stage stage = work.claim.stage;
        if (work.terms.window == 0 || stage == ITaskEscrow.Stage.BARRED) return ITaskEscrow.NoClaims.selector;
        if (stage != ITaskEscrow.Stage.NONE) return ITaskEscrow.WrongStage.selector;
        if (block.timestamp > work.deadline + 1 days) return ITaskEscrow.TooLate.selector;
        bytes4 why = _refusal(made);
        return why == 0 && !signed ? ITaskEscrow.ClaimNotSigned.selector : why;
    }
}
