// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title HostileToken: stands in for the stablecoin in an escrow of the test's own, and calls back in the middle of a transfer.
/// @notice Real USDC calls nobody; this one calls whom it was told to, as a token with hooks would for a payee.
contract HostileToken {
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    address private _target;
    bytes[] private _calls;
    bool private _busy;

    /// @notice One answer per call made in the middle of a transfer.
    event Answered(bool done, bytes said);

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    /// @notice In the middle of every transfer that is not itself in the middle of one, `target` is called with each of these.
    function arm(address target, bytes[] calldata calls) external {
        _target = target;
        delete _calls;
        for (uint256 i = 0; i < calls.length; ++i) _calls.push(calls[i]);
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    /// @notice Takes any signature.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256,
        uint256,
        bytes32,
        bytes calldata
    ) external {
        _move(from, to, value);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        if (!_busy) {
            _busy = true;
            for (uint256 i = 0; i < _calls.length; ++i) {
                (bool done, bytes memory said) = _target.call(_calls[i]);
                emit Answered(done, said);
            }
            _busy = false;
        }
        balanceOf[to] += amount;
    }
}
