// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title ITaskEscrow: the words of {TaskEscrow}: what it is told, what it keeps, what it says and why it refuses.
interface ITaskEscrow {
    /// @notice What a renter agrees to. The job's id is the hash of all of it.
    struct Terms {
        /// Whose money it is; a contract wallet works too.
        address renter;
        /// Class of GPU the work runs on.
        uint8 tier;
        /// The one GPU (its id) that may be paid, or 0 for any of the tier.
        uint64 gpu;
        /// Micro-dollars per GPU-hour, fixed for the life of the job.
        uint64 rate;
        /// Units of work the money covers.
        uint64 units;
        /// Unix seconds after which, with a day's grace, the rest may go back.
        uint64 deadline;
        /// Seconds the renter has to object to a claim; 0: there are no claims. Only a pinned job may have claims.
        uint32 window;
        /// Hash of what is to be done.
        bytes32 specHash;
        /// Makes two jobs with equal terms differ.
        bytes32 salt;
    }

    /// @notice What the contract keeps of a job: a slot that never changes and a slot that does.
    struct Job {
        address renter;
        uint48 rate;
        uint40 gpu;
        uint8 tier;
        /// Micro-dollars still held for this job, fees not yet collected left out.
        uint64 held;
        /// Micro-dollars of fees taken from this job and not yet collected.
        uint48 fees;
        uint48 units;
        /// Units redeemed so far, over all GPUs.
        uint48 used;
        /// Unix seconds; 0 once the job is closed.
        uint40 deadline;
        /// The market's fee when the job was opened.
        uint8 feeBps;
    }

    /// @notice A promise to pay account `gpu` for `units` of work on `job`, all that came before included.
    struct Voucher {
        bytes32 job;
        /// The GPU's account, see {GpuRegistry}.
        uint256 gpu;
        uint64 units;
        /// Hash chain over the receipts this voucher stands for.
        bytes32 receiptsRoot;
    }

    /// @notice How far a claim is.
    enum Stage {
        /// There is none.
        NONE,
        /// The renter may challenge it.
        CLAIMED,
        /// The arbiter has to decide.
        CHALLENGED,
        /// A challenge was upheld: this job takes no more claims.
        BARRED
    }

    /// @notice The claim on a job; there is one at a time.
    struct Claim {
        uint64 gpu;
        uint48 units;
        /// Unix second after which anyone may {finalize}.
        uint40 due;
        Stage stage;
    }

    /// @notice A job was funded; `terms` hash to `job`.
    event JobOpened(bytes32 indexed job, address indexed renter, Terms terms, uint16 feeBps, uint256 escrowed);
    /// @notice The renter paid for more units; `units` is the job's new total.
    event JobToppedUp(bytes32 indexed job, uint64 units, uint256 escrowed);
    /// @notice The renter wants the job's money back; vouchers count for a day after `deadline`, the job's new one.
    event JobCancelled(bytes32 indexed job, uint256 deadline);
    /// @notice Work was paid. `units` are cumulative; `amount` is the holder's part of this payment. The co-owners' parts
    /// come before it as {SharePaid}; the fee follows from units, rate and basis points.
    event VoucherRedeemed(
        bytes32 indexed job,
        uint256 indexed gpu,
        address indexed holder,
        uint64 units,
        uint256 amount,
        bytes32 receiptsRoot
    );
    /// @notice A co-owner's part of a payment.
    event SharePaid(bytes32 indexed job, uint256 indexed gpu, address indexed payee, uint256 amount);
    /// @notice Of what was paid in this transaction, this much could not be delivered to `payee` and waits in `owed`.
    event PayeeOwed(address indexed payee, uint256 amount);
    /// @notice A voucher of a batch was not paid; `reason` is the error that {redeemAttested} would give.
    event RowSkipped(bytes32 indexed job, uint256 indexed gpu, bytes reason);
    /// @notice The owner of `gpu` claims work up to cumulative `units`; unchallenged, it can be finalised after `due`.
    event Claimed(bytes32 indexed job, uint256 indexed gpu, uint64 units, bytes32 receiptsRoot, uint256 due);
    /// @notice The renter objects; the arbiter has until `due`.
    event Challenged(bytes32 indexed job, uint256 indexed gpu, uint256 due);
    /// @notice The claim is over; `units` is what the account has been paid for in all.
    event ClaimEnded(bytes32 indexed job, uint256 indexed gpu, uint256 units, bool barred);
    /// @notice The job is over; `refund` went back to, or waits in `owed` for, the renter, and `fees` to `feesAccrued`.
    event JobClosed(bytes32 indexed job, uint256 refund, uint256 fees);
    /// @notice What was owed to `account` was delivered.
    event OwedWithdrawn(address indexed account, uint256 amount);
    /// @notice Fees of an open job were collected into `feesAccrued`.
    event FeesCollected(bytes32 indexed job, uint256 amount);
    /// @notice Accrued fees went to the treasury.
    event FeesSwept(address indexed treasury, uint256 amount);

    /// @notice The zero address cannot hold anything.
    error ZeroAddress();
    /// @notice Only the renter named in the terms may do this without an authorisation.
    error NotRenter(address caller);
    /// @notice Only the market's arbiter may do this.
    error NotArbiter(address caller);
    /// @notice A job needs units, a rate and a deadline ahead, each within its range, and claims need a GPU.
    error TermsOutOfRange();
    /// @notice These are not the terms the job was opened on.
    error TermsDiffer(bytes32 job);
    /// @notice The market takes no new jobs for now.
    error MarketPaused();
    /// @notice The market does not trade this tier at this rate.
    error RateOutOfBounds(uint256 rate, uint256 floor, uint256 ceiling);
    /// @notice A job with these terms exists or has existed.
    error JobExists(bytes32 job);
    /// @notice There is no such job, or it is closed.
    error JobNotOpen(bytes32 job);
    /// @notice Work has been paid, or is claimed, so the job must run its course.
    error JobStarted(bytes32 job);
    /// @notice The renter did not sign this voucher.
    error VoucherNotSigned();
    /// @notice The voucher covers nothing that is not paid already.
    error VoucherStale(uint256 unitsPaid, uint256 unitsOffered);
    /// @notice The voucher asks for more work than the job has left.
    error JobOverrun(uint256 unitsLeft, uint256 unitsAsked);
    /// @notice This GPU may not be paid from this job.
    error WrongGpu(uint256 wanted, uint256 offered);
    /// @notice There is no such GPU account.
    error NoSuchAccount(uint256 gpu);
    /// @notice The GPU is of another tier than the job.
    error WrongTier(uint8 wanted, uint8 offered);
    /// @notice `attestor` is none of this market, or did not sign this.
    error NotAttested(address attestor);
    /// @notice A batch has at least one row and at most {MAX_ROWS}.
    error RowsOutOfRange(uint256 rows);
    /// @notice The job allows no claims, or none any more.
    error NoClaims(bytes32 job);
    /// @notice There is a claim on this job already, or none, or it is at another stage.
    error WrongStage(Stage stage);
    /// @notice Neither the GPU's holder nor its operator signed this claim.
    error ClaimNotSigned();
    /// @notice The renter did not sign this challenge.
    error ChallengeNotSigned();
    /// @notice The time for this was over at this unix second.
    error TooLate(uint256 due);
    /// @notice This can be done only after this unix second.
    error TooEarly(uint256 due);
    /// @notice Nothing is owed to this account.
    error NothingOwed(address account);
}
