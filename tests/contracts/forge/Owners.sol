// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GpuRegistry} from "market/GpuRegistry.sol";
import {Dice} from "./Cheats.sol";
import {Guard, Model} from "./Model.sol";

/// @title What owners and co-owners do: register, share, sell, be measured again, name keys and delegates.
abstract contract Owners is Model {
    using Dice for Dice.Hand;

    uint256 private constant MAX_GPUS = 6;

    mapping(uint256 id => address) internal _operators;
    mapping(uint256 id => uint256) internal _operatorEras;
    mapping(address who => address) internal _delegates;
    mapping(uint256 id => bool) internal _retired;
    mapping(address who => bool) internal _trusted;

    constructor() {
        for (uint256 i = 0; i < CROWD; ++i) _delegates[people[i]] = people[i];
        (_trusted[_attestors[0]], _trusted[_attestors[1]]) = (true, true);
    }

    /// @dev Also hardware that has its token already, forged attestations and such that ran out.
    function register(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        uint256 number = _gpus < MAX_GPUS && !hand.once(4) ? _gpus + 1 : 1 + hand.roll(_gpus + 1);
        if (number > MAX_GPUS) return;
        (address owner, address operator, address attestor) = (_anyone(hand), _anyone(hand), _attestor(hand));
        uint8 tier = uint8(1 + hand.roll(2));
        uint256 deadline = hand.once(8) ? block.timestamp - 1 : block.timestamp;
        bytes32 digest = registry.registerDigest(owner, _hardware(number), tier, operator, deadline);
        address signer = hand.once(8) ? owner : attestor;
        bytes4 expected;
        if (number <= _gpus) expected = GpuRegistry.HardwareTaken.selector;
        else if (deadline < block.timestamp) expected = GpuRegistry.AttestationExpired.selector;
        else if (!_trusted[attestor] || signer != attestor) expected = GpuRegistry.NotAttested.selector;
        bytes memory call = abi.encodeCall(
            registry.register,
            (owner, _hardware(number), tier, operator, deadline, attestor, _signed(signer, digest))
        );
        if (!_try(_anyone(hand), address(registry), call, expected, Guard.TOKENS, "register")) return;
        _gpus = number;
        _accounts[number] = Account(owner, tier, 0);
        _everyAccount.push(number);
        _operators[number] = operator;
    }

    function grantShare(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_gpus == 0) return;
        uint256 id = hand.once(3) ? 1 : 1 + hand.roll(_gpus);
        Account storage account = _accounts[_account(id)];
        (address by, address to) = (hand.once(8) ? _anyone(hand) : account.holder, _anyone(hand));
        uint256 left = _left(id);
        uint256 bps = hand.once(4) ? hand.roll(left + 2) : 1 + hand.roll(left / 4 + 1);
        bytes4 expected;
        if (by != account.holder) expected = GpuRegistry.NotGpuOwner.selector;
        else if (account.coOwners == 8) expected = GpuRegistry.TooManyCoOwners.selector;
        else if (bps == 0 || bps > left) expected = GpuRegistry.ShareOutOfRange.selector;
        bytes memory call = abi.encodeCall(registry.grantShare, (id, to, uint16(bps)));
        if (!_try(by, address(registry), call, expected, Guard.SPLIT, "grantShare")) return;
        _parts[id].push(Part(to, bps));
        ++account.coOwners;
    }

    function moveShare(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_gpus == 0) return;
        uint256 id = 1 + hand.roll(_gpus);
        for (uint256 i = 0; i < _gpus && _parts[id].length == 0; ++i) id = 1 + (id % _gpus);
        uint256 slot = hand.roll(_parts[id].length + 1);
        bool exists = slot < _parts[id].length;
        address holder = exists ? _parts[id][slot].holder : address(0);
        address by = exists && !hand.once(4) ? holder : _anyone(hand);
        address to = _anyone(hand);
        bytes4 expected = by == holder ? bytes4(0) : GpuRegistry.NotShareHolder.selector;
        bytes memory call = abi.encodeCall(registry.moveShare, (id, slot, to));
        if (_try(by, address(registry), call, expected, Guard.TOKENS, "moveShare")) _parts[id][slot].holder = to;
    }

    /// @dev A sale begins a new account; handing a GPU to oneself does not.
    function sell(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_gpus == 0) return;
        uint256 id = 1 + hand.roll(_gpus);
        address from = _accounts[_account(id)].holder;
        (address by, address to) = (hand.once(8) ? _anyone(hand) : from, _anyone(hand));
        bytes memory call = abi.encodeCall(registry.transferFrom, (from, to, id));
        if (!_try(by, address(registry), call, by == from ? bytes4(0) : ANY, Guard.TOKENS, "sell")) return;
        if (from != to) _beginEra(id).holder = to;
    }

    /// @dev The attestor measured the GPU again; also with a measurement that was used before.
    function retier(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        if (_gpus == 0) return;
        uint256 id = 1 + hand.roll(_gpus);
        uint8 tier = uint8(1 + hand.roll(2));
        address attestor = _attestor(hand);
        bool again = _eras[id] != 0 && hand.once(4);
        uint256 account = again ? id | ((_eras[id] - 1) << 40) : _account(id);
        bytes32 digest = registry.setTierDigest(account, tier, block.timestamp);
        bytes4 expected = again || !_trusted[attestor] ? GpuRegistry.NotAttested.selector : bytes4(0);
        bytes memory call = abi.encodeCall(
            registry.setTier,
            (id, tier, block.timestamp, attestor, _signed(attestor, digest))
        );
        if (_try(_anyone(hand), address(registry), call, expected, Guard.ERAS, "retier")) _beginEra(id).tier = tier;
    }

    /// @dev What moves no money.
    function papers(uint256 seed) external counted {
        Dice.Hand memory hand = Dice.Hand(seed);
        uint256 kind = hand.roll(5);
        if (kind < 2) _setOperator(hand);
        else if (kind < 4) _delegate(hand);
        else _retire(hand);
    }

    function _setOperator(Dice.Hand memory hand) private {
        if (_gpus == 0) return;
        uint256 id = 1 + hand.roll(_gpus);
        address holder = _accounts[_account(id)].holder;
        (address by, address to) = (hand.once(8) ? _anyone(hand) : holder, _anyone(hand));
        bytes4 expected = by == holder ? bytes4(0) : GpuRegistry.NotGpuOwner.selector;
        bytes memory call = abi.encodeCall(registry.setOperator, (_hardware(id), to));
        if (!_try(by, address(registry), call, expected, Guard.TOKENS, "setOperator")) return;
        (_operators[id], _operatorEras[id]) = (to, _eras[id]);
    }

    /// @dev Naming nobody takes the vote back.
    function _delegate(Dice.Hand memory hand) private {
        address by = _anyone(hand);
        address to = hand.once(3) ? address(0) : _anyone(hand);
        if (!_try(by, address(registry), abi.encodeCall(registry.delegate, (to)), 0, Guard.TOKENS, "delegate")) return;
        _delegates[by] = to == address(0) ? by : to;
    }

    function _retire(Dice.Hand memory hand) private {
        if (_gpus == 0) return;
        uint256 id = 1 + hand.roll(_gpus);
        address holder = _accounts[_account(id)].holder;
        address by = hand.once(4) ? _anyone(hand) : holder;
        bytes4 expected = by == holder ? bytes4(0) : GpuRegistry.NotGpuOwner.selector;
        bytes memory call = abi.encodeCall(registry.retire, (id));
        if (_try(by, address(registry), call, expected, Guard.TOKENS, "retire")) _retired[id] = true;
    }

    function _hardware(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("GPU", number));
    }

    /// @dev Basis points the holder has not given away.
    function _left(uint256 id) internal view returns (uint256 left) {
        left = 10_000;
        for (uint256 i = 0; i < _parts[id].length; ++i) left -= _parts[id][i].bps;
    }

    /// @dev The former account stays as it is, for ever.
    function _beginEra(uint256 id) private returns (Account storage account) {
        Account memory former = _accounts[_account(id)];
        ++_eras[id];
        account = _accounts[_account(id)];
        (account.holder, account.tier, account.coOwners) = (former.holder, former.tier, former.coOwners);
        _everyAccount.push(_account(id));
    }
}
