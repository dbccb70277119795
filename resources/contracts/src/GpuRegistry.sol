// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title GpuRegistry: one token per GPU, and who is paid for its work.
/// @notice The token's holder owns the GPU. Up to eight co-owners hold fixed shares in basis points, carved out of the
/// holder's residual; what rounding leaves over goes to the holder. A share moves only by the hand of the one who holds
/// it, so that selling the token never touches the co-owners. The attestor vouches for hardware and tier; the chain
/// itself cannot see a GPU.
contract GpuRegistry is ERC721, EIP712 {
    /// @notice What is known of one GPU.
    struct Gpu {
        /// Class of the hardware, as the attestor measured it.
        uint8 tier;
        /// Unix seconds.
        uint40 registeredAt;
        /// The holder has taken it out of the market for good.
        bool retired;
        /// How many slots of co-owners are in use.
        uint8 coOwners;
        /// Basis points held by all co-owners together.
        uint16 coBps;
        /// The key that signs receipts on the machine; it holds nothing.
        address operator;
    }

    /// @notice One co-owner's part.
    struct Share {
        address holder;
        uint16 bps;
    }

    /// @notice At most this many co-owners per GPU, so that a payout always fits in a transaction.
    uint256 public constant MAX_CO_OWNERS = 8;
    /// @notice The whole, in basis points.
    uint16 public constant WHOLE = 10_000;

    bytes32 private constant REGISTER_TYPEHASH =
        keccak256("Register(address owner,bytes32 hardware,uint8 tier,address operator,uint256 deadline)");

    /// @notice Signs registrations: an account or an ERC-1271 contract.
    address public immutable attestor;

    /// @notice The GPU registered for a hardware digest, 0 for none.
    mapping(bytes32 hardware => uint256 id) public idOfHardware;
    /// @notice How many GPUs were ever registered; also the newest id.
    uint256 public count;

    mapping(uint256 id => Gpu) private _gpus;
    mapping(uint256 id => mapping(uint256 slot => Share)) private _shares;

    /// @notice A GPU entered the registry.
    event GpuRegistered(
        uint256 indexed id,
        address indexed owner,
        bytes32 indexed hardware,
        uint8 tier,
        address operator
    );
    /// @notice The holder gave a new co-owner `bps` of the residual.
    event ShareGranted(uint256 indexed id, uint256 slot, address indexed to, uint16 bps);
    /// @notice A co-owner passed its share on.
    event ShareMoved(uint256 indexed id, uint256 slot, address indexed from, address indexed to);
    /// @notice Another key signs receipts from now on.
    event OperatorChanged(uint256 indexed id, address operator);
    /// @notice The GPU takes no more work.
    event Retired(uint256 indexed id);

    /// @notice The registration's time has passed.
    error RegistrationExpired(uint256 deadline);
    /// @notice The attestor did not sign this registration.
    error NotAttested();
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

    /// @param attestor_ signs registrations for as long as this contract lives
    constructor(address attestor_) ERC721("Sublet GPU", "SGPU") EIP712("Sublet GpuRegistry", "1") {
        require(attestor_ != address(0), ZeroAddress());
        attestor = attestor_;
    }

    /// @notice Registers a GPU on the attestor's signature, which anyone may bring; ids count from 1.
    /// @param owner receives the token
    /// @param hardware digest that names the physical GPU
    /// @param operator key that will sign receipts; may be changed by the owner
    /// @param deadline last unix second at which the signature counts
    function register(
        address owner,
        bytes32 hardware,
        uint8 tier,
        address operator,
        uint256 deadline,
        bytes calldata attestorSig
    ) external returns (uint256 id) {
        require(block.timestamp <= deadline, RegistrationExpired(deadline));
        require(idOfHardware[hardware] == 0, HardwareTaken(idOfHardware[hardware]));
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(REGISTER_TYPEHASH, owner, hardware, tier, operator, deadline))
        );
        require(SignatureChecker.isValidSignatureNowCalldata(attestor, digest, attestorSig), NotAttested());
        id = ++count;
        idOfHardware[hardware] = id;
        _gpus[id] = Gpu(tier, uint40(block.timestamp), false, 0, 0, operator);
        emit GpuRegistered(id, owner, hardware, tier, operator);
        _mint(owner, id);
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

    /// @notice A co-owner passes the share in `slot` on to `to`.
    function moveShare(uint256 id, uint256 slot, address to) external {
        require(to != address(0), ZeroAddress());
        Share storage share = _shares[id][slot];
        require(share.holder == msg.sender, NotShareHolder(id, slot, msg.sender));
        share.holder = to;
        emit ShareMoved(id, slot, msg.sender, to);
    }

    /// @notice The holder names the key that signs receipts on the machine.
    function setOperator(uint256 id, address operator) external {
        _requireHolder(id);
        _gpus[id].operator = operator;
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

    /// @notice Who is paid for GPU `id`: the token's holder first, with the residual, then the co-owners.
    function payees(uint256 id) external view returns (address[] memory who, uint16[] memory bps) {
        (, who, bps) = payout(id);
    }

    /// @notice All that a payout needs in one call: the tier, and who is paid (see {payees}).
    function payout(uint256 id) public view returns (uint8 tier, address[] memory who, uint16[] memory bps) {
        address holder = _requireOwned(id);
        Gpu storage g = _gpus[id];
        uint256 coOwners = g.coOwners;
        tier = g.tier;
        who = new address[](coOwners + 1);
        bps = new uint16[](coOwners + 1);
        who[0] = holder;
        bps[0] = WHOLE - g.coBps;
        for (uint256 slot = 0; slot < coOwners; ++slot) {
            Share storage share = _shares[id][slot];
            who[slot + 1] = share.holder;
            bps[slot + 1] = share.bps;
        }
    }

    /// @notice The digest the attestor signs for a registration.
    function registerDigest(
        address owner,
        bytes32 hardware,
        uint8 tier,
        address operator,
        uint256 deadline
    ) external view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REGISTER_TYPEHASH, owner, hardware, tier, operator, deadline)));
    }

    function _requireHolder(uint256 id) private view {
        require(_requireOwned(id) == msg.sender, NotGpuOwner(id, msg.sender));
    }
}
