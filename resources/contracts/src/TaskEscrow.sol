// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {GpuRegistry} from "./GpuRegistry.sol";
import {IUSDC} from "./IUSDC.sol";

/// @title TaskEscrow: the renter's money is here before work begins, and verified work is paid by itself.
/// @notice A job is one agreement over many tasks. Work is counted in units, each one reference millisecond on the job's
/// tier; a rate is micro-dollars per GPU-hour. Verified work yields a cumulative voucher per (job, GPU), signed by the
/// renter or by the attestor, which anyone may redeem. For cumulative units u, gross = floor(u * rate / 3,600,000) and
/// fee = floor(gross * bps / 10,000), and each payment is the difference from what was paid before. Escrow is rounded up,
/// so that it always covers the work. The chain sees signatures, counts, time and money; it never sees the work.
contract TaskEscrow is EIP712, ReentrancyGuardTransient {
    using SafeERC20 for IUSDC;

    /// @notice What a renter agrees to. The job's id is the hash of all of it.
    struct Terms {
        /// Whose money it is; a contract wallet works too.
        address renter;
        /// Class of GPU the work runs on.
        uint8 tier;
        /// The one GPU that may be paid, or 0 for any of the tier.
        uint64 gpu;
        /// Micro-dollars per GPU-hour, fixed for the life of the job.
        uint64 rate;
        /// Units of work the money covers.
        uint64 units;
        /// Unix seconds after which, with a day's grace, the rest may go back.
        uint64 deadline;
        /// Seconds the renter has to object to a claim.
        uint32 window;
        /// Hash of what is to be done.
        bytes32 specHash;
        /// Makes two jobs with equal terms differ.
        bytes32 salt;
    }

    /// @notice What the contract keeps of a job, in two slots.
    struct Job {
        address renter;
        /// Micro-dollars still held for this job.
        uint80 held;
        /// The market's fee when the job was opened.
        uint16 feeBps;
        uint64 gpu;
        uint48 rate;
        uint48 units;
        /// Units redeemed so far, over all GPUs.
        uint48 used;
        /// Unix seconds; 0 once the job is closed.
        uint40 deadline;
        uint8 tier;
    }

    /// @notice A promise to pay GPU `gpu` for `units` of work on `job`, all that came before included.
    struct Voucher {
        bytes32 job;
        uint256 gpu;
        uint64 units;
        /// Hash chain over the receipts this voucher stands for.
        bytes32 receiptsRoot;
    }

    /// @notice No fee may ever be above one per cent.
    uint16 public constant MAX_FEE_BPS = 100;
    /// @notice Seconds after the deadline in which vouchers may still be redeemed before the rest goes back.
    uint256 public constant GRACE = 1 days;

    uint256 private constant UNITS_PER_HOUR = 3_600_000;
    uint256 private constant WHOLE = 10_000;
    bytes32 private constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 job,uint256 gpu,uint64 units,bytes32 receiptsRoot)");

    /// @notice The stablecoin, fixed.
    IUSDC public immutable usdc;
    /// @notice Says which tier a GPU is of and who is paid for it.
    GpuRegistry public immutable registry;
    /// @notice Signs vouchers when the renter is silent: an account or an ERC-1271 contract.
    address public immutable attestor;
    /// @notice Where the fees go.
    address public immutable treasury;
    /// @notice The fee in basis points that jobs opened here pay.
    uint16 public immutable feeBps;

    /// @notice Fees taken and not yet swept, in micro-dollars.
    uint256 public feesAccrued;
    /// @notice Money that could not be pushed to an account and waits for it, in micro-dollars.
    mapping(address account => uint256 amount) public owed;
    /// @notice Cumulative units paid, per job and GPU.
    mapping(bytes32 job => mapping(uint256 gpu => uint256 units)) public unitsPaid;

    mapping(bytes32 job => Job) private _jobs;

    /// @notice A job was funded; `terms` hash to `job`.
    event JobOpened(bytes32 indexed job, address indexed renter, Terms terms, uint16 feeBps, uint256 escrowed);
    /// @notice A voucher was redeemed. `units` are cumulative; `gross` and `fee` are this payment's alone.
    event VoucherRedeemed(
        bytes32 indexed job,
        uint256 indexed gpu,
        uint64 units,
        uint256 gross,
        uint256 fee,
        bytes32 receiptsRoot
    );
    /// @notice A payee's part of a payment reached it.
    event PayeePaid(bytes32 indexed job, uint256 indexed gpu, address indexed payee, uint256 amount);
    /// @notice A part could not be delivered and waits in `owed`; GPU 0 stands for a refund to the renter.
    event PayeeOwed(bytes32 indexed job, uint256 indexed gpu, address indexed payee, uint256 amount);
    /// @notice The job is over; `refund` went back, or waits in `owed` for, the renter.
    event JobClosed(bytes32 indexed job, uint256 refund);
    /// @notice What was owed to `account` was delivered.
    event OwedWithdrawn(address indexed account, uint256 amount);
    /// @notice Accrued fees went to the treasury.
    event FeesSwept(uint256 amount);

    /// @notice The fee is above the cap.
    error FeeAboveCap(uint256 feeBps);
    /// @notice The zero address cannot hold anything.
    error ZeroAddress();
    /// @notice Only the renter named in the terms may open a job without an authorisation.
    error NotRenter(address caller);
    /// @notice A job needs units, a rate and a deadline ahead, each within its range.
    error TermsOutOfRange();
    /// @notice A job with these terms exists or has existed.
    error JobExists(bytes32 job);
    /// @notice There is no such job, or it is closed.
    error JobNotOpen(bytes32 job);
    /// @notice Neither the renter nor the attestor signed this voucher.
    error VoucherNotSigned();
    /// @notice The voucher covers nothing that is not paid already.
    error VoucherStale(uint256 unitsPaid, uint256 unitsOffered);
    /// @notice The voucher asks for more work than the job has left.
    error JobOverrun(uint256 unitsLeft, uint256 unitsAsked);
    /// @notice This GPU may not be paid from this job.
    error WrongGpu(uint256 wanted, uint256 offered);
    /// @notice The GPU is of another tier than the job.
    error WrongTier(uint8 wanted, uint8 offered);
    /// @notice The job may be closed only when all work is redeemed, or after this unix second.
    error TooEarlyToClose(uint256 after_);
    /// @notice Nothing is owed to this account.
    error NothingOwed(address account);

    /// @param attestor_ signs vouchers for silent renters
    /// @param feeBps_ at most {MAX_FEE_BPS}
    constructor(
        IUSDC usdc_,
        GpuRegistry registry_,
        address attestor_,
        address treasury_,
        uint16 feeBps_
    ) EIP712("Sublet TaskEscrow", "1") {
        require(feeBps_ <= MAX_FEE_BPS, FeeAboveCap(feeBps_));
        require(
            address(usdc_) != address(0) &&
                address(registry_) != address(0) &&
                attestor_ != address(0) &&
                treasury_ != address(0),
            ZeroAddress()
        );
        usdc = usdc_;
        registry = registry_;
        attestor = attestor_;
        treasury = treasury_;
        feeBps = feeBps_;
    }

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
        usdc.receiveWithAuthorization(
            terms.renter,
            address(this),
            amount,
            validAfter,
            validBefore,
            job,
            signature
        );
    }

    /// @notice Pays what a cumulative voucher adds to what was paid before: to every payee its share, the fee to the market.
    /// Anyone may call. A payee that cannot be paid is owed and never holds up another.
    /// @param signature the renter's or the attestor's, over {voucherDigest}
    function redeem(Voucher calldata voucher, bytes calldata signature) external nonReentrant {
        Job memory job = _jobs[voucher.job];
        require(job.deadline != 0, JobNotOpen(voucher.job));
        require(job.gpu == 0 || job.gpu == voucher.gpu, WrongGpu(job.gpu, voucher.gpu));
        _requireSigned(job.renter, voucherDigest(voucher), signature);

        (uint8 tier, address[] memory who, uint16[] memory bps) = registry.payout(voucher.gpu);
        require(tier == job.tier, WrongTier(job.tier, tier));
        _pay(voucher.job, voucher.gpu, _settle(voucher, job), who, bps);
    }

    /// @notice Ends a job and gives the renter what was not run. Anyone may call, once all units are redeemed or a day
    /// after the deadline.
    function close(bytes32 jobId_) external nonReentrant {
        Job memory job = _jobs[jobId_];
        require(job.deadline != 0, JobNotOpen(jobId_));
        require(
            job.used == job.units || block.timestamp > job.deadline + GRACE,
            TooEarlyToClose(job.deadline + GRACE)
        );
        _jobs[jobId_].held = 0;
        _jobs[jobId_].deadline = 0;
        emit JobClosed(jobId_, job.held);
        if (job.held != 0 && !usdc.trySafeTransfer(job.renter, job.held)) {
            owed[job.renter] += job.held;
            emit PayeeOwed(jobId_, 0, job.renter, job.held);
        }
    }

    /// @notice Delivers to `account` what could not be pushed to it before.
    function withdrawOwed(address account) external nonReentrant {
        uint256 amount = owed[account];
        require(amount != 0, NothingOwed(account));
        owed[account] = 0;
        emit OwedWithdrawn(account, amount);
        usdc.safeTransfer(account, amount);
    }

    /// @notice Sends all accrued fees to the treasury.
    function sweepFees() external nonReentrant returns (uint256 amount) {
        amount = feesAccrued;
        feesAccrued = 0;
        emit FeesSwept(amount);
        usdc.safeTransfer(treasury, amount);
    }

    /// @notice The contract's record of a job; all zero if there never was one, deadline 0 once it is closed.
    function jobs(bytes32 job) external view returns (Job memory) {
        return _jobs[job];
    }

    /// @notice The id of the job with these terms, known before it is opened; also the EIP-3009 nonce that funds it.
    function jobId(Terms calldata terms) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), terms));
    }

    /// @notice Micro-dollars a renter puts in escrow for `units` at `rate`, rounded up.
    function escrowFor(uint64 units, uint64 rate) public pure returns (uint256) {
        return (uint256(units) * rate + (UNITS_PER_HOUR - 1)) / UNITS_PER_HOUR;
    }

    /// @notice The EIP-712 digest that makes a voucher good when the renter or the attestor signs it.
    function voucherDigest(Voucher calldata voucher) public view returns (bytes32) {
        return
            _hashTypedDataV4(
                keccak256(
                    abi.encode(VOUCHER_TYPEHASH, voucher.job, voucher.gpu, voucher.units, voucher.receiptsRoot)
                )
            );
    }

    function _open(Terms calldata terms) private returns (bytes32 job, uint256 amount) {
        require(
            terms.units != 0 &&
                terms.units <= type(uint48).max &&
                terms.rate != 0 &&
                terms.rate <= type(uint48).max &&
                terms.deadline > block.timestamp &&
                terms.deadline <= type(uint40).max,
            TermsOutOfRange()
        );
        job = jobId(terms);
        require(_jobs[job].renter == address(0), JobExists(job));
        amount = escrowFor(terms.units, terms.rate);
        // the casts hold: 48 bits of units times 48 bits of rate over 3,600,000 is below 75 bits
        _jobs[job] = Job({
            renter: terms.renter,
            held: uint80(amount),
            feeBps: feeBps,
            gpu: terms.gpu,
            rate: uint48(terms.rate),
            units: uint48(terms.units),
            used: 0,
            deadline: uint40(terms.deadline),
            tier: terms.tier
        });
        emit JobOpened(job, terms.renter, terms, feeBps, amount);
    }

    /// @dev Books what the voucher adds to what was paid before; returns what goes to the payees.
    function _settle(Voucher calldata voucher, Job memory job) private returns (uint256) {
        uint256 before = unitsPaid[voucher.job][voucher.gpu];
        require(voucher.units > before, VoucherStale(before, voucher.units));
        uint256 fresh = voucher.units - before;
        require(fresh <= job.units - job.used, JobOverrun(job.units - job.used, fresh));

        uint256 grossBefore = (before * job.rate) / UNITS_PER_HOUR;
        uint256 gross = (uint256(voucher.units) * job.rate) / UNITS_PER_HOUR;
        uint256 fee = (gross * job.feeBps) / WHOLE - (grossBefore * job.feeBps) / WHOLE;
        gross -= grossBefore;

        unitsPaid[voucher.job][voucher.gpu] = voucher.units;
        // both casts hold: held only falls, and used never passes units
        _jobs[voucher.job].held = uint80(job.held - gross);
        _jobs[voucher.job].used = uint48(job.used + fresh);
        if (fee != 0) feesAccrued += fee;
        emit VoucherRedeemed(voucher.job, voucher.gpu, voucher.units, gross, fee, voucher.receiptsRoot);
        return gross - fee;
    }

    /// @dev Shares are floors of the amount; the first payee, the GPU's owner, takes the residual and the dust.
    function _pay(
        bytes32 job,
        uint256 gpu,
        uint256 amount,
        address[] memory who,
        uint16[] memory bps
    ) private {
        uint256 residual = amount;
        for (uint256 i = 1; i < who.length; ++i) {
            uint256 part = (amount * bps[i]) / WHOLE;
            residual -= part;
            _push(job, gpu, who[i], part);
        }
        _push(job, gpu, who[0], residual);
    }

    function _push(bytes32 job, uint256 gpu, address payee, uint256 amount) private {
        if (amount == 0) return;
        if (usdc.trySafeTransfer(payee, amount)) {
            emit PayeePaid(job, gpu, payee, amount);
        } else {
            owed[payee] += amount;
            emit PayeeOwed(job, gpu, payee, amount);
        }
    }

    /// @dev The key that signed is found first, so that a hostile renter's ERC-1271 code is never asked about a voucher
    /// that the attestor's key signed.
    function _requireSigned(address renter, bytes32 digest, bytes calldata signature) private view {
        (address signer, ECDSA.RecoverError err, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (err == ECDSA.RecoverError.NoError && (signer == attestor || signer == renter)) return;
        require(
            SignatureChecker.isValidERC1271SignatureNowCalldata(attestor, digest, signature) ||
                SignatureChecker.isValidERC1271SignatureNowCalldata(renter, digest, signature),
            VoucherNotSigned()
        );
    }
}
