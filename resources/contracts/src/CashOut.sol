// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IUSDC} from "./IUSDC.sol";

/// @title CashOut: an owner without gas money sends stablecoin anywhere, on one signature.
/// @notice The owner signs an EIP-3009 authorisation to this contract whose nonce is the hash of (to, amount, fee, salt).
/// Whoever brings it pays the gas and receives the fee; receiver and fee are what was signed or nothing happens, and both
/// transfers are in one transaction, so that nobody takes the fee alone. The contract never keeps money.
contract CashOut {
    using SafeERC20 for IUSDC;

    /// @notice The stablecoin, fixed.
    IUSDC public immutable usdc;

    /// @notice `to` received `amount - fee` of `from`'s money, `relayer` the fee.
    event CashedOut(address indexed from, address indexed to, uint256 amount, uint256 fee, address indexed relayer);

    /// @notice The fee would eat the whole cash-out.
    error FeeNotBelowAmount(uint256 fee, uint256 amount);
    /// @notice Money sent here would be lost.
    error WrongReceiver(address to);

    /// @param usdc_ the stablecoin this contract forwards
    constructor(IUSDC usdc_) {
        usdc = usdc_;
    }

    /// @notice Moves `amount` from `from`: `amount - fee` to `to`, `fee` to the caller, or nothing at all.
    /// @param salt makes equal cash-outs differ; with it the nonce is {nonceOf}
    /// @param signature `from`'s EIP-3009 ReceiveWithAuthorization to this contract
    function cashOut(
        address from,
        address to,
        uint256 amount,
        uint256 fee,
        bytes32 salt,
        uint256 validAfter,
        uint256 validBefore,
        bytes calldata signature
    ) external {
        require(fee < amount, FeeNotBelowAmount(fee, amount));
        require(to != address(this) && to != address(usdc), WrongReceiver(to));
        usdc.receiveWithAuthorization(
            from,
            address(this),
            amount,
            validAfter,
            validBefore,
            nonceOf(to, amount, fee, salt),
            signature
        );
        usdc.safeTransfer(to, amount - fee);
        if (fee != 0) usdc.safeTransfer(msg.sender, fee);
        emit CashedOut(from, to, amount, fee, msg.sender);
    }

    /// @notice The EIP-3009 nonce that binds a signature to receiver, amount and fee.
    function nonceOf(address to, uint256 amount, uint256 fee, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(to, amount, fee, salt));
    }
}
