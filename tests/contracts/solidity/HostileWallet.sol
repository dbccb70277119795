// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title HostileWallet: a contract wallet whose owner decides how it answers when somebody asks for its signature.
contract HostileWallet {
    enum Mood {
        YES,
        NO,
        REVERTS,
        BURNS,
        GARBAGE,
        SHORT,
        BOMB,
        REENTERS
    }

    Mood private _mood;
    address private _target;
    bytes private _data;

    /// @notice From now on the wallet answers in this way; `target` is called with `data` by {Mood-REENTERS}.
    function become(Mood mood, address target, bytes calldata data) external {
        (_mood, _target, _data) = (mood, target, data);
    }

    /// @notice Does something in the wallet's name.
    function execute(address target, bytes calldata data) external {
        (bool done, bytes memory said) = target.call(data);
        if (!done) {
            assembly {
                revert(add(said, 0x20), mload(said))
            }
        }
    }

    /// @notice ERC-1271, in the wallet's mood.
    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        Mood mood = _mood;
        if (mood == Mood.REVERTS) revert("no comment");
        if (mood == Mood.NO) return 0xffffffff;
        if (mood == Mood.BURNS) {
            assembly {
                invalid()
            }
        }
        if (mood == Mood.GARBAGE) {
            assembly {
                mstore(0, not(0))
                return(0, 0x20)
            }
        }
        if (mood == Mood.SHORT) {
            assembly {
                mstore(0, shl(224, 0x1626ba7e))
                return(0, 4)
            }
        }
        if (mood == Mood.BOMB) {
            assembly {
                return(0, 100000)
            }
        }
        if (mood == Mood.REENTERS) {
            (bool done, ) = _target.call(_data);
            require(done, "the call was refused");
        }
        return 0x1626ba7e;
    }
}
