// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {VM} from "./Cheats.sol";
import {World} from "./World.sol";

/// @title `tests/contracts/vectors.json` through the real escrow: escrow, gross, fee and every payee's part, to the micro-dollar.
/// @dev The same file is run through `core/money.py` in Python.
contract VectorsTest is World {
    string private _json;

    function setUp() public {
        _json = VM.readFile("tests/contracts/vectors.json");
    }

    /// @dev Every vector in a market of its own GPU, all in one escrow.
    function test_every_vector() external {
        uint256 count = 0;
        for (; VM.keyExistsJson(_json, _at(count, "")); ++count) _play(count);
        require(count >= 8, "vectors are missing");
    }

    function _play(uint256 number) private {
        (uint256 gpu, uint256 coOwners) = _gpu(number);
        policy.setFee(uint16(_number(_at(number, ".bps"))));
        ITaskEscrow.Terms memory terms;
        (terms.renter, terms.tier, terms.gpu) = (people[0], 1, uint64(gpu));
        (terms.rate, terms.units) = (uint64(_number(_at(number, ".rate"))), uint64(_number(_at(number, ".units"))));
        terms.deadline = uint64(block.timestamp + 1 days);
        uint256 held = usdc.balanceOf(address(escrow));
        VM.prank(people[0]);
        bytes32 job = escrow.open(terms);
        held = usdc.balanceOf(address(escrow)) - held;
        _same(held, _number(_at(number, ".escrow")), number, "escrow");
        string memory step = _at(number, ".steps[0]");
        for (uint256 i = 0; VM.keyExistsJson(_json, step); ) {
            _pay(number, step, ITaskEscrow.Voucher(job, gpu, uint64(_number(string.concat(step, ".units"))), 0), coOwners);
            step = _at(number, string.concat(".steps[", VM.toString(++i), "]"));
        }
    }

    function _pay(uint256 number, string memory step, ITaskEscrow.Voucher memory voucher, uint256 coOwners) private {
        ITaskEscrow.Job memory before = escrow.jobs(voucher.job);
        uint256[] memory parts = VM.parseJsonUintArray(_json, string.concat(step, ".parts"));
        _same(parts.length, coOwners + 1, number, "number of parts");
        uint256[] memory had = new uint256[](parts.length);
        for (uint256 i = 0; i < parts.length; ++i) had[i] = usdc.balanceOf(people[i + 1]);
        escrow.redeem(voucher, _signed(people[0], escrow.voucherDigest(voucher)));
        for (uint256 i = 0; i < parts.length; ++i) _same(usdc.balanceOf(people[i + 1]) - had[i], parts[i], number, "part");
        ITaskEscrow.Job memory job = escrow.jobs(voucher.job);
        _same(before.held - job.held, _number(string.concat(step, ".gross")), number, "gross");
        _same(job.fees - before.fees, _number(string.concat(step, ".fee")), number, "fee");
    }

    /// @dev A GPU of the second in the crowd, with the vector's shares for those after.
    function _gpu(uint256 number) private returns (uint256 gpu, uint256 coOwners) {
        uint256[] memory shares = VM.parseJsonUintArray(_json, _at(number, ".shares"));
        bytes32 hardware = bytes32(number + 1);
        bytes32 digest = registry.registerDigest(people[1], hardware, 1, people[1], block.timestamp);
        bytes memory signature = _signed(_attestors[0], digest);
        gpu = registry.register(people[1], hardware, 1, people[1], block.timestamp, _attestors[0], signature);
        for (uint256 i = 0; i < shares.length; ++i) {
            VM.prank(people[1]);
            registry.grantShare(gpu, people[i + 2], uint16(shares[i]));
        }
        return (gpu, shares.length);
    }

    function _at(uint256 number, string memory key) private pure returns (string memory) {
        return string.concat("$[", VM.toString(number), "]", key);
    }

    function _number(string memory key) private view returns (uint256) {
        return VM.parseJsonUint(_json, key);
    }

    function _same(uint256 found, uint256 ought, uint256 number, string memory what) private pure {
        string memory where = string.concat("vector ", VM.toString(number), ": ", what, " ");
        require(found == ought, string.concat(where, VM.toString(found), ", not ", VM.toString(ought)));
    }
}
