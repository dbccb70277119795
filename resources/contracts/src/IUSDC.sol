// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title What Sublet's contracts ask of the stablecoin: ERC-20 and the EIP-3009 call that takes signature bytes.
interface IUSDC is IERC20 {
    /// @notice Moves `value` from `from` to `to`, who must be the caller, on `from`'s EIP-3009 signature.
    /// @param signature 65 bytes of an externally owned account, or whatever `from`'s ERC-1271 code accepts.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external;
}
