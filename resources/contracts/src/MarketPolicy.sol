// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {RateLimiter} from "@openzeppelin/contracts/utils/RateLimiter.sol";

/// @title MarketPolicy: the few figures and names that the market's owners may change, each within a bound that is code.
/// @notice Owned by the timelock, so that every change was voted on and could be seen coming. What is set here applies to
/// jobs opened afterwards; a job keeps the fee it was opened with. The guardian may stop new jobs and nothing else: no role
/// can stop a payout or a refund, because the escrow asks this contract about neither.
contract MarketPolicy is Ownable {
    using RateLimiter for RateLimiter.RefillingBucket;

    /// @notice Between what a tier's rate may be locked, in micro-dollars per GPU-hour; a ceiling of 0: not traded.
    struct Bounds {
        uint64 floor;
        uint64 ceiling;
    }

    /// @notice No fee may ever be above one per cent.
    uint16 public constant MAX_FEE_BPS = 100;
    /// @notice Seconds in which an attestor's allowance refills.
    uint48 public constant ALLOWANCE_WINDOW = 1 days;

    /// @notice The fee in basis points that jobs opened from now on pay.
    uint16 public feeBps;
    /// @notice Whether new jobs are refused.
    bool public paused;
    /// @notice Where the fees go.
    address public treasury;
    /// @notice Decides what a renter has challenged.
    address public arbiter;
    /// @notice May stop new jobs.
    address public guardian;
    /// @notice Whether an account or ERC-1271 contract (k of n) may attest hardware and finished work.
    mapping(address account => bool) public isAttestor;
    /// @notice The bounds of each tier's rate.
    mapping(uint8 tier => Bounds) public bounds;

    RateLimiter.RefillingBucket private _allowance;

    /// @notice Jobs opened from now on pay this fee.
    event FeeSet(uint16 feeBps);
    /// @notice Fees go here from now on.
    event TreasurySet(address treasury);
    /// @notice This account decides challenges from now on.
    event ArbiterSet(address arbiter);
    /// @notice This account may stop new jobs from now on.
    event GuardianSet(address guardian);
    /// @notice The account became an attestor, or is none any more.
    event AttestorSet(address indexed account, bool trusted);
    /// @notice What each attestor may have paid out within a day, in micro-dollars.
    event AllowanceSet(uint208 perDay);
    /// @notice New jobs of the tier must offer a rate within these bounds.
    event BoundsSet(uint8 indexed tier, uint64 floor, uint64 ceiling);
    /// @notice New jobs are refused from now on, or taken again.
    event PauseSet(bool paused);

    /// @notice The fee is above the cap.
    error FeeAboveCap(uint256 feeBps);
    /// @notice The zero address cannot hold anything.
    error ZeroAddress();
    /// @notice A floor may not be above its ceiling.
    error BoundsCrossed(uint256 floor, uint256 ceiling);
    /// @notice Only the guardian or the owner may do this.
    error NotGuardian(address caller);
    /// @notice The account is no attestor of this market.
    error NotAttestor(address account);

    /// @notice What the constructor sets; each can be changed by the owner later, by its own function.
    struct Start {
        address owner;
        address treasury;
        address arbiter;
        address guardian;
        address attestor;
        uint16 feeBps;
        /// Micro-dollars an attestor may have paid out within a day.
        uint208 allowance;
    }

    constructor(Start memory start) Ownable(start.owner) {
        _setFee(start.feeBps);
        _setTreasury(start.treasury);
        _setArbiter(start.arbiter);
        _setGuardian(start.guardian);
        _setAttestor(start.attestor, true);
        _setAllowance(start.allowance);
    }

    /// @notice Sets the fee of jobs to come.
    function setFee(uint16 feeBps_) external onlyOwner {
        _setFee(feeBps_);
    }

    /// @notice Sets where fees go.
    function setTreasury(address treasury_) external onlyOwner {
        _setTreasury(treasury_);
    }

    /// @notice Sets who decides challenges.
    function setArbiter(address arbiter_) external onlyOwner {
        _setArbiter(arbiter_);
    }

    /// @notice Sets who may stop new jobs.
    function setGuardian(address guardian_) external onlyOwner {
        _setGuardian(guardian_);
    }

    /// @notice Trusts an attestor, or trusts it no more; from that second on, open jobs included.
    function setAttestor(address account, bool trusted) external onlyOwner {
        _setAttestor(account, trusted);
    }

    /// @notice Sets what each attestor may have paid out within a day, in micro-dollars. A full allowance refills while it is
    /// drawn on, so that the first day may see twice as much.
    function setAllowance(uint208 perDay) external onlyOwner {
        _setAllowance(perDay);
    }

    /// @notice Sets between what a tier's rate may be locked by jobs to come; a ceiling of 0 ends the tier's trade.
    function setBounds(uint8 tier, uint64 floor, uint64 ceiling) external onlyOwner {
        require(floor <= ceiling, BoundsCrossed(floor, ceiling));
        bounds[tier] = Bounds(floor, ceiling);
        emit BoundsSet(tier, floor, ceiling);
    }

    /// @notice The guardian stops new jobs, or takes them again.
    function setPaused(bool paused_) external {
        require(msg.sender == guardian || msg.sender == owner(), NotGuardian(msg.sender));
        paused = paused_;
        emit PauseSet(paused_);
    }

    /// @notice Draws `amount` micro-dollars from what `attestor` may have paid out through the caller within a day. Each
    /// caller draws from an allowance of its own, so that a stranger's calls cost nobody anything.
    function draw(address attestor, uint256 amount) external {
        require(isAttestor[attestor], NotAttestor(attestor));
        _allowance.consume(_drawer(msg.sender, attestor), amount);
    }

    /// @notice What `attestor` may still have paid out through `escrow` now, in micro-dollars; 0 for who is no attestor.
    function available(address escrow, address attestor) external view returns (uint256) {
        return isAttestor[attestor] ? _allowance.available(_drawer(escrow, attestor)) : 0;
    }

    /// @notice What each attestor may have paid out within a day, in micro-dollars.
    function allowance() external view returns (uint208) {
        return _allowance._capacity;
    }

    /// @notice What the escrow asks when a job is opened, in one call.
    function offer(uint8 tier) external view returns (uint16 fee, bool closed, uint64 floor, uint64 ceiling) {
        Bounds memory range = bounds[tier];
        return (feeBps, paused, range.floor, range.ceiling);
    }

    function _setFee(uint16 feeBps_) private {
        require(feeBps_ <= MAX_FEE_BPS, FeeAboveCap(feeBps_));
        feeBps = feeBps_;
        emit FeeSet(feeBps_);
    }

    function _setTreasury(address treasury_) private {
        require(treasury_ != address(0), ZeroAddress());
        treasury = treasury_;
        emit TreasurySet(treasury_);
    }

    function _setArbiter(address arbiter_) private {
        require(arbiter_ != address(0), ZeroAddress());
        arbiter = arbiter_;
        emit ArbiterSet(arbiter_);
    }

    function _setGuardian(address guardian_) private {
        guardian = guardian_; // the zero address: nobody
        emit GuardianSet(guardian_);
    }

    function _setAttestor(address account, bool trusted) private {
        require(account != address(0), ZeroAddress());
        isAttestor[account] = trusted;
        emit AttestorSet(account, trusted);
    }

    function _setAllowance(uint208 perDay) private {
        _allowance.updateSettings(ALLOWANCE_WINDOW, perDay);
        emit AllowanceSet(perDay);
    }

    function _drawer(address escrow, address attestor) private pure returns (bytes32) {
        return keccak256(abi.encode(escrow, attestor));
    }
}
