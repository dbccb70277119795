"""What is asked of the chain besides payouts: to whom the GPU is registered, and until when vouchers count."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from desktop_app.adapters.chain import Chain, Job, RegisteredGpu
from desktop_app.agent import following as module
from desktop_app.agent.following import Following
from desktop_app.core import messages as m
from desktop_app.core.gpu import Named
from desktop_app.core.keeping import GRACE_S, Keeping
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.state import Payout, State
from tests.builders import ADDRESS, CHAIN_ID, JOB, OTHER_ADDRESS, a_gpu, a_state, a_wallet, an_account

SOLD = CHAIN_ID + (1 << 40)
OPEN = Job(ADDRESS, 0, 0, Rate(1), 10, Units(9), Units(0), MicroUsd(9), MicroUsd(0), deadline=5_000)


class Ledger:
    """A chain that says what it was made with, and remembers what it was asked."""

    def __init__(self, account: int = CHAIN_ID, job: Job | None = OPEN, paid: int = 0) -> None:
        self.account = account
        self.held = job
        self.paid = paid
        self.asked: list[object] = []

    def balance(self, _address: str) -> tuple[MicroUsd, int]:
        return MicroUsd(5), 0

    def payouts(self, address: str, _after: int, _upto: int, gpu: int | None) -> list[tuple[Payout, Units]]:
        self.asked.append((address, gpu))
        return []

    def gpu(self, number: int) -> RegisteredGpu | None:
        self.asked.append(number)
        return RegisteredGpu(number, self.account, OTHER_ADDRESS, 0, retired=False) if self.account else None

    def payees(self, _account: int) -> tuple[tuple[str, int], ...]:
        return ((ADDRESS, 6_000), (OTHER_ADDRESS, 3_000), (OTHER_ADDRESS, 1_000))

    def job(self, job_id: str) -> Job | None:
        self.asked.append(job_id)
        return self.held

    def units_paid(self, _job: str, gpu: int) -> int:
        self.asked.append(("paid", gpu))
        return self.paid


async def looked(ledger: Ledger, state: State, times: int = 1) -> list[m.Message]:
    """What is posted by looking at registry and jobs so often, the state being told of it."""
    posted: list[m.Message] = []
    one = Following(cast(Chain, ledger), posted.append, lambda: state)
    for _ in range(times):
        await one._look_at_registry()
        await one._look_at_jobs()
    return posted


async def test_the_registry_is_asked_under_the_gpus_number_and_its_word_is_told_once() -> None:
    ledger = Ledger(SOLD)
    state = a_state(gpu=a_gpu(named=Named(CHAIN_ID, 4_000)))
    assert await looked(ledger, state, 5) == [m.ChainNamedGpu(SOLD, 4_000)]
    assert ledger.asked == [CHAIN_ID]
    assert await looked(Ledger(), state) == []


async def test_an_unregistered_gpu_and_an_unknown_one_are_nobodys() -> None:
    assert await looked(Ledger(), a_state(gpu=a_gpu(chain_id=None))) == []
    assert await looked(Ledger(account=0), a_state()) == []


async def test_the_end_of_a_voucher_is_told_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    known = a_gpu(named=Named(CHAIN_ID, 4_000))
    unknown = a_state(gpu=known, accounts=(an_account(vouched=5), an_account("paid", vouched=5, redeemed=5)))
    ledger = Ledger()
    assert await looked(ledger, unknown, 3) == [m.ChainSaidJob(JOB, 5_000 + GRACE_S)]
    assert ledger.asked.count(JOB) == 1 and "paid" not in ledger.asked
    told = replace(unknown, accounts=(an_account(vouched=5, keeping=Keeping(until=5_000 + GRACE_S)),))
    monkeypatch.setattr(module, "JOB_S", 0.0)
    assert await looked(Ledger(), told, 2) == []
    assert await looked(Ledger(job=None), told) == []


async def test_a_closed_job_is_lost_money_only_where_the_voucher_was_not_paid() -> None:
    known = a_gpu(named=Named(CHAIN_ID, 4_000))
    owing = a_state(gpu=known, accounts=(an_account(vouched=5, keeping=Keeping(gpu=SOLD)),))
    closed = replace(OPEN, deadline=0)
    ledger = Ledger(job=closed, paid=4)
    assert await looked(ledger, owing) == [m.ChainClosedJob(JOB)]
    assert ("paid", SOLD) in ledger.asked
    assert await looked(Ledger(job=closed, paid=5), owing) == []


async def test_the_word_to_end_counts_also_in_the_moment_of_a_waking() -> None:
    one = Following(cast(Chain, Ledger()), lambda _message: None, a_state)
    following = asyncio.create_task(one.run())
    while not one._wake._waiters:
        await asyncio.sleep(0.01)
    one.wake()
    await asyncio.sleep(0)
    following.cancel()
    ended, _ = await asyncio.wait([following], timeout=10)
    assert ended and following.cancelled()


async def test_units_count_for_this_account_alone_unless_an_earlier_one_is_still_owed() -> None:
    behind = replace(a_wallet(), block=-1)
    state = a_state(wallet=behind, accounts=(an_account(vouched=5),))
    older = a_state(wallet=behind, accounts=(an_account(vouched=5, keeping=Keeping(gpu=SOLD)),))
    for held, gpu in ((state, CHAIN_ID), (older, None)):
        ledger, posted = Ledger(), list[m.Message]()
        await Following(cast(Chain, ledger), posted.append, lambda held=held: held).look()  # type: ignore[misc]
        assert ledger.asked == [(ADDRESS, gpu)]
