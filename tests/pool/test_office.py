"""The pool, on a real server and a real chain: who gets in, at what rate, and what is paid."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from desktop_app.adapters.market import Puller
from desktop_app.core.money import net
from desktop_app.wire import market as wire
from desktop_app.wire.market import Refusal, Standing
from tests.pool.rig import Counter, Town, counter


@pytest.fixture
async def here(place: Town) -> AsyncIterator[Counter]:
    async with counter(place) as opened:
        yield opened


def reason(answer: wire.Answer) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.reason


async def test_a_job_is_opened_once_on_one_signature(here: Counter) -> None:
    units = here.task("0x" + "00" * 32, "aaaa0000").units
    job, answer = await here.open_job(units)
    assert answer == wire.Opened(job)
    found = await asyncio.to_thread(here.chain.job, job)
    assert found is not None
    assert (found.units, found.used, found.is_open) == (units, 0, True)


async def test_a_job_far_below_the_rate_is_not_opened(here: Counter) -> None:
    price = await here.price()
    _job, answer = await here.open_job(1_000, rate=price.rate * 8 // 10)
    assert "micro-dollars per GPU-hour now" in reason(answer)


async def test_a_task_is_queued_once(here: Counter) -> None:
    units = here.task("0x" + "00" * 32, "aaaa0000").units
    job, _ = await here.open_job(units)
    request = here.signed(here.task(job, "aaaa0001"))
    for _ in range(2):
        assert await here.ask("pool.submit", request) == wire.Submitted("aaaa0001")
    assert await here.queued() == 1
    assert await here.booked(job) == {"aaaa0001": units}


async def test_what_does_not_belong_is_not_let_in(here: Counter) -> None:
    units = here.task("0x" + "00" * 32, "aaaa0000").units
    job, _ = await here.open_job(2 * units - 1)
    good = here.task(job, "aaaa0002")
    assert await here.ask("pool.submit", here.signed(good)) == wire.Submitted("aaaa0002")
    no_job = here.task("0x" + "77" * 32, "aaaa0003")
    no_blob = replace(good, task_id="aaaa0004", inputs=(replace(good.inputs[0], sha256="ab" * 32),))
    wrong_size = replace(good, task_id="aaaa0005", inputs=(replace(good.inputs[0], bytes=7),))
    cases = {
        "is not signed by the renter": here.signed(replace(good, task_id="aaaa0006"), by="owner"),
        "no such job": here.signed(no_job),
        "not in the market's store": here.signed(no_blob),
        "bytes, and 7 are announced": here.signed(wrong_size),
        "escrow does not cover": here.signed(replace(good, task_id="aaaa0007")),
        "expired": here.signed(replace(good, task_id="aaaa0008", expires=1)),
        "canonical": wire.SubmitTask('{"v": 1}', "0x00"),
        "another renter": here.signed(replace(good, task_id="aaaa0009", renter=here.town.money.keys.address("owner")), by="owner"),
    }
    for words, request in cases.items():
        assert words in reason(await here.ask("pool.submit", request)), words
    assert await here.queued() == 1
    assert await here.booked(job) == {"aaaa0002": units}


async def test_a_request_that_is_none_is_refused(here: Counter) -> None:
    cases = (("pool.quote", b"{"), ("pool.quote", b'{"sender": "x"}'), ("pool.nonsense", b"{}"), ("pool.submit", b"0" * 500_000))
    for subject, raw in cases:
        answer = wire.unpack(await here.pool.request(subject, raw, 5), wire.Answer)  # type: ignore[arg-type]
        assert isinstance(answer, Refusal), subject


async def test_hardware_is_registered_once_and_stays_its_owners(here: Counter) -> None:
    keys = here.town.money.keys
    from desktop_app.core.gpu import Tier, hardware_digest

    asked = wire.RegisterGpu(keys.address("owner"), keys.address("operator"), hardware_digest("GPU-7"), Tier.PRACTICE)
    first = await here.ask("pool.register", asked)
    assert isinstance(first, wire.Registered)
    assert await here.ask("pool.register", asked) == first
    stranger = wire.RegisterGpu(keys.address("renter"), keys.address("operator"), asked.hardware, Tier.PRACTICE)
    assert "another owner" in reason(await here.ask("pool.register", stranger))
    other_key = wire.RegisterGpu(asked.owner, keys.address("renter"), asked.hardware, Tier.PRACTICE)
    assert "another operator key" in reason(await here.ask("pool.register", other_key))
    no_tier = wire.RegisterGpu(asked.owner, asked.operator, hardware_digest("GPU-8"), Tier.LARGE)
    assert "does not trade" in reason(await here.ask("pool.register", no_tier))


async def test_a_voucher_is_paid_at_once_and_a_forged_one_never(here: Counter) -> None:
    money = here.town.money
    job, _ = await here.open_job(1_000_000)
    before = (await asyncio.to_thread(here.chain.balance, money.keys.address("owner")))[0]
    rate = (await asyncio.to_thread(here.chain.job, job)).rate  # type: ignore[union-attr]
    for by, units in (("owner", 999_999), ("renter", 400_000), ("renter", 900_000), ("renter", 900_000)):
        promise, signature = money.voucher(job, units, by=by)
        verdict = wire.VoucherVerdict(job, money.gpu, units, rate, 10, promise.receipts_root, signature, ())
        await here.pool.publish(wire.verdict_subject(money.gpu, job), wire.pack(verdict))
    expected = before + net(900_000, rate, 10)
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(here.chain.balance, money.keys.address("owner")))[0] != expected:
            await asyncio.sleep(0.1)
    async with asyncio.timeout(20):
        while (await here.pool.stream.consumer_info(wire.VERDICTS, "settlement")).num_ack_pending:
            await asyncio.sleep(0.1)
    assert (await asyncio.to_thread(here.chain.units_paid, job, money.gpu)) == 900_000


async def test_a_rejected_task_frees_its_part_of_the_job(here: Counter) -> None:
    units = here.task("0x" + "00" * 32, "aaaa0000").units
    job, _ = await here.open_job(units)
    assert await here.ask("pool.submit", here.signed(here.task(job, "aaaa0010"))) == wire.Submitted("aaaa0010")
    again = here.signed(here.task(job, "aaaa0011"))
    assert "escrow does not cover" in reason(await here.ask("pool.submit", again))
    await here.pool.publish(wire.verdict_subject(1, job), wire.pack(wire.Rejection(job, 1, "aaaa0010", "wrong")))
    async with asyncio.timeout(10):
        while await here.booked(job):
            await asyncio.sleep(0.05)
    assert await here.ask("pool.submit", again) == wire.Submitted("aaaa0011")


async def test_a_task_that_nobody_can_finish_is_buried(here: Counter) -> None:
    units = here.task("0x" + "00" * 32, "aaaa0000").units
    job, _ = await here.open_job(units)
    await here.ask("pool.submit", here.signed(here.task(job, "aaaa0012")))
    async with Puller(here.pool, wire.TASKS, "tier-practice") as puller:
        for _ in range(wire.MOST_DELIVERIES):
            delivery = await puller.next()
            assert delivery is not None
            await here.pool.again(delivery.token)
        with pytest.raises(TimeoutError):  # the server notices when the next one asks
            await asyncio.wait_for(puller.next(), 2)
    record = await here.until_standing("aaaa0012", Standing.DEAD)
    assert "nobody finished it" in record.reason
    async with asyncio.timeout(5):
        while await here.queued():
            await asyncio.sleep(0.05)


async def test_a_reported_task_is_over_for_everyone(here: Counter) -> None:
    job, _ = await here.open_job(here.task("0x" + "00" * 32, "aaaa0000").units)
    await here.ask("pool.submit", here.signed(here.task(job, "aaaa0013")))
    assert await here.ask("pool.report", wire.ReportTask("aaaa0013", "a pickle")) == wire.Noted()
    assert (await here.until_standing("aaaa0013", Standing.DEAD)).reason == "a pickle"


async def test_the_rate_follows_what_is_at_work(here: Counter) -> None:
    start = (await here.price()).rate
    await asyncio.sleep(2.5)
    assert (await here.price()).rate == start  # nothing was offered, so nobody knows
    busy = wire.Offer(here.task("0x" + "00" * 32, "aaaa0000").tier, 0, busy=True)
    await here.pool.write(wire.OFFERS, "1", wire.pack(busy))
    rose = await moved(here, start)
    assert rose > start
    await here.pool.write(wire.OFFERS, "1", wire.pack(wire.Offer(busy.tier, 0, busy=False)))
    async with asyncio.timeout(10):
        while (now := (await here.price()).rate) >= rose:
            rose = max(rose, now)
            await asyncio.sleep(0.1)
    await here.pool.forget(wire.OFFERS, "1")


async def moved(here: Counter, rate: int) -> int:
    async with asyncio.timeout(10):
        while (now := (await here.price()).rate) == rate:
            await asyncio.sleep(0.1)
    return now


async def test_a_quote_says_no_before_anything_is_signed(here: Counter) -> None:
    keys, fresh = here.town.money.keys, "0x" + os.urandom(20).hex()
    renter = keys.address("renter")
    cases = {
        "not an address": wire.AskQuote(renter, "0x" + "aB" * 20, 0),
        "lost or go nowhere": wire.AskQuote(renter, here.town.money.network.escrow, 0),
        "nothing to cash out": wire.AskQuote(fresh, renter, 0),
        "holds less": wire.AskQuote(renter, fresh, 10**15),
        "eat the whole": wire.AskQuote(renter, fresh, 400),
    }
    for words, request in cases.items():
        assert words in reason(await here.ask("pool.quote", request)), words
    quoted = await here.ask("pool.quote", wire.AskQuote(renter, fresh, 10_000))
    assert isinstance(quoted, wire.Quoted)
    assert (quoted.amount, quoted.fee) == (10_000, 500)


async def test_a_fee_that_no_longer_pays_is_refused(here: Counter) -> None:
    keys = here.town.money.keys
    request = wire.SendCashOut(keys.address("renter"), "0x" + "22" * 20, 1_000, 100, "0x" + "00" * 32, 2**40, "0x" + "00" * 65)
    assert "new quote" in reason(await here.ask("pool.cash_out", request))
    forged = wire.SendCashOut(keys.address("renter"), "0x" + "22" * 20, 1_000, 500, "0x" + "00" * 32, 2**40, "0x" + "00" * 65)
    assert "sign" in reason(await here.ask("pool.cash_out", forged))
