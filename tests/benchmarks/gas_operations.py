"""The operations that `gas` measures, in groups; each group begins on the same fresh market and says what every step cost.

Salts, keys and receipts are fixed, and the seconds count up by one per block, so that calldata is the same in every run.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eth_utils.crypto import keccak
from web3.contract import Contract
from web3.types import TxReceipt

from desktop_app.core.money import escrow
from tests.contracts.market import DAY, UNITS, WINDOW, Market, as_tuple
from tests.contracts.people import ANNE, BOB, DEPLOYER, GUARDIAN, OWNER, RENTER, STRANGER, TREASURY, Person, person

Operations = Callable[[Market], Iterator[tuple[str, int]]]

ROWS: Final = 100
DELAY: Final = 2 * DAY
NOBODY: Final = "0x" + "00" * 20


def payments(market: Market) -> Iterator[tuple[str, int]]:
    """A voucher, signed by the renter and by the attestor; paid is 1000 units each time, after the first."""
    job = market.open(market.terms(1))
    yield "redeem_first_new_holder", _gas(market.redeem(RENTER, job, 1_000))
    yield "redeem", _gas(market.redeem(RENTER, job, 2_000))
    market.redeem_attested(job, 3_000)
    yield "redeem_attested", _gas(market.redeem_attested(job, 4_000))
    yield "redeem_first", _gas(market.redeem(RENTER, market.open(market.terms(2)), 1_000))


def co_owners(market: Market) -> Iterator[tuple[str, int]]:
    """The holder and so many others, all of whom hold money already."""
    job = market.open(market.terms(1))
    for number in range(8):
        other = person(20 + number)
        market.mint(other.address, 1)
        market.grant(OWNER, other, 1_000)
        market.redeem(RENTER, job, 1_000 * (2 * number + 1))
        if number + 1 in (3, 8):
            yield f"redeem_{number + 1}_co_owners", _gas(market.redeem(RENTER, job, 1_000 * (2 * number + 2)))


def batches_of_one_owner(market: Market) -> Iterator[tuple[str, int]]:
    """100 GPUs of one owner, first on one job, the attestor having signed before."""
    accounts = [market.register(OWNER, f"mine {number}") for number in range(ROWS)]
    yield from _batches(market, "same_owner", accounts)


def batches_of_many_owners(market: Market) -> Iterator[tuple[str, int]]:
    """100 GPUs of 100 owners."""
    accounts = [market.register(person(1_000 + number), f"theirs {number}") for number in range(ROWS)]
    yield from _batches(market, "distinct", accounts)


def batches_of_many_jobs(market: Market) -> Iterator[tuple[str, int]]:
    """One owner's 100 GPUs, each on a job of its own."""
    accounts = [market.register(OWNER, f"mine {number}") for number in range(ROWS)]
    jobs = [market.open(market.terms(100 + number, gpu=account)) for number, account in enumerate(accounts)]
    yield "batch100_distinct_jobs_first", _batch(market, jobs, accounts, 1_000)
    yield "batch100_distinct_jobs", _batch(market, jobs, accounts, 2_000)


def jobs(market: Market) -> Iterator[tuple[str, int]]:
    """A job's life without its work, in an escrow that holds money already. By hand the renter has allowed more than is needed."""
    market.open(market.terms(0))
    first, before = market.terms(1), market.now + 3600
    home = str(market.escrow.address)
    signature = market.authorize(RENTER, home, escrow(first.units, first.rate), market.job_id(first), before)
    functions = market.escrow.functions
    yield "open_gasless", _gas(market.send(STRANGER, functions.openWithAuthorization(as_tuple(first), 0, before, signature)))
    job = market.job_id(first)
    yield "top_up_gasless", _gas(market.top_up_gasless(job, UNITS))
    market.send(RENTER, market.usdc.functions.approve(home, 10**8))
    second = market.terms(2)
    yield "open", _gas(market.send(RENTER, functions.open(as_tuple(second))))
    yield "top_up", _gas(market.send(RENTER, functions.topUp(job, UNITS)))
    yield "cancel", _gas(market.cancel(market.job_id(second)))
    market.redeem(RENTER, job, UNITS)
    market.mint(TREASURY.address, 1)
    yield "sweep", _gas(market.sweep(job))
    market.redeem(RENTER, job, 2 * UNITS)
    market.travel(first.deadline + DAY + 1)
    yield "close", _gas(market.close(job))


def debts(market: Market) -> Iterator[tuple[str, int]]:
    """A payment that the token refused, and its delivery to an account that holds money."""
    market.mint(OWNER.address, 1)
    job = market.open(market.terms(1))
    market.freeze(OWNER)
    yield "redeem_first_owed", _gas(market.redeem(RENTER, job, 1_000))
    market.freeze(OWNER, frozen=False)
    yield "withdraw_owed", _gas(market.withdraw(OWNER))


def gpus(market: Market) -> Iterator[tuple[str, int]]:
    """A GPU's life; the new owner of the first has none yet."""
    yield "register", _gas(_register(market, ANNE, "new"))
    yield "register_again", _gas(_register(market, ANNE, "newer"))
    functions = market.registry.functions
    yield "grant_share", _gas(market.send(OWNER, functions.grantShare(market.gpu, BOB.address, 1_000)))
    yield "move_share", _gas(market.send(BOB, functions.moveShare(market.gpu, 0, STRANGER.address)))
    yield "set_operator", _gas(market.send(OWNER, functions.setOperator(keccak(text="first"), BOB.address)))
    yield "sell_to_new_owner", _gas(market.send(OWNER, functions.transferFrom(OWNER.address, BOB.address, market.gpu)))


def cash_outs(market: Market) -> Iterator[tuple[str, int]]:
    """With gas money of one's own a plain transfer; else by a relayer, which holds money already."""
    for who in (OWNER, ANNE, STRANGER):
        market.mint(who.address, 50_000_000)
    transfer = market.usdc.functions.transfer
    yield "cash_out", _gas(market.send(OWNER, transfer(ANNE.address, 1_000_000)))
    yield "cash_out_new", _gas(market.send(OWNER, transfer(person(2_001).address, 1_000_000)))
    yield "cash_out_with_fee", _gas(_cash_out(market, ANNE, 10_000, 1))
    yield "cash_out_with_fee_new", _gas(_cash_out(market, person(2_002), 10_000, 2))
    yield "cash_out_without_fee", _gas(_cash_out(market, ANNE, 0, 3))


def claims(market: Market) -> Iterator[tuple[str, int]]:
    """Work without a voucher: unchallenged, and challenged and decided."""
    market.mint(OWNER.address, 1)
    terms = market.claimable(1)
    job = market.open(terms)
    yield "claim", _gas(market.claim(OWNER, terms, 1_000))
    market.travel(market.now + WINDOW + 1)
    yield "finalize", _gas(market.finalize(job))
    market.claim(OWNER, terms, 2_000)
    yield "challenge", _gas(market.challenge(job))
    yield "resolve", _gas(market.resolve(job, 2_000))


def votes(market: Market) -> Iterator[tuple[str, int]]:
    """The owners change the fee; the timelock waits and anyone executes."""
    timelock, governor = _governed(market)
    call = bytes.fromhex(market.policy.encode_abi("setFee", [25])[2:])
    proposal, why = ([market.policy.address], [0], [call]), "A fee of a quarter per cent"
    yield "propose", _gas(market.send(OWNER, governor.functions.propose(*proposal, why)))
    number = governor.functions.hashProposal(*proposal, keccak(text=why)).call()
    market.travel(market.now + DAY + 2)
    yield "vote", _gas(market.send(OWNER, governor.functions.castVote(number, 1)))
    market.travel(market.now + 3 * DAY + 2)
    yield "queue", _gas(market.send(STRANGER, governor.functions.queue(*proposal, keccak(text=why))))
    market.travel(market.now + DELAY + 2)
    yield "execute", _gas(market.send(STRANGER, governor.functions.execute(*proposal, keccak(text=why))))
    assert market.policy.functions.feeBps().call() == 25
    assert market.policy.functions.owner().call() == timelock.address


QUICK: Final[tuple[Operations, ...]] = (payments, co_owners, jobs, debts, gpus, cash_outs, claims, votes)
ALL: Final[tuple[Operations, ...]] = (*QUICK, batches_of_one_owner, batches_of_many_owners, batches_of_many_jobs)


def _gas(receipt: TxReceipt) -> int:
    return int(receipt["gasUsed"])


def _batches(market: Market, name: str, accounts: Sequence[int]) -> Iterator[tuple[str, int]]:
    one = [market.open(market.terms(1))] * ROWS
    yield f"batch100_{name}_first", _batch(market, one, accounts, 1_000)
    yield f"batch100_{name}", _batch(market, one, accounts, 2_000)


def _batch(market: Market, jobs: Sequence[bytes], accounts: Sequence[int], units: int) -> int:
    """Gas per row, rounded up."""
    rows = [market.row(job, units, account, keccak(account * UNITS + units)) for job, account in zip(jobs, accounts, strict=True)]
    return -(-_gas(market.batch(rows)) // ROWS)


def _register(market: Market, owner: Person, hardware: str) -> TxReceipt:
    market.register(owner, hardware)
    return _newest(market)


def _newest(market: Market) -> TxReceipt:
    """Of the newest block's only transaction."""
    block = market.web3.eth.get_block("latest")
    return market.web3.eth.get_transaction_receipt(block["transactions"][0])  # type: ignore[arg-type]


def _cash_out(market: Market, to: Person, fee: int, salt: int) -> TxReceipt:
    amount, number, before = 1_000_000, salt.to_bytes(32, "big"), market.now + 3600
    nonce = bytes(market.cash_out.functions.nonceOf(to.address, amount, fee, number).call())
    signature = market.authorize(OWNER, str(market.cash_out.address), amount, nonce, before)
    arguments = (OWNER.address, to.address, amount, fee, number, 0, before, signature)
    return market.send(STRANGER, market.cash_out.functions.cashOut(*arguments))


def _governed(market: Market) -> tuple[Contract, Contract]:
    """Timelock and governor, the policy's ownership handed over; anyone executes."""
    timelock = market.deploy("GpuTimelock", DELAY, [], [NOBODY], DEPLOYER.address)
    rules = (DAY, 3 * DAY, 1, 4, GUARDIAN.address)
    governor = market.deploy("GpuGovernor", market.registry.address, timelock.address, rules)
    for role in ("PROPOSER_ROLE", "CANCELLER_ROLE"):
        market.send(DEPLOYER, timelock.functions.grantRole(timelock.functions[role]().call(), governor.address))
    market.send(DEPLOYER, market.policy.functions.transferOwnership(timelock.address))
    return timelock, governor
