// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Votes} from "@openzeppelin/contracts/token/ERC721/extensions/ERC721Votes.sol";
import {Votes} from "@openzeppelin/contracts/governance/utils/Votes.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ERC6372Utils} from "@openzeppelin/contracts/utils/ERC6372Utils.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";
import {MarketPolicy} from "./MarketPolicy.sol";
import {Signatures} from "./Signatures.sol";

/// @title GpuRegistry: one token per GPU, who is paid for its work, and one vote for its owner.
/// @notice The token's holder owns the GPU. Up to eight co-owners hold fixed shares in basis points, carved out of the
/// holder's residual; what rounding leaves over goes to the holder. A share moves only by the hand of the one who holds
/// it, so that selling the token never touches the co-owners.
///
/// Work is paid to an *account*: the GPU's id with the number of times it has changed hands or tier above it, `id | era <<
/// 40`. A GPU that was never sold has its id for an account. What was earned on an account is paid to those who owned the
/// GPU then, however late the payment comes, so that selling the token never moves earnings already earned.
///
/// An attestor of the market vouches for hardware and tier; the chain itself cannot see a GPU.
contract GpuRegistry is ERC721, ERC721Votes {
    /// @notice What is known of one GPU, all in one slot, because every payout reads it.
    struct Gpu {
        /// The token's holder, as {ownerOf} says too.
        address holder;
        /// Class of the hardware, as an attestor measured it.
        uint8 tier;
        /// How many slots of co-owners are in use.
        uint8 coOwners;
        /// Basis points held by all co-owners together.
        uint16 coBps;
        /// How often the GPU has changed hands or tier.
        uint24 era;
        /// The holder has taken it out of the market for good.
        bool retired;
        /// Unix seconds.
        uint32 registeredAt;
    }

    /// @notice What is known of a piece of hardware.
    struct Machine {
        /// Its GPU, 0 for none.
        uint40 id;
        /// The era in which the operator was named; it speaks for no other.
        uint24 era;
        /// The key that signs receipts on the machine; it holds nothing.
        address operator;
    }

    /// @notice One co-owner's part.
    struct Share {
        address holder;
        uint16 bps;
    }

    /// @notice An account's part of {Gpu} that outlives its era.
    struct Past {
        address holder;
        uint8 tier;
        uint8 coOwners;
    }

    /// @notice At most this many co-owners per GPU, so that a payout always fits in a transaction.
    uint256 public constant MAX_CO_OWNERS = 8;
    /// @notice The whole, in basis points.
    uint16 public constant WHOLE = 10_000;

    uint256 private constant ID_BITS = 40;
    uint256 private constant ID_MASK = (1 << ID_BITS) - 1;
    bytes32 private constant REGISTER_TYPEHASH =
        keccak256("Register(address owner,bytes32 hardware,uint8 tier,address operator,uint256 deadline)");
    bytes32 private constant SET_TIER_TYPEHASH = keccak256("SetTier(uint256 account,uint8 tier,uint256 deadline)");

    /// @notice Says who may attest.
    MarketPolicy public immutable policy;

    /// @notice What is registered under a hardware digest.
    mapping(bytes32 hardware => Machine) public machines;
    /// @notice How many GPUs were ever registered; also the newest id.
    uint256 public count;

    mapping(uint256 id => Gpu) private _gpus;
    mapping(uint256 id => mapping(uint256 slot => Share)) private _shares;
    mapping(uint256 account => Past) private _past;

    /// @notice A GPU entered the registry; the Transfer that follows names its owner.
    event GpuRegistered(uint256 indexed id, bytes32 indexed hardware, uint8 tier, address operator);
    /// @notice The holder gave a new co-owner `bps` of the residual.
    event ShareGranted(uint256 indexed id, uint256 slot, address indexed to, uint16 bps);
    /// @notice A co-owner passed its share on.
    event ShareMoved(uint256 indexed id, uint256 slot, address indexed from, address indexed to);
    /// @notice Another key signs receipts from now on.
    event OperatorChanged(uint256 indexed id, address operator);
    /// @notice The GPU is of another tier from now on.
    event TierChanged(uint256 indexed id, uint8 tier);
    /// @notice Work done from now on is paid to `account`; what was earned before stays with the account before.
    event AccountChanged(uint256 indexed id, uint256 account);
    /// @notice The GPU takes no more work.
    event Retired(uint256 indexed id);

    /// @notice The attestor's signature has run out.
    error AttestationExpired(uint256 deadline);
    /// @notice `attestor` is none of this market, or did not sign this.
    error NotAttested(address attestor);
    /// @notice This hardware has its token already.
    error HardwareTaken(uint256 id);
    /// @notice Only the token's holder may do this.
    error NotGpuOwner(uint256 id, address caller);
    /// @notice Only the share's holder may move it.
    error NotShareHolder(uint256 id, uint256 slot, address caller);
    /// @notice All co-owner slots are in use.
    error TooManyCoOwners(uint256 id);
    /// @notice A share is at least one basis point and at most what the holder has left.
    error ShareOutOfRange(uint256 bps, uint256 left);
    /// @notice The zero address cannot hold anything.
    error ZeroAddress();

    constructor(MarketPolicy policy_) ERC721("Sublet GPU", "SGPU") EIP712("Sublet GpuRegistry", "1") {
        require(address(policy_) != address(0), ZeroAddress());
        policy = policy_;
    }

    /// @notice Registers a GPU on an attestor's signature, which anyone may bring; ids count from 1. The owner's vote counts
    /// at once.
    /// @param owner receives the token
    /// @param hardware digest that names the physical GPU
    /// @param operator key that will sign receipts; may be changed by the owner
    /// @param deadline last unix second at which the signature counts
    /// @param attestor who signed {registerDigest}
    function register(
        address owner,
        bytes32 hardware,
        uint8 tier,
        address operator,
        uint256 deadline,
        address attestor,
        bytes calldata signature
    ) external returns (uint256 id) {
        uint256 taken = machines[hardware].id;
        require(taken == 0, HardwareTaken(taken));
        _requireAttested(attestor, deadline, registerDigest(owner, hardware, tier, operator, deadline), signature);
        id = ++count;
        machines[hardware] = Machine(uint40(id), 0, operator);
        _gpus[id] = Gpu(owner, tier, 0, 0, 0, false, uint32(block.timestamp));
        emit GpuRegistered(id, hardware, tier, operator);
        _mint(owner, id);
    }

    /// @notice Puts a GPU into another tier on an attestor's signature over a new measurement, which anyone may bring. It
    /// begins a new account, so that work done in the old tier is still paid.
    function setTier(
        uint256 id,
        uint8 tier,
        uint256 deadline,
        address attestor,
        bytes calldata signature
    ) external {
        _requireAttested(attestor, deadline, setTierDigest(accountOf(id), tier, deadline), signature);
        _beginEra(id);
        _gpus[id].tier = tier;
        emit TierChanged(id, tier);
    }

    /// @notice The holder gives `to` a lasting share of `bps` basis points, out of its own residual.
    function grantShare(uint256 id, address to, uint16 bps) external returns (uint256 slot) {
        _requireHolder(id);
        require(to != address(0), ZeroAddress());
        Gpu storage g = _gpus[id];
        slot = g.coOwners;
        require(slot < MAX_CO_OWNERS, TooManyCoOwners(id));
        uint16 left = WHOLE - g.coBps;
        require(bps != 0 && bps <= left, ShareOutOfRange(bps, left));
        g.coOwners = uint8(slot + 1);
        g.coBps += bps;
        _shares[id][slot] = Share(to, bps);
        emit ShareGranted(id, slot, to, bps);
    }

    /// @notice A co-owner passes the share in `slot` on to `to`, with what it has earned and was not yet paid.
    function moveShare(uint256 id, uint256 slot, address to) external {
        require(to != address(0), ZeroAddress());
        Share storage share = _shares[id][slot];
        require(share.holder == msg.sender, NotShareHolder(id, slot, msg.sender));
        share.holder = to;
        emit ShareMoved(id, slot, msg.sender, to);
    }

    /// @notice The holder names the key that signs receipts on the machine. After a sale the new holder has to, because the
    /// old key speaks no more.
    function setOperator(bytes32 hardware, address operator) external {
        uint256 id = machines[hardware].id;
        _requireHolder(id);
        machines[hardware] = Machine(uint40(id), _gpus[id].era, operator);
        emit OperatorChanged(id, operator);
    }

    /// @notice The holder takes the GPU out of the market for good; work already done is still paid.
    function retire(uint256 id) external {
        _requireHolder(id);
        _gpus[id].retired = true;
        emit Retired(id);
    }

    /// @notice What is known of GPU `id`; refuses ids that do not exist.
    function gpu(uint256 id) external view returns (Gpu memory) {
        _requireOwned(id);
        return _gpus[id];
    }

    /// @notice The key that may speak for an account, 0 for none: that of the account's hardware, if it was named in the
    /// account's era and the account is still the GPU's present one.
    function operatorOf(uint256 account, bytes32 hardware) external view returns (address) {
        Machine memory machine = machines[hardware];
        bool present = machine.id == account & ID_MASK && _gpus[machine.id].era == account >> ID_BITS;
        return present && machine.era == account >> ID_BITS ? machine.operator : address(0);
    }

    /// @notice The account that work done now is paid to.
    function accountOf(uint256 id) public view returns (uint256) {
        _requireOwned(id);
        return id | (uint256(_gpus[id].era) << ID_BITS);
    }

    /// @notice Who is paid for work on `account`, with basis points: the holder of its era first, with the residual, then
    /// the co-owners. Empty for an account that never was.
    function payees(uint256 account) external view returns (address[] memory who, uint16[] memory bps) {
        (, address holder, uint256 coOwners) = payout(account);
        if (holder == address(0)) return (who, bps);
        Share[] memory shares = sharesOf(account, coOwners);
        who = new address[](coOwners + 1);
        bps = new uint16[](coOwners + 1);
        (who[0], bps[0]) = (holder, WHOLE);
        for (uint256 slot = 0; slot < coOwners; ++slot) {
            (who[slot + 1], bps[slot + 1]) = (shares[slot].holder, shares[slot].bps);
            bps[0] -= shares[slot].bps;
        }
    }

    /// @notice What a payout needs, in one call that never reverts: tier and holder of the account's era, and how many
    /// co-owners there were. The holder is zero for an account that never was.
    function payout(uint256 account) public view returns (uint8 tier, address holder, uint256 coOwners) {
        Gpu storage g = _gpus[account & ID_MASK];
        if (account >> ID_BITS == g.era) return (g.tier, g.holder, g.coOwners);
        Past storage past = _past[account];
        return (past.tier, past.holder, past.coOwners);
    }

    /// @notice The first `coOwners` shares of an account's GPU.
    function sharesOf(uint256 account, uint256 coOwners) public view returns (Share[] memory shares) {
        shares = new Share[](coOwners);
        mapping(uint256 slot => Share) storage slots = _shares[account & ID_MASK];
        for (uint256 slot = 0; slot < coOwners; ++slot) shares[slot] = slots[slot];
    }

    /// @notice The digest an attestor signs for a registration.
    function registerDigest(
        address owner,
        bytes32 hardware,
        uint8 tier,
        address operator,
        uint256 deadline
    ) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REGISTER_TYPEHASH, owner, hardware, tier, operator, deadline)));
    }

    /// @notice The digest an attestor signs for a change of tier; it names the account, so that it counts once.
    function setTierDigest(uint256 account, uint8 tier, uint256 deadline) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(SET_TIER_TYPEHASH, account, tier, deadline)));
    }

    /// @notice Votes count by time, not by blocks, because blocks come at different paces on different chains (ERC-6372).
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    /// @inheritdoc Votes
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public view override returns (string memory) {
        return ERC6372Utils.timestampClockMode(clock());
    }

    /// @notice Who votes for `account`: itself, until it names another. No step to forget, so that every GPU has a vote.
    function delegates(address account) public view override returns (address) {
        if (account == address(0)) return account; // asked at every registration
        address named = super.delegates(account);
        return named == address(0) ? account : named;
    }

    /// @dev Naming nobody is taking the vote back; counted otherwise, the votes would be gone from the total of delegates
    /// and a later transfer could not subtract them.
    function _delegate(address account, address delegatee) internal override {
        super._delegate(account, delegatee == address(0) ? account : delegatee);
    }

    /// @dev A GPU in new hands begins a new era.
    function _update(address to, uint256 id, address auth) internal override(ERC721, ERC721Votes) returns (address from) {
        from = super._update(to, id, auth);
        if (from == address(0) || from == to) return from;
        _beginEra(id);
        _gpus[id].holder = to;
    }

    function _increaseBalance(address account, uint128 amount) internal override(ERC721, ERC721Votes) {
        super._increaseBalance(account, amount);
    }

    /// @dev Keeps for ever who is paid for the account so far.
    function _beginEra(uint256 id) private {
        Gpu storage g = _gpus[id];
        _past[id | (uint256(g.era) << ID_BITS)] = Past(g.holder, g.tier, g.coOwners);
        ++g.era;
        emit AccountChanged(id, id | (uint256(g.era) << ID_BITS));
    }

    function _requireAttested(address attestor, uint256 deadline, bytes32 digest, bytes calldata signature) private view {
        require(block.timestamp <= deadline, AttestationExpired(deadline));
        require(
            policy.isAttestor(attestor) && Signatures.made(attestor, digest, signature),
            NotAttested(attestor)
        );
    }

    function _requireHolder(uint256 id) private view {
        require(_requireOwned(id) == msg.sender, NotGpuOwner(id, msg.sender));
    }
}
