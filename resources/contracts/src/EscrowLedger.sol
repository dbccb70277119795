// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {RateLimiter} from "@openzeppelin/contracts/utils/RateLimiter.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {GpuRegistry} from "./GpuRegistry.sol";
import {ITaskEscrow} from "./ITaskEscrow.sol";
import {IUSDC} from "./IUSDC.sol";
import {MarketPolicy} from "./MarketPolicy.sol";

/// @title EscrowLedger: the books of {TaskEscrow}, and the only place where work turns into money.
/// @dev The stablecoin held here is, at all times, the sum of every job's `held` and `fees`, of `feesAccrued` and of `owed`, and
/// of what was sent here for no reason, which nobody gets back: a payee that is this contract, a plain transfer to it.
abstract contract EscrowLedger is ITaskEscrow, EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IUSDC;

    uint256 internal constant UNITS_PER_HOUR = 3_600_000;
    uint256 private constant WHOLE = 10_000;
    uint256 private constant ID_MASK = (1 << 40) - 1;

    /// @notice The stablecoin, fixed.
    IUSDC public immutable usdc;
    /// @notice Says which tier a GPU is of and who is paid for it.
    GpuRegistry public immutable registry;
    /// @notice Says the fee and the bounds of new jobs, who attests, who arbitrates and where fees go.
    MarketPolicy public immutable policy;

    /// @notice Fees collected from jobs and not yet swept, in micro-dollars.
    uint256 public feesAccrued;
    /// @notice Money that could not be pushed to an account and waits for it, in micro-dollars.
    mapping(address account => uint256 amount) public owed;
    /// @notice Cumulative units paid, per job and GPU account.
    mapping(bytes32 job => mapping(uint256 gpu => uint256 units)) public unitsPaid;

    mapping(bytes32 job => Job) internal _jobs;

    constructor(IUSDC usdc_, GpuRegistry registry_) EIP712("Sublet TaskEscrow", "1") {
        require(address(usdc_) != address(0) && address(registry_) != address(0), ZeroAddress());
        usdc = usdc_;
        registry = registry_;
        policy = registry_.policy();
    }

    /// @notice Delivers to `account` what could not be pushed to it before. Anyone may call.
    function withdrawOwed(address account) external nonReentrant {
        uint256 amount = owed[account];
        require(amount != 0, NothingOwed(account));
        owed[account] = 0;
        emit OwedWithdrawn(account, amount);
        usdc.safeTransfer(account, amount);
    }

    /// @notice Collects the fees of these open jobs and sends all that is collected to the treasury. Anyone may call.
    function sweepFees(bytes32[] calldata jobs_) external nonReentrant returns (uint256 amount) {
        amount = feesAccrued;
        for (uint256 i = 0; i < jobs_.length; ++i) {
            amount += _jobs[jobs_[i]].fees;
            emit FeesCollected(jobs_[i], _jobs[jobs_[i]].fees);
            _jobs[jobs_[i]].fees = 0;
        }
        feesAccrued = 0;
        address treasury = policy.treasury();
        emit FeesSwept(treasury, amount);
        usdc.safeTransfer(treasury, amount);
    }

    /// @notice The contract's record of a job; all zero if there never was one, deadline 0 once it is closed.
    function jobs(bytes32 job) external view returns (Job memory) {
        return _jobs[job];
    }

    /// @notice Micro-dollars a renter puts in escrow for `units` at `rate`, rounded up.
    function escrowFor(uint64 units, uint64 rate) public pure returns (uint256) {
        return (uint256(units) * rate + (UNITS_PER_HOUR - 1)) / UNITS_PER_HOUR;
    }

    /// @dev Why `voucher` cannot be paid, as the error's data; empty when it can. `before`: what was paid already.
    function _refusal(Job memory job, Voucher memory voucher, uint256 before) internal pure returns (bytes memory) {
        if (job.deadline == 0) return abi.encodeWithSelector(JobNotOpen.selector, voucher.job);
        uint256 id = voucher.gpu & ID_MASK;
        if (job.gpu != 0 && job.gpu != id) return abi.encodeWithSelector(WrongGpu.selector, job.gpu, id);
        if (voucher.units <= before) return abi.encodeWithSelector(VoucherStale.selector, before, voucher.units);
        uint256 left = job.units - job.used;
        if (voucher.units - before > left) return abi.encodeWithSelector(JobOverrun.selector, left, voucher.units - before);
        return "";
    }

    /// @dev Takes from `job` what a voucher adds to what was paid before, and pays it, but for the holder's part, `amount`,
    /// which the caller has to {_push}; or changes nothing and says why not. The caller {_keep}s the job afterwards. `most` is
    /// how much the voucher may be worth.
    function _settle(
        Job memory job,
        Voucher memory voucher,
        uint256 most
    ) internal returns (bytes memory refusal, address holder, uint256 amount, uint256 gross) {
        mapping(uint256 gpu => uint256) storage paid = unitsPaid[voucher.job];
        uint256 before = paid[voucher.gpu];
        refusal = _refusal(job, voucher, before);
        if (refusal.length != 0) return (refusal, holder, 0, 0);
        uint8 tier;
        uint256 coOwners;
        (tier, holder, coOwners) = registry.payout(voucher.gpu);
        if (holder == address(0)) return (abi.encodeWithSelector(NoSuchAccount.selector, voucher.gpu), holder, 0, 0);
        if (tier != job.tier) return (abi.encodeWithSelector(WrongTier.selector, job.tier, tier), holder, 0, 0);
        (gross, amount) = _worth(job, before, voucher.units);
        if (gross > most) return (abi.encodeWithSelector(RateLimiter.RateLimitExceeded.selector), holder, 0, 0);

        paid[voucher.gpu] = voucher.units;
        _take(job, gross, gross - amount, voucher.units - before);
        if (coOwners != 0) amount -= _payShares(voucher, coOwners, amount);
        emit VoucherRedeemed(voucher.job, voucher.gpu, holder, voucher.units, amount, voucher.receiptsRoot);
    }

    /// @dev Pays one voucher whole, or reverts with what speaks against it.
    function _pay(Job memory job, Voucher memory voucher) internal returns (uint256) {
        (bytes memory refusal, address holder, uint256 amount, uint256 gross) = _settle(job, voucher, type(uint256).max);
        if (refusal.length != 0) _refuse(refusal);
        _keep(voucher.job, job);
        _push(holder, amount);
        return gross;
    }

    /// @dev Writes down what {_settle} took.
    function _keep(bytes32 id, Job memory job) internal {
        Job storage kept = _jobs[id];
        (kept.held, kept.fees, kept.used) = (job.held, job.fees, job.used);
    }

    /// @dev Hands over an account's money, or keeps it for the account when the stablecoin refuses.
    function _push(address payee, uint256 amount) internal {
        if (amount == 0 || usdc.trySafeTransfer(payee, amount)) return;
        owed[payee] += amount;
        emit PayeeOwed(payee, amount);
    }

    /// @dev Reverts with an error that was found before.
    function _refuse(bytes memory refusal) internal pure {
        assembly ("memory-safe") {
            revert(add(refusal, 0x20), mload(refusal))
        }
    }

    /// @dev What the units from `before` to `units` are worth, with the fee (`gross`) and without (`net`): differences of
    /// rounded sums, so that many small payments come to the same as one. Units have 64 bits and rates 48, so nothing here can
    /// overflow.
    function _worth(Job memory job, uint256 before, uint256 units) private pure returns (uint256 gross, uint256 net) {
        unchecked {
            uint256 grossBefore = (before * job.rate) / UNITS_PER_HOUR;
            gross = (units * job.rate) / UNITS_PER_HOUR;
            uint256 fee = (gross * job.feeBps) / WHOLE - (grossBefore * job.feeBps) / WHOLE;
            gross -= grossBefore;
            net = gross - fee;
        }
    }

    /// @dev The casts hold: `held` is never below the worth of the units left, a hundredth of {EscrowJobs-MAX_ESCROW} fits in
    /// 48 bits, and `used` never passes `units`.
    function _take(Job memory job, uint256 gross, uint256 fee, uint256 units) private pure {
        job.held -= uint64(gross);
        job.fees += uint48(fee);
        job.used += uint48(units);
    }

    /// @dev Pays the co-owners their shares of `amount`, each rounded down; returns what that comes to.
    function _payShares(Voucher memory voucher, uint256 coOwners, uint256 amount) private returns (uint256 paid) {
        GpuRegistry.Share[] memory shares = registry.sharesOf(voucher.gpu, coOwners);
        for (uint256 i = 0; i < coOwners; ++i) {
            uint256 part = (amount * shares[i].bps) / WHOLE;
            paid += part;
            emit SharePaid(voucher.job, voucher.gpu, shares[i].holder, part);
            _push(shares[i].holder, part);
        }
    }
}
