// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title TestUSDC: worthless money that behaves as Circle's FiatTokenV2_2 does.
/// @notice For the practice network only. Six decimals, EIP-2612, EIP-3009 with random nonces, both with the overloads
/// that take signature bytes (ERC-1271), a blacklist and a pause, because real payouts meet both.
contract TestUSDC is ERC20, ERC3009, IERC20Permit, Nonces, Pausable, Ownable {
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    mapping(address account => bool) private _blacklisted;

    /// @notice `account` may no longer send, receive or approve.
    event Blacklisted(address indexed account);
    /// @notice `account` may use the token again.
    event UnBlacklisted(address indexed account);

    /// @notice The account is on the blacklist.
    error AccountBlacklisted(address account);
    /// @notice The permit's time has passed.
    error PermitExpired(uint256 deadline);
    /// @notice The permit is not signed by the owner of the money.
    error PermitNotSigned(address owner);

    /// @param owner_ mints, pauses and keeps the blacklist; named, because a factory may be the one that deploys
    constructor(address owner_) ERC20("USD Coin", "USDC") EIP712("USD Coin", "2") Ownable(owner_) {}

    /// @notice Makes `amount` base units (millionths of a dollar) for `to`.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice Stops all movement.
    function pause() external onlyOwner {
        _pause();
    }

    /// @notice Lets money move again.
    function unpause() external onlyOwner {
        _unpause();
    }

    /// @notice Freezes one account.
    function blacklist(address account) external onlyOwner {
        _blacklisted[account] = true;
        emit Blacklisted(account);
    }

    /// @notice Frees one account.
    function unBlacklist(address account) external onlyOwner {
        _blacklisted[account] = false;
        emit UnBlacklisted(account);
    }

    /// @notice Whether `account` is frozen.
    function isBlacklisted(address account) external view returns (bool) {
        return _blacklisted[account];
    }

    /// @notice The version in the EIP-712 domain, as Circle's token answers it.
    function version() external pure returns (string memory) {
        return "2";
    }

    /// @notice Millionths of a dollar.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @inheritdoc IERC20Permit
    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparatorV4();
    }

    /// @inheritdoc IERC20Permit
    function nonces(address owner) public view override(IERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    /// @inheritdoc IERC20Permit
    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        permit(owner, spender, value, deadline, abi.encodePacked(r, s, v));
    }

    /// @notice EIP-2612 with signature bytes, so that a contract wallet can permit too.
    function permit(address owner, address spender, uint256 value, uint256 deadline, bytes memory signature) public {
        require(block.timestamp <= deadline, PermitExpired(deadline));
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, _useNonce(owner), deadline))
        );
        require(SignatureChecker.isValidSignatureNow(owner, digest, signature), PermitNotSigned(owner));
        _approve(owner, spender, value);
    }

    /// @notice EIP-3009 with signature bytes: anyone may send the authorisation.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        _requireSigned(
            from,
            keccak256(abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)),
            signature
        );
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice EIP-3009 with signature bytes: only the receiver may send the authorisation.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes calldata signature
    ) external {
        require(to == _msgSender(), ERC20InvalidReceiver(to));
        _requireSigned(
            from,
            keccak256(abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)),
            signature
        );
        _transferWithAuthorization(from, to, value, validAfter, validBefore, nonce);
    }

    /// @notice EIP-3009 with signature bytes: makes a nonce unusable before it was used.
    function cancelAuthorization(address authorizer, bytes32 nonce, bytes calldata signature) external {
        _requireSigned(
            authorizer,
            keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce)),
            signature
        );
        _cancelAuthorization(authorizer, nonce);
    }

    function _requireSigned(address signer, bytes32 structHash, bytes calldata signature) private view {
        require(
            SignatureChecker.isValidSignatureNowCalldata(signer, _hashTypedDataV4(structHash), signature),
            ERC3009InvalidSignature()
        );
    }

    /// @dev Every movement, minting included, passes here.
    function _update(address from, address to, uint256 value) internal override whenNotPaused {
        require(!_blacklisted[from], AccountBlacklisted(from));
        require(!_blacklisted[to], AccountBlacklisted(to));
        super._update(from, to, value);
    }

    /// @dev A frozen account neither approves nor spends what others approved.
    function _approve(address owner, address spender, uint256 value, bool emitEvent) internal override whenNotPaused {
        require(!_blacklisted[owner], AccountBlacklisted(owner));
        require(!_blacklisted[spender], AccountBlacklisted(spender));
        super._approve(owner, spender, value, emitEvent);
    }
}
