// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EscrowLedger} from "./EscrowLedger.sol";
import {IUSDC} from "./IUSDC.sol";

/// @title EscrowJobs: how a job of {TaskEscrow} begins, grows and ends.
abstract contract EscrowJobs is EscrowLedger {
    using SafeERC20 for IUSDC;

    /// @notice Seconds after the deadline in which vouchers may still be redeemed before the rest goes back.
    uint256 public constant GRACE = 1 days;
    /// @notice No renter may have longer than this to object to a claim.
    uint256 public constant MAX_WINDOW = 30 days;
    /// @notice No job may be worth more micro-dollars than this, so that its fees always fit in their field.
    uint256 public constant MAX_ESCROW = 1 << 54;

    /// @notice The renter opens and funds a job from an allowance.
    function open(Terms calldata terms) external nonReentrant returns (bytes32 job) {
        require(msg.sender == terms.renter, NotRenter(msg.sender));
        uint256 amount;
        (job, amount) = _open(terms);
        usdc.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Anyone opens a job on the renter's EIP-3009 authorisation, whose nonce is the job's id, so that one signature
    /// both moves the money and accepts the terms. The authorised value is {escrowFor} of the terms.
    function openWithAuthorization(
        Terms calldata terms,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external nonReentrant returns (bytes32 job) {
        uint256 amount;
        (job, amount) = _open(terms);
        usdc.receiveWithAuthorization(terms.renter, address(this), amount, validAfter, validBefore, job, signature);
    }

    /// @notice The renter pays for `units` more at the job's rate, from an allowance.
    function topUp(bytes32 job, uint64 units) external nonReentrant {
        (address renter, uint256 amount) = _topUp(job, units);
        require(msg.sender == renter, NotRenter(msg.sender));
        usdc.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Anyone adds `units` on the renter's EIP-3009 authorisation, whose nonce is {topUpNonce}.
    function topUpWithAuthorization(
        bytes32 job,
        uint64 units,
        bytes32 salt,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external nonReentrant {
        (address renter, uint256 amount) = _topUp(job, units);
        bytes32 nonce = topUpNonce(job, units, salt);
        usdc.receiveWithAuthorization(renter, address(this), amount, validAfter, validBefore, nonce, signature);
    }

    /// @notice The renter ends a job of which nothing has been paid. Its deadline is now, and as after every deadline a day
    /// is left in which vouchers count, so that no work done meanwhile is lost; then {close} gives the rest back.
    function cancelUnstarted(bytes32 job) external {
        Job memory held = _openJob(job);
        require(msg.sender == held.renter, NotRenter(msg.sender));
        require(held.used == 0 && !_claimed(job), JobStarted(job));
        if (block.timestamp < held.deadline) _jobs[job].deadline = uint40(block.timestamp);
        emit JobCancelled(job, _jobs[job].deadline);
    }

    /// @notice Ends a job and gives the renter what was not run. Anyone may call, once all units are redeemed or a day
    /// after the deadline, and no claim is undecided.
    function close(bytes32 job) external nonReentrant {
        Job memory held = _openJob(job);
        require(held.used == held.units || block.timestamp > held.deadline + GRACE, TooEarly(held.deadline + GRACE));
        require(!_claimed(job), JobStarted(job));
        (_jobs[job].held, _jobs[job].fees, _jobs[job].deadline) = (0, 0, 0);
        if (held.fees != 0) feesAccrued += held.fees;
        emit JobClosed(job, held.held, held.fees);
        _push(held.renter, held.held);
    }

    /// @notice The id of the job with these terms, known before it is opened; also the EIP-3009 nonce that funds it.
    function jobId(Terms calldata terms) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), terms));
    }

    /// @notice The EIP-3009 nonce that binds an authorisation to one topping up of one job.
    function topUpNonce(bytes32 job, uint64 units, bytes32 salt) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), job, units, salt));
    }

    /// @dev Whether a claim on the job is undecided.
    function _claimed(bytes32 job) internal view virtual returns (bool);

    function _openJob(bytes32 job) internal view returns (Job memory held) {
        held = _jobs[job];
        require(held.deadline != 0, JobNotOpen(job));
    }

    function _open(Terms calldata terms) private returns (bytes32 job, uint256 amount) {
        require(
            terms.units != 0 &&
                terms.units <= type(uint48).max &&
                terms.rate != 0 &&
                terms.rate <= type(uint48).max &&
                terms.gpu <= type(uint40).max &&
                terms.deadline > block.timestamp &&
                terms.deadline <= type(uint40).max &&
                terms.window <= (terms.gpu == 0 ? 0 : MAX_WINDOW),
            TermsOutOfRange()
        );
        job = jobId(terms);
        require(_jobs[job].renter == address(0), JobExists(job));
        amount = escrowFor(terms.units, terms.rate);
        require(amount <= MAX_ESCROW, TermsOutOfRange());
        uint16 feeBps = _offer(terms);
        _jobs[job] = Job({
            renter: terms.renter,
            rate: uint48(terms.rate),
            gpu: uint40(terms.gpu),
            tier: terms.tier,
            held: uint64(amount),
            fees: 0,
            units: uint48(terms.units),
            used: 0,
            deadline: uint40(terms.deadline),
            feeBps: uint8(feeBps) // the policy's cap is 100
        });
        emit JobOpened(job, terms.renter, terms, feeBps, amount);
    }

    /// @dev What the market takes for a job on these terms, if it wants it.
    function _offer(Terms calldata terms) private view returns (uint16) {
        (uint16 feeBps, bool closed, uint64 floor, uint64 ceiling) = policy.offer(terms.tier);
        require(!closed, MarketPaused());
        require(terms.rate >= floor && terms.rate <= ceiling, RateOutOfBounds(terms.rate, floor, ceiling));
        return feeBps;
    }

    /// @dev The added escrow is the difference of two rounded sums, so that topping up never costs more than opening at once.
    function _topUp(bytes32 job, uint64 units) private returns (address renter, uint256 amount) {
        Job memory held = _openJob(job);
        require(block.timestamp <= held.deadline, TooLate(held.deadline));
        uint256 whole = uint256(held.units) + units;
        require(units != 0 && whole <= type(uint48).max, TermsOutOfRange());
        uint256 worth = escrowFor(uint64(whole), held.rate);
        require(worth <= MAX_ESCROW, TermsOutOfRange());
        amount = worth - escrowFor(held.units, held.rate);
        _jobs[job].units = uint48(whole);
        _jobs[job].held = uint64(held.held + amount);
        emit JobToppedUp(job, uint64(whole), amount);
        return (held.renter, amount);
    }
}
