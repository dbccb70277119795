// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RateLimiter} from "@openzeppelin/contracts/utils/RateLimiter.sol";
import {ITaskEscrow} from "market/ITaskEscrow.sol";
import {VM} from "./Cheats.sol";
import {World} from "./World.sol";

/// @dev One for each invariant.
enum Guard {
    BOOKS,
    SUPPLY,
    WORK,
    FEE,
    SPLIT,
    PAYEES,
    VOUCHERS,
    CHALLENGES,
    FROZEN,
    LIVENESS,
    TOKENS,
    BATCH,
    ERAS,
    WORDS
}

/// @title What ought to be: a second set of books, kept by the rules and never read from the contracts.
/// @dev Each action says beforehand what must happen. What happens otherwise is kept as a fault under the guard it breaks.
abstract contract Model is World {
    struct Work {
        ITaskEscrow.Terms terms;
        uint256 units;
        uint256 used;
        uint256 deadline;
        uint256 bps;
        uint256 held;
        /// Fees not yet collected, and collected while the job was open.
        uint256 fees;
        uint256 collected;
        bool open;
        /// The accounts that were paid.
        uint256[] accounts;
        ITaskEscrow.Claim claim;
    }

    struct Account {
        address holder;
        uint8 tier;
        uint256 coOwners;
    }

    struct Part {
        address holder;
        uint256 bps;
    }

    /// @dev Any error will do: the stablecoin's refusals have many words.
    bytes4 internal constant ANY = 0xffffffff;

    mapping(Guard => string) public fault;
    mapping(bytes32 act => uint256) public counts;
    uint256 public calls;

    mapping(address who => uint256) internal _money;
    mapping(address who => uint256) internal _owed;
    mapping(address who => bool) internal _frozen;
    bool internal _stopped;
    uint256 internal _accrued;
    uint256 internal _donated;
    /// @dev Of jobs that are closed: what was put in, what owners were paid, what went back, what was taken as fees.
    uint256 internal _pastEscrow;
    uint256 internal _pastNet;
    uint256 internal _pastRefunds;
    uint256 internal _swept;

    mapping(bytes32 job => Work) internal _works;
    bytes32[] internal _live;
    bytes32[] internal _closed;
    mapping(bytes32 job => mapping(uint256 account => uint256 units)) internal _paid;

    uint256 internal _gpus;
    mapping(uint256 id => uint256) internal _eras;
    mapping(uint256 id => Part[]) internal _parts;
    mapping(uint256 account => Account) internal _accounts;
    uint256[] internal _everyAccount;

    constructor() {
        for (uint256 i = 0; i < CROWD; ++i) _money[people[i]] = PURSE;
    }

    modifier counted() {
        ++calls;
        _;
    }

    /// @dev Does it as `who`. `expected`: the error it must end in, 0 for none; `guard`: what is broken if it happens in spite
    /// of that. Returns whether it happened and was to happen.
    function _try(
        address who,
        address target,
        bytes memory action,
        bytes4 expected,
        Guard guard,
        bytes32 act
    ) internal returns (bool) {
        VM.prank(who);
        (bool happened, bytes memory why) = target.call(action);
        if (happened && expected == 0) {
            ++counts[act];
            return true;
        }
        if (happened) _blame(guard, string.concat(_text(act), " happened, and should not have"));
        else if (expected == 0) _blame(_anyFrozen() ? Guard.FROZEN : Guard.WORDS, string.concat(_text(act), " was refused"));
        else if (expected != ANY && bytes4(why) != expected) _blame(Guard.WORDS, string.concat(_text(act), ": other words"));
        else ++counts[expected];
        return false;
    }

    function _blame(Guard guard, string memory what) internal {
        if (bytes(fault[guard]).length == 0) fault[guard] = what;
    }

    /// @dev Whether the stablecoin moves between the escrow and `who`.
    function _moves(address who) internal view returns (bool) {
        return !_stopped && !_frozen[address(escrow)] && !_frozen[who];
    }

    function _credit(address who, uint256 amount) internal {
        if (_moves(who)) _money[who] += amount;
        else _owed[who] += amount;
    }

    function _gross(Work storage work, uint256 units) internal view returns (uint256) {
        return (units * work.terms.rate) / HOUR;
    }

    function _fee(Work storage work, uint256 units) internal view returns (uint256) {
        return (_gross(work, units) * work.bps) / 10_000;
    }

    /// @dev Rounded up.
    function _price(uint256 units, uint256 rate) internal pure returns (uint256) {
        return units * rate == 0 ? 0 : (units * rate - 1) / HOUR + 1;
    }

    /// @dev The error in which paying `voucher` must end, 0 for none, whoever signed it.
    function _refusal(ITaskEscrow.Voucher memory voucher) internal view returns (bytes4) {
        Work storage work = _works[voucher.job];
        uint256 before = _paid[voucher.job][voucher.gpu];
        Account storage account = _accounts[voucher.gpu];
        if (!work.open) return ITaskEscrow.JobNotOpen.selector;
        if (work.terms.gpu != 0 && work.terms.gpu != uint40(voucher.gpu)) return ITaskEscrow.WrongGpu.selector;
        if (voucher.units <= before) return ITaskEscrow.VoucherStale.selector;
        if (work.used + voucher.units - before > work.units) return ITaskEscrow.JobOverrun.selector;
        if (account.holder == address(0)) return ITaskEscrow.NoSuchAccount.selector;
        return account.tier == work.terms.tier ? bytes4(0) : ITaskEscrow.WrongTier.selector;
    }

    /// @dev The same with an attestor who has `left` to give; and what the voucher is worth.
    function _refusal(ITaskEscrow.Voucher memory voucher, uint256 left) internal view returns (bytes4 why, uint256 gross) {
        why = _refusal(voucher);
        if (why != 0) return (why, 0);
        Work storage work = _works[voucher.job];
        gross = _gross(work, voucher.units) - _gross(work, _paid[voucher.job][voucher.gpu]);
        if (gross > left) why = RateLimiter.RateLimitExceeded.selector;
    }

    /// @dev What is broken when a voucher is paid that had to be refused for this reason.
    function _guardOf(bytes4 why) internal pure returns (Guard) {
        if (why == ITaskEscrow.JobOverrun.selector) return Guard.WORK;
        if (why == ITaskEscrow.NoSuchAccount.selector) return Guard.ERAS;
        if (why == ITaskEscrow.WrongGpu.selector || why == ITaskEscrow.WrongTier.selector) return Guard.PAYEES;
        return Guard.VOUCHERS;
    }

    /// @dev Writes down a payment that happened.
    function _book(ITaskEscrow.Voucher memory voucher) internal {
        Work storage work = _works[voucher.job];
        uint256 before = _paid[voucher.job][voucher.gpu];
        if (before == 0) work.accounts.push(voucher.gpu);
        _paid[voucher.job][voucher.gpu] = voucher.units;
        uint256 gross = _gross(work, voucher.units) - _gross(work, before);
        uint256 fee = _fee(work, voucher.units) - _fee(work, before);
        work.used += voucher.units - before;
        work.held -= gross;
        work.fees += fee;
        Account storage account = _accounts[voucher.gpu];
        uint256 residual = gross - fee;
        for (uint256 i = 0; i < account.coOwners; ++i) {
            Part storage part = _parts[uint40(voucher.gpu)][i];
            uint256 share = ((gross - fee) * part.bps) / 10_000;
            residual -= share;
            _credit(part.holder, share);
            if (share != 0 && !_moves(part.holder)) ++counts["share kept as owed"];
        }
        if (account.coOwners == 8) ++counts["paid to eight co-owners"];
        if (voucher.gpu >> 40 != _eras[uint40(voucher.gpu)]) ++counts["paid to a former holder"];
        _credit(account.holder, residual);
    }

    /// @dev The job is over.
    function _bury(bytes32 job) internal {
        Work storage work = _works[job];
        work.open = false;
        _accrued += work.fees;
        _credit(work.terms.renter, work.held);
        _pastEscrow += _price(work.units, work.terms.rate);
        _pastRefunds += _price(work.units, work.terms.rate);
        for (uint256 i = 0; i < work.accounts.length; ++i) {
            uint256 units = _paid[job][work.accounts[i]];
            _pastNet += _gross(work, units) - _fee(work, units);
            _pastRefunds -= _gross(work, units);
        }
        _closed.push(job);
        for (uint256 i = 0; i < _live.length; ++i) if (_live[i] == job) _live[i] = _live[_live.length - 1];
        _live.pop();
    }

    function _account(uint256 id) internal view returns (uint256) {
        return id | (_eras[id] << 40);
    }

    function _anyFrozen() private view returns (bool any) {
        any = _stopped || _frozen[address(escrow)];
        for (uint256 i = 0; i < CROWD; ++i) any = any || _frozen[people[i]];
    }

    function _text(bytes32 word) internal pure returns (string memory) {
        uint256 size = 0;
        while (size < 32 && word[size] != 0) ++size;
        bytes memory text = new bytes(size);
        for (uint256 i = 0; i < size; ++i) text[i] = word[i];
        return string(text);
    }
}
