// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title KOfN: several keys that attest together, as a market's attestors would: k signatures of n, by ERC-1271.
contract KOfN {
    uint256 private immutable _k;
    mapping(address account => bool) private _member;

    constructor(uint256 k, address[] memory members) {
        _k = k;
        for (uint256 i = 0; i < members.length; ++i) _member[members[i]] = true;
    }

    /// @notice Good with at least k members' signatures, one after the other, by rising address so that none counts twice.
    function isValidSignature(bytes32 hash, bytes calldata signatures) external view returns (bytes4) {
        if (signatures.length % 65 != 0 || signatures.length / 65 < _k) return 0xffffffff;
        address last;
        for (uint256 at = 0; at < signatures.length; at += 65) {
            bytes calldata one = signatures[at:at + 65];
            address signer = ecrecover(hash, uint8(one[64]), bytes32(one[:32]), bytes32(one[32:64]));
            if (signer <= last || !_member[signer]) return 0xffffffff;
            last = signer;
        }
        return this.isValidSignature.selector;
    }
}
