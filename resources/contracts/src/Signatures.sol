// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// @title Signatures: whether somebody, a key or a contract wallet, signed something.
/// @dev As OpenZeppelin's SignatureChecker, but the key is tried first, which spares keys the look at their code, and an
/// account with code (EIP-7702) may go on signing with its key.
library Signatures {
    function made(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        (address found, ECDSA.RecoverError trouble, ) = ECDSA.tryRecoverCalldata(digest, signature);
        if (trouble == ECDSA.RecoverError.NoError && found == signer) return true;
        return SignatureChecker.isValidERC1271SignatureNowCalldata(signer, digest, signature);
    }
}
