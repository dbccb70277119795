// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title What these tests ask of forge: to be somebody else, at another time, with keys and files.
interface Cheats {
    function prank(address who) external;
    function warp(uint256 timestamp) external;
    function addr(uint256 key) external pure returns (address);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function envOr(string calldata name, string calldata otherwise) external view returns (string memory);
    function toString(uint256 value) external pure returns (string memory);
    function readFile(string calldata path) external view returns (string memory);
    function writeLine(string calldata path, string calldata line) external;
    function keyExistsJson(string calldata json, string calldata key) external view returns (bool);
    function parseJsonUint(string calldata json, string calldata key) external pure returns (uint256);
    function parseJsonUintArray(string calldata json, string calldata key) external pure returns (uint256[] memory);
}

/// @dev The address at which forge listens: the last twenty bytes of keccak256("hevm cheat code").
Cheats constant VM = Cheats(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

/// @title Many throws from one seed, so that each action needs one argument only and shrinks well.
library Dice {
    struct Hand {
        uint256 seed;
    }

    /// @dev From 0 to `sides - 1`.
    function roll(Hand memory hand, uint256 sides) internal pure returns (uint256) {
        hand.seed = uint256(keccak256(abi.encode(hand.seed)));
        return hand.seed % sides;
    }

    /// @dev True once in `times`.
    function once(Hand memory hand, uint256 times) internal pure returns (bool) {
        return roll(hand, times) == 0;
    }
}
