// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {GpuRegistry} from "market/GpuRegistry.sol";
import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {VM} from "./Cheats.sol";
import {Guard} from "./Model.sol";
import {Powers} from "./Powers.sol";

/// @title What must always hold. Each check compares the contracts with the model and answers with what is wrong, or nothing.
abstract contract Guards is Powers {
    function books() external view returns (string memory) {
        uint256 sum = escrow.feesAccrued() + _donated;
        if (escrow.feesAccrued() != _accrued) return "the fees collected are others";
        for (uint256 i = 0; i < CROWD; ++i) sum += escrow.owed(people[i]);
        for (uint256 i = 0; i < _live.length; ++i) {
            ITaskEscrow.Job memory job = escrow.jobs(_live[i]);
            sum += uint256(job.held) + job.fees;
            Work storage work = _works[_live[i]];
            if (job.held != work.held) return "a job holds another sum";
            if (job.deadline != work.deadline || job.units != work.units) return "a job has another end";
            if (job.renter != work.terms.renter || job.rate != work.terms.rate) return "a job's terms have changed";
        }
        if (usdc.balanceOf(address(escrow)) != sum) return "the escrow holds another sum than its books say";
        if (_closed.length != 0 && escrow.jobs(_closed[_closed.length - 1]).deadline != 0) return "a closed job is open";
        return "";
    }

    function supply() external view returns (string memory) {
        uint256 sum = usdc.balanceOf(address(escrow));
        for (uint256 i = 0; i < CROWD; ++i) sum += usdc.balanceOf(people[i]);
        if (sum != usdc.totalSupply() || sum != CROWD * PURSE) return "a dollar was made or lost";
        return "";
    }

    function workPaid() external view returns (string memory) {
        for (uint256 i = 0; i < _live.length; ++i) {
            Work storage work = _works[_live[i]];
            ITaskEscrow.Job memory job = escrow.jobs(_live[i]);
            uint256 sum = 0;
            for (uint256 a = 0; a < work.accounts.length; ++a) {
                uint256 units = escrow.unitsPaid(_live[i], work.accounts[a]);
                if (units < _paid[_live[i]][work.accounts[a]]) return "the units paid have shrunk";
                sum += units;
            }
            if (job.used != sum || sum != work.used) return "the units used are not those paid";
            if (job.used > job.units) return "more is used than was bought";
        }
        return "";
    }

    function fees() external view returns (string memory) {
        if (policy.feeBps() > 100) return "the fee is above its cap";
        for (uint256 i = 0; i < _live.length; ++i) {
            Work storage work = _works[_live[i]];
            ITaskEscrow.Job memory job = escrow.jobs(_live[i]);
            (uint256 fee, uint256 gross) = (0, 0);
            for (uint256 a = 0; a < work.accounts.length; ++a) {
                uint256 units = _paid[_live[i]][work.accounts[a]];
                (fee, gross) = (fee + _fee(work, units), gross + _gross(work, units));
            }
            if (job.feeBps != work.bps) return "a job's fee is not the one it was opened with";
            if (work.collected + job.fees != fee) return "the fees are not those of the formula";
            if ((work.collected + job.fees) * 100 > gross) return "the fees are above one per cent";
        }
        return "";
    }

    /// @dev What is outside the escrow, by the cumulative formula alone, whoever has it.
    function split() external view returns (string memory) {
        uint256 ought = CROWD * PURSE + _pastNet + _pastRefunds + _swept - _pastEscrow - _donated;
        for (uint256 i = 0; i < _live.length; ++i) {
            Work storage work = _works[_live[i]];
            ought -= _price(work.units, work.terms.rate);
            for (uint256 a = 0; a < work.accounts.length; ++a) {
                uint256 units = _paid[_live[i]][work.accounts[a]];
                ought += _gross(work, units) - _fee(work, units);
            }
        }
        uint256 outside = 0;
        for (uint256 i = 0; i < CROWD; ++i) outside += usdc.balanceOf(people[i]) + escrow.owed(people[i]);
        if (outside != ought) return "the parts do not add up to the net";
        for (uint256 id = 1; id <= _gpus; ++id) {
            (, uint16[] memory bps) = registry.payees(_account(id));
            uint256 whole = 0;
            for (uint256 i = 0; i < bps.length; ++i) whole += bps[i];
            if (whole != 10_000 || registry.gpu(id).coBps + bps[0] != 10_000) return "the shares are not the whole";
        }
        return "";
    }

    function payees() external view returns (string memory) {
        for (uint256 i = 0; i < CROWD; ++i) {
            if (usdc.balanceOf(people[i]) != _money[people[i]]) return "somebody has another sum";
            if (escrow.owed(people[i]) != _owed[people[i]]) return "somebody is owed another sum";
        }
        return "";
    }

    function vouchers() external view returns (string memory) {
        if (usdc.balanceOf(address(_twin)) != 0 || _twin.feesAccrued() != 0) return "the other escrow took part";
        return "";
    }

    function challenges() external view returns (string memory) {
        for (uint256 i = 0; i < _live.length; ++i) {
            ITaskEscrow.Claim memory ought = _works[_live[i]].claim;
            (uint64 gpu, uint48 units, uint40 due, ITaskEscrow.Stage stage) = escrow.claims(_live[i]);
            if (stage != ought.stage) return "a claim is at another stage";
            if (gpu != ought.gpu || units != ought.units || due != ought.due) return "a claim has changed";
            bool challenged = stage == ITaskEscrow.Stage.CHALLENGED;
            if (challenged && escrow.unitsPaid(_live[i], gpu) != _paid[_live[i]][gpu]) return "a challenged claim was paid";
        }
        return "";
    }

    function tokens() external view returns (string memory) {
        if (registry.count() != _gpus) return "there are other tokens than hardware";
        uint256[] memory votes = new uint256[](CROWD);
        for (uint256 id = 1; id <= _gpus; ++id) {
            GpuRegistry.Gpu memory gpu = registry.gpu(id);
            address holder = _accounts[_account(id)].holder;
            if (registry.ownerOf(id) != holder || gpu.holder != holder) return "a token is in other hands";
            if (gpu.retired != _retired[id]) return "a GPU retired by itself";
            (uint40 found, uint24 era, address operator) = registry.machines(_hardware(id));
            if (found != id) return "hardware has another token";
            if (era != _operatorEras[id] || operator != _operators[id]) return "another key speaks for a machine";
            GpuRegistry.Share[] memory shares = registry.sharesOf(_account(id), _parts[id].length);
            for (uint256 i = 0; i < shares.length; ++i) {
                bool same = shares[i].holder == _parts[id][i].holder && shares[i].bps == _parts[id][i].bps;
                if (!same) return "a share is in other hands";
            }
            for (uint256 i = 0; i < CROWD; ++i) if (people[i] == _delegates[holder]) ++votes[i];
        }
        for (uint256 i = 0; i < CROWD; ++i) {
            if (registry.getVotes(people[i]) != votes[i]) return "votes are not one for each GPU";
            if (registry.delegates(people[i]) != _delegates[people[i]]) return "a vote is in other hands";
        }
        return "";
    }

    function eras() external view returns (string memory) {
        for (uint256 i = 0; i < _everyAccount.length; ++i) {
            uint256 account = _everyAccount[i];
            Account storage ought = _accounts[account];
            (uint8 tier, address holder, uint256 coOwners) = registry.payout(account);
            if (holder != ought.holder) return "an account's earnings go to other hands";
            if (tier != ought.tier || coOwners != ought.coOwners) return "an account is of another tier or split";
            if (account == _account(uint40(account))) {
                if (registry.accountOf(uint40(account)) != account) return "the present account is another";
                (, holder, ) = registry.payout(account + (1 << 40));
                if (holder != address(0)) return "there is an account from the future";
            }
        }
        return "";
    }

    /// @dev From whatever state, with nothing but time and strangers, and with money frozen or stopped as it happens to be.
    function wind() external returns (string memory) {
        address stranger = address(0xdead);
        while (_live.length != 0) {
            bytes32 job = _live[0];
            Work storage work = _works[job];
            if (_undecided(work)) {
                if (block.timestamp <= work.claim.due) VM.warp(work.claim.due + 1);
                bool dropped = work.claim.stage == ITaskEscrow.Stage.CHALLENGED;
                bytes memory end = abi.encodeCall(escrow.finalize, (job));
                if (!_try(stranger, address(escrow), end, 0, Guard.LIVENESS, "wound: finalize")) return "a claim never ends";
                _bookEnd(job, dropped ? 0 : work.claim.units, dropped);
            }
            if (_closes(job) != 0) VM.warp(work.deadline + 1 days + 1);
            bytes memory call = abi.encodeCall(escrow.close, (job));
            if (!_try(stranger, address(escrow), call, 0, Guard.LIVENESS, "wound: close")) return "a job never ends";
            _bury(job);
        }
        return fault[Guard.LIVENESS];
    }

    /// @dev Once the issuer lets it, everything goes to whom it belongs, and nothing stays behind.
    function empty() external returns (string memory) {
        if (_stopped) usdc.unpause();
        _stopped = false;
        _freeze(address(escrow), false);
        for (uint256 i = 0; i < CROWD; ++i) {
            _freeze(people[i], false);
            if (escrow.owed(people[i]) != 0) escrow.withdrawOwed(people[i]);
            (_money[people[i]], _owed[people[i]]) = (_money[people[i]] + _owed[people[i]], 0);
        }
        escrow.sweepFees(new bytes32[](0));
        _bookSweep(new bytes32[](0));
        if (usdc.balanceOf(address(escrow)) != _donated) return "money stays behind";
        VM.warp(block.timestamp + 1);
        if (registry.getPastTotalSupply(block.timestamp - 1) != _gpus) return "there are more or fewer votes than GPUs";
        return "";
    }
}
