"""Each signed request is one deed and one answer: brought twice, by two pools, or after a pool's death."""

import asyncio
import os
import time

import pytest

from desktop_app.core.cashout import Quote
from desktop_app.core.errors import AppError
from desktop_app.core.money import MicroUsd
from desktop_app.pool import deeds
from desktop_app.pool.deeds import UNDER_WAY, once
from desktop_app.pool.limits import ALLOWANCES, Kind
from desktop_app.wire import market as wire
from desktop_app.wire import pooling
from desktop_app.wire.market import Refusal, Sent
from desktop_app.wire.pooling import Deed, deed_key
from tests.pool.bench import Bench


class Work:
    """Something done for somebody, which takes a moment and counts how often."""

    def __init__(self, *answers: wire.Answer | AppError) -> None:
        self.answers = list(answers)
        self.done = 0
        self.begun: list[float] = []  # unix seconds

    async def __call__(self) -> wire.Answer:
        self.done += 1
        self.begun.append(time.time())
        await asyncio.sleep(0.3)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, AppError):
            raise answer
        return answer


async def test_brought_by_many_at_once_it_is_done_once(here: Bench) -> None:
    work = Work(Sent("0xone"))
    answers = await asyncio.gather(*(once(here.session, "many", work) for _ in range(5)))
    assert (work.done, answers) == (1, [Sent("0xone")] * 5)
    assert await once(here.session, "many", Work(Sent("0xtwo"))) == Sent("0xone")


async def test_a_refusal_is_no_deed(here: Bench) -> None:
    work = Work(Refusal("not now"), Sent("0xone"))
    assert await once(here.session, "refused", work) == Refusal("not now")
    assert await once(here.session, "refused", work) == Sent("0xone")


async def test_after_trouble_it_is_tried_again_but_not_at_once(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "AFTER_TROUBLE_S", 2)
    work = Work(AppError("The chain is silent.", "Wait."), Sent("0xone"))
    with pytest.raises(AppError):
        await once(here.session, "trouble", work)
    assert await once(here.session, "trouble", work) == Sent("0xone")
    first, second = work.begun
    assert second >= int(first) + 2


async def test_the_claim_of_a_pool_that_died_runs_out(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "WAIT_S", 0.5)
    await here.session.write(pooling.DEEDS, "dead", wire.pack(Deed(int(time.time()) + 100)))
    assert await once(here.session, "dead", Work(Sent("0xone"))) == UNDER_WAY
    monkeypatch.setattr(deeds, "WAIT_S", 30.0)
    await here.session.write(pooling.DEEDS, "dead", wire.pack(Deed(int(time.time()) + 2)))
    assert await once(here.session, "dead", Work(Sent("0xone"))) == Sent("0xone")


async def test_a_claim_lives_as_long_as_the_work(here: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deeds, "TAKEN_S", 5)
    monkeypatch.setattr(deeds, "RENEW_S", 0.5)

    begun = asyncio.Event()

    class Slow(Work):
        async def __call__(self) -> wire.Answer:
            begun.set()
            await asyncio.sleep(6)
            return await super().__call__()

    work = Slow(Sent("0xone"))
    first = asyncio.create_task(once(here.session, "slow", work))
    await begun.wait()
    assert await once(here.session, "slow", Work(Sent("0xtwo"))) == Sent("0xone")
    assert (await first, work.done) == (Sent("0xone"), 1)


async def test_a_record_that_cannot_be_read_is_none(here: Bench) -> None:
    await here.session.write(pooling.DEEDS, "torn", b"{")
    assert await once(here.session, "torn", Work(Sent("0xone"))) == Sent("0xone")


def test_who_and_what_make_the_name_however_they_are_cased() -> None:
    assert deed_key("cash_out", "0xAB", "0x01") == deed_key("cash_out", "0xab", "0x01")
    assert len({deed_key("a", "b", "c"), deed_key("a", "b", "d"), deed_key("a", "x", "c"), deed_key("x", "b", "c")}) == 4


async def cash_out(here: Bench, amount: int) -> wire.SendCashOut:
    """A renter's cash-out, signed."""
    keys, to = here.money.keys, "0x" + os.urandom(20).hex()
    quote = Quote(MicroUsd(amount), MicroUsd(500), "0x" + os.urandom(32).hex(), int(time.time()) + 600)
    signature = await asyncio.to_thread(here.money.cash_out_signature, to, quote, "renter")
    return wire.SendCashOut(keys.address("renter"), to, amount, 500, quote.salt, quote.valid_before, signature)


async def test_a_cash_out_brought_to_two_pools_is_one_transaction_and_one_answer(here: Bench) -> None:
    one, other = here.desk(), here.desk()
    request, before = await cash_out(here, 10_000), await here.sent()
    answers = await asyncio.gather(*(desk.cash_out(here.session, request) for desk in (one, other, one, other)))
    assert isinstance(answers[0], Sent) and answers[0].transaction
    assert answers == [answers[0]] * 4
    assert await here.sent() == before + 1
    assert await here.balance(request.to) == 9_500


async def test_a_cash_out_whose_answer_was_lost_gets_the_same_one_from_the_chain(here: Bench) -> None:
    request = await cash_out(here, 10_000)
    first = await here.desk().cash_out(here.session, request)
    await here.session.stream.purge_stream(f"KV_{pooling.DEEDS}")
    before = await here.sent()
    assert await here.desk().cash_out(here.session, request) == first
    assert await here.sent() == before


async def test_a_limit_is_for_what_was_sent_and_says_when_to_come_again(here: Bench) -> None:
    desk = here.desk()
    forged = wire.SendCashOut(here.money.keys.address("renter"), "0x" + "22" * 20, 1_000, 500, "0x" + "00" * 32, 2**40, "0x" + "00" * 65)
    for _ in range(ALLOWANCES[Kind.CASH_OUT].burst + 2):
        answer = await desk.cash_out(here.session, forged)
        assert isinstance(answer, Refusal) and not answer.own and "sign" in answer.reason
    for _ in range(ALLOWANCES[Kind.CASH_OUT].burst):
        assert desk._limits.take(Kind.CASH_OUT, forged.sender) is None
    answer = await desk.cash_out(here.session, await cash_out(here, 10_000))
    assert isinstance(answer, Refusal) and answer.own and "ask again in" in answer.reason


async def test_a_relayer_without_ether_says_so_and_sends_nothing(here: Bench) -> None:
    desk, asked = here.desk("owner"), await cash_out(here, 10_000)
    answer = await desk.cash_out(here.session, asked)
    assert isinstance(answer, Refusal) and answer.own and "no ether left" in answer.reason
    quoted = await desk.quote(wire.AskQuote(asked.sender, asked.to, 10_000))
    assert quoted == answer
    assert isinstance(await here.desk().cash_out(here.session, asked), Sent)
