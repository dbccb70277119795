// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowClaims} from "./EscrowClaims.sol";
import {EscrowLedger} from "./EscrowLedger.sol";
import {GpuRegistry} from "./GpuRegistry.sol";
import {IUSDC} from "./IUSDC.sol";
import {Signatures} from "./Signatures.sol";

/// @title TaskEscrow: the renter's money is here before work begins, and verified work is paid by itself.
/// @notice A job is one agreement over many tasks. Work is counted in units, each one reference millisecond on the job's
/// tier; a rate is micro-dollars per GPU-hour. Verified work yields a cumulative voucher per (job, GPU account), signed by
/// the renter or by an attestor of the market, which anyone may redeem. For cumulative units u, gross = floor(u * rate /
/// 3,600,000) and fee = floor(gross * bps / 10,000), and each payment is the difference from what was paid before. Escrow is
/// rounded up, so that it always covers the work.
///
/// There is no owner here, no pause and no upgrade. The chain sees signatures, counts, time and money; it never sees the work.
/// How a job begins and ends is in {EscrowJobs}, work without a voucher in {EscrowClaims}, the books in {EscrowLedger}.
contract TaskEscrow is EscrowClaims {
    /// @notice At most this many vouchers in a batch, so that it fits in a transaction (EIP-7825).
    uint256 public constant MAX_ROWS = 400;

    bytes32 private constant VOUCHER_TYPEHASH =
        keccak256("Voucher(bytes32 job,uint256 gpu,uint64 units,bytes32 receiptsRoot)");
    bytes32 private constant BATCH_TYPEHASH =
        keccak256("Batch(uint256 count,bytes32 vouchers)");

    constructor(IUSDC usdc_, GpuRegistry registry_) EscrowLedger(usdc_, registry_) {}

    /// @notice Pays what a cumulative voucher adds to what was paid before: to every payee its share, the fee to the market.
    /// Anyone may call. A payee that cannot be paid is owed and never holds up another.
    /// @param signature the renter's, over {voucherDigest}
    function redeem(Voucher calldata voucher, bytes calldata signature) external nonReentrant {
        Job memory job = _openJob(voucher.job);
        require(Signatures.made(job.renter, voucherDigest(voucher), signature), VoucherNotSigned());
        _pay(job, voucher);
    }

    /// @notice As {redeem}, on the signature of an attestor of the market, whose daily allowance it draws on.
    /// @param signature the attestor's, over {voucherDigest}
    function redeemAttested(Voucher calldata voucher, address attestor, bytes calldata signature) external nonReentrant {
        require(Signatures.made(attestor, voucherDigest(voucher), signature), NotAttested(attestor));
        policy.draw(attestor, _pay(_openJob(voucher.job), voucher));
    }

    /// @notice Pays many vouchers on one signature of an attestor. A voucher that cannot be paid is skipped and never
    /// reverts the others. Neighbouring rows of one holder are paid in one transfer.
    /// @param signature the attestor's, over {batchDigest}
    function settleBatchSigned(
        Voucher[] calldata vouchers,
        address attestor,
        bytes calldata signature
    ) external nonReentrant {
        require(vouchers.length != 0 && vouchers.length <= MAX_ROWS, RowsOutOfRange(vouchers.length));
        require(Signatures.made(attestor, batchDigest(vouchers), signature), NotAttested(attestor));
        policy.draw(attestor, _payAll(vouchers, policy.available(address(this), attestor)));
    }

    /// @notice The EIP-712 digest that makes a voucher good when the renter or an attestor signs it.
    function voucherDigest(Voucher calldata voucher) public view returns (bytes32) {
        return _hashTypedDataV4(_structHash(voucher));
    }

    /// @notice The EIP-712 digest an attestor signs over many vouchers: over the hash of their plain encoding, four words a
    /// voucher, because hashing each by itself would cost every row more than its transfer.
    function batchDigest(Voucher[] calldata vouchers) public view returns (bytes32) {
        bytes32 rows;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := mul(vouchers.length, 0x80)
            calldatacopy(free, vouchers.offset, size)
            rows := keccak256(free, size)
        }
        return _hashTypedDataV4(keccak256(abi.encode(BATCH_TYPEHASH, vouchers.length, rows)));
    }

    function _structHash(Voucher calldata voucher) private pure returns (bytes32) {
        return
            keccak256(abi.encode(VOUCHER_TYPEHASH, voucher.job, voucher.gpu, voucher.units, voucher.receiptsRoot));
    }

    /// @dev Neighbouring rows of one job share its reading and writing, neighbouring rows of one holder their transfer.
    function _payAll(Voucher[] calldata vouchers, uint256 most) private returns (uint256 sum) {
        bytes32 id;
        Job memory job;
        address payee;
        uint256 due;
        for (uint256 i = 0; i < vouchers.length; ++i) {
            Voucher memory voucher = vouchers[i];
            if (voucher.job != id) {
                if (id != 0) _keep(id, job);
                (id, job) = (voucher.job, _jobs[voucher.job]);
            }
            (bytes memory refusal, address holder, uint256 amount, uint256 gross) = _settle(job, voucher, most - sum);
            if (refusal.length != 0) {
                emit RowSkipped(id, voucher.gpu, refusal);
                continue;
            }
            sum += gross;
            if (holder != payee) {
                _push(payee, due);
                (payee, due) = (holder, 0);
            }
            due += amount;
        }
        _keep(id, job);
        _push(payee, due);
    }
}
