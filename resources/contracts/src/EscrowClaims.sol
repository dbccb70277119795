// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowJobs} from "./EscrowJobs.sol";
import {Signatures} from "./Signatures.sol";

/// @title EscrowClaims: how an owner is paid by {TaskEscrow} when nobody vouches for finished work.
/// @notice Only for jobs pinned to one GPU whose terms give the renter a window to object: anybody's GPU could otherwise
/// claim from a job it never worked on. One claim at a time, and none any more once a challenge was upheld.
abstract contract EscrowClaims is EscrowJobs {
    /// @notice Seconds the arbiter has to decide a challenge; after that the renter's objection stands.
    uint256 public constant ARBITER_TIME = 14 days;

    bytes32 private constant CLAIM_TYPEHASH =
        keccak256("Claim(bytes32 job,uint256 gpu,uint64 units,bytes32 receiptsRoot)");
    bytes32 private constant CHALLENGE_TYPEHASH = keccak256("Challenge(bytes32 job,uint256 gpu,uint64 units)");

    /// @notice The claim on each job.
    mapping(bytes32 job => Claim) public claims;

    /// @notice Claims work up to the voucher's units. Anyone may bring it, signed by the account's holder or, while the
    /// account is the GPU's present one, by its operator.
    /// @param terms those the job was opened on
    /// @param hardware digest of the GPU's hardware, if the operator signed
    function claim(
        Terms calldata terms,
        Voucher calldata work,
        bytes32 hardware,
        bytes calldata signature
    ) external {
        Job memory job = _openJob(work.job);
        require(jobId(terms) == work.job, TermsDiffer(work.job));
        Stage stage = claims[work.job].stage;
        require(terms.window != 0 && stage != Stage.BARRED, NoClaims(work.job));
        require(stage == Stage.NONE, WrongStage(stage));
        require(block.timestamp <= job.deadline + GRACE, TooLate(job.deadline + GRACE));
        bytes memory refusal = _refusal(job, work, unitsPaid[work.job][work.gpu]);
        if (refusal.length != 0) _refuse(refusal);
        _requireOwner(job.tier, work, hardware, signature);
        uint256 due = block.timestamp + terms.window;
        claims[work.job] = Claim(uint64(work.gpu), uint48(work.units), uint40(due), Stage.CLAIMED);
        emit Claimed(work.job, work.gpu, work.units, work.receiptsRoot, due);
    }

    /// @notice The renter objects to the claim on a job, in person or by a signature over {challengeDigest} that anyone may
    /// bring. Nothing is paid on it until the arbiter has decided.
    function challenge(bytes32 job, bytes calldata signature) external {
        Claim memory made = claims[job];
        require(made.stage == Stage.CLAIMED, WrongStage(made.stage));
        require(block.timestamp <= made.due, TooLate(made.due));
        address renter = _openJob(job).renter;
        require(
            msg.sender == renter || Signatures.made(renter, challengeDigest(job, made.gpu, made.units), signature),
            ChallengeNotSigned()
        );
        uint256 due = block.timestamp + ARBITER_TIME;
        (claims[job].due, claims[job].stage) = (uint40(due), Stage.CHALLENGED);
        emit Challenged(job, made.gpu, due);
    }

    /// @notice The arbiter awards a challenged claim `units` in all, which may be anything up to what was claimed. Less bars
    /// the job from further claims.
    function resolve(bytes32 job, uint64 units) external nonReentrant {
        require(msg.sender == policy.arbiter(), NotArbiter(msg.sender));
        Claim memory made = claims[job];
        require(made.stage == Stage.CHALLENGED, WrongStage(made.stage));
        require(block.timestamp <= made.due, TooLate(made.due));
        require(units <= made.units, JobOverrun(made.units, units));
        _end(job, made, units, units < made.units);
    }

    /// @notice After its time is over, an unchallenged claim is paid, and a challenged one that the arbiter left undecided is
    /// dropped. Anyone may call.
    function finalize(bytes32 job) external nonReentrant {
        Claim memory made = claims[job];
        require(made.stage == Stage.CLAIMED || made.stage == Stage.CHALLENGED, WrongStage(made.stage));
        require(block.timestamp > made.due, TooEarly(made.due));
        bool dropped = made.stage == Stage.CHALLENGED;
        _end(job, made, dropped ? 0 : made.units, dropped);
    }

    /// @notice The digest the renter signs to challenge.
    function challengeDigest(bytes32 job, uint256 gpu, uint64 units) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CHALLENGE_TYPEHASH, job, gpu, units)));
    }

    /// @notice The digest a GPU's holder or operator signs to claim.
    function claimDigest(Voucher calldata work) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CLAIM_TYPEHASH, work.job, work.gpu, work.units, work.receiptsRoot)));
    }

    /// @inheritdoc EscrowJobs
    function _claimed(bytes32 job) internal view override returns (bool) {
        Stage stage = claims[job].stage;
        return stage == Stage.CLAIMED || stage == Stage.CHALLENGED;
    }

    /// @dev Pays up to `units`, as far as vouchers have not paid them meanwhile and the job has them left.
    function _end(bytes32 job, Claim memory made, uint256 units, bool barred) private {
        Job memory held = _openJob(job);
        uint256 before = unitsPaid[job][made.gpu];
        uint256 most = before + held.units - held.used;
        if (units > most) units = most;
        claims[job] = Claim(0, 0, 0, barred ? Stage.BARRED : Stage.NONE);
        if (units > before) {
            Voucher memory work = Voucher(job, made.gpu, uint64(units), 0);
            _pay(held, work);
        }
        emit ClaimEnded(job, made.gpu, unitsPaid[job][made.gpu], barred);
    }

    function _requireOwner(
        uint8 wanted,
        Voucher calldata work,
        bytes32 hardware,
        bytes calldata signature
    ) private view {
        (uint8 tier, address holder, ) = registry.payout(work.gpu);
        require(holder != address(0), NoSuchAccount(work.gpu));
        require(tier == wanted, WrongTier(wanted, tier));
        bytes32 digest = claimDigest(work);
        if (Signatures.made(holder, digest, signature)) return;
        address operator = registry.operatorOf(work.gpu, hardware);
        require(operator != address(0) && Signatures.made(operator, digest, signature), ClaimNotSigned());
    }
}
