// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GpuRegistry} from "market/GpuRegistry.sol";
import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {IUSDC} from "market/IUSDC.sol";
import {MarketPolicy} from "market/MarketPolicy.sol";
import {TaskEscrow} from "market/TaskEscrow.sol";
import {TestUSDC} from "market/TestUSDC.sol";
import {Dice, VM} from "./Cheats.sol";

/// @title A contract wallet: it says yes to what its one key signed (ERC-1271).
contract Wallet {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s, uint8 v) = (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        return ecrecover(digest, v, r, s) == _owner ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @title A whole market and a crowd with keys and money: the stage on which the actions play.
/// @dev Anybody in the crowd may be renter, owner, co-owner, treasury and arbiter, also all at once. This contract itself is the
/// policy's owner and the stablecoin's.
abstract contract World {
    using Dice for Dice.Hand;

    uint256 internal constant CROWD = 12;
    uint256 internal constant PURSE = 1 << 60;
    uint256 internal constant HOUR = 3_600_000;
    bytes32 private constant RECEIVE_TYPEHASH =
        keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );

    TestUSDC public immutable usdc;
    MarketPolicy public immutable policy;
    GpuRegistry public immutable registry;
    TaskEscrow public immutable escrow;
    /// @dev A second escrow over the same registry and money: what is signed for it is worth nothing at the first.
    TaskEscrow internal immutable _twin;

    address[] public people;
    address[2] internal _attestors;
    address internal immutable _guardian;
    mapping(address who => uint256 key) private _keys;

    constructor() {
        VM.warp(1_800_000_000);
        usdc = new TestUSDC(address(this));
        for (uint256 i = 0; i < CROWD; ++i) {
            address who = _person(1_000 + i);
            people.push(i == 0 ? address(new Wallet(who)) : who);
            _keys[people[i]] = 1_000 + i;
            usdc.mint(people[i], PURSE);
        }
        _attestors = [_person(2_000), _person(2_001)];
        _guardian = _person(2_002);
        policy = new MarketPolicy(
            MarketPolicy.Start(address(this), people[1], people[2], _guardian, _attestors[0], 10, 1 << 56)
        );
        policy.setAttestor(_attestors[1], true);
        for (uint8 tier = 1; tier <= 3; ++tier) policy.setBounds(tier, 1, type(uint48).max);
        registry = new GpuRegistry(policy);
        escrow = new TaskEscrow(IUSDC(address(usdc)), registry);
        _twin = new TaskEscrow(IUSDC(address(usdc)), registry);
        for (uint256 i = 0; i < CROWD; ++i) {
            VM.prank(people[i]);
            usdc.approve(address(escrow), type(uint256).max);
        }
    }

    function _person(uint256 key) private returns (address who) {
        who = VM.addr(key);
        _keys[who] = key;
    }

    function _anyone(Dice.Hand memory hand) internal view returns (address) {
        return people[hand.roll(CROWD)];
    }

    function _attestor(Dice.Hand memory hand) internal view returns (address) {
        return _attestors[hand.roll(2)];
    }

    function _signed(address who, bytes32 digest) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(_keys[who], digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev An EIP-3009 authorisation to the escrow, good for ever.
    function _authorized(address from, uint256 value, bytes32 nonce) internal view returns (bytes memory) {
        bytes32 form = keccak256(
            abi.encode(RECEIVE_TYPEHASH, from, address(escrow), value, 0, type(uint256).max, nonce)
        );
        return _signed(from, keccak256(abi.encodePacked(hex"1901", usdc.DOMAIN_SEPARATOR(), form)));
    }
}
