"""The keeper on a real server and a real chain: what waits, what is paid, and that everything is paid once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from desktop_app.core.keeping import GRACE_S, LEAST, LONGEST_S
from desktop_app.core.money import net
from desktop_app.pool.keeper import Keeper
from tests.adapters.market_chain import HOUR, RATE
from tests.pool.bench import Bench

SMALL = 60_000  # a minute, two and a half cents
LARGE = HOUR * 3 // 2  # a little more than two dollars
DEAR = 10**24  # micro-dollars per ether: gas on the practice chain costs next to nothing


@contextlib.asynccontextmanager
async def at_work(keeper: Keeper, here: Bench) -> AsyncIterator[None]:
    working = asyncio.create_task(keeper.run(here.session))
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def until_paid(here: Bench, job: str, units: int, gpu: int | None = None) -> None:
    async with asyncio.timeout(20):
        while await here.paid(job, gpu) != units:
            await asyncio.sleep(0.05)


async def until_written(here: Bench, job: str, units: int) -> None:
    async with asyncio.timeout(10):
        while (record := await here.kept(job)) is None or record.paid != units:
            await asyncio.sleep(0.05)


async def test_a_small_voucher_waits_and_two_dollars_do_not(here: Bench) -> None:
    keeper, owner = here.keeper(), here.money.keys.address("owner")
    job, before = await here.open_job(2 * HOUR), await here.balance(owner)
    async with at_work(keeper, here):
        await keeper.keep(here.session, here.verdict(job, SMALL))
        await asyncio.sleep(1.5)
        assert await here.paid(job) == 0
        assert net(LARGE, RATE, 10) >= LEAST
        await keeper.keep(here.session, here.verdict(job, LARGE))
        await until_paid(here, job, LARGE)
        await until_written(here, job, LARGE)
    assert await here.balance(owner) - before == net(LARGE, RATE, 10)
    record = await here.kept(job)
    assert record is not None and (record.units, record.taken_until) == (LARGE, 0)


async def test_only_the_newest_good_voucher_is_kept_and_its_age_is_that_of_the_first(here: Bench) -> None:
    keeper = here.keeper()
    job = await here.open_job(HOUR)
    for verdict in (
        here.verdict(job, 2 * SMALL),
        here.verdict(job, SMALL),
        here.verdict(job, 3 * SMALL, by="owner"),
        here.verdict(job, HOUR + 1),
        here.verdict("0x" + "00" * 32, SMALL),
    ):
        await keeper.keep(here.session, verdict)
    record = await here.kept(job)
    assert record is not None and (record.units, record.attested) == (2 * SMALL, False)
    await here.change(job, since=1_000)
    await keeper.keep(here.session, here.verdict(job, 3 * SMALL))
    record = await here.kept(job)
    assert record is not None and (record.units, record.since) == (3 * SMALL, 1_000)


async def test_a_day_or_the_deadline_makes_any_voucher_ripe_and_another_keeper_finds_it(here: Bench) -> None:
    old, ending = await here.open_job(HOUR), await here.open_job(HOUR)
    first = here.keeper()
    for job in (old, ending):
        await first.keep(here.session, here.verdict(job, SMALL))
    await here.change(old, since=int(time.time()) - LONGEST_S)
    second = here.keeper()
    async with at_work(second, here):
        await until_paid(here, old, SMALL)
        assert await here.paid(ending) == 0
        second.hear_deadline(ending, int(time.time()) - GRACE_S // 2)
        await until_paid(here, ending, SMALL)


async def test_a_keeper_pays_no_more_gas_than_the_fee_brings_unless_it_is_told_to(here: Bench) -> None:
    job = await here.open_job(2 * HOUR)
    dear = here.keeper(eth_usd=DEAR)
    async with at_work(dear, here):
        await dear.keep(here.session, here.verdict(job, LARGE))
        await asyncio.sleep(1.5)
        assert await here.paid(job) == 0
    told = here.keeper(every_task=True, eth_usd=DEAR)
    async with at_work(told, here):
        await until_paid(here, job, LARGE)


async def test_two_keepers_make_one_transaction(here: Bench) -> None:
    one, other = here.keeper(every_task=True), here.keeper(every_task=True)
    job = await here.open_job(HOUR)
    before = await here.sent()
    async with at_work(one, here), at_work(other, here):
        await asyncio.gather(*(keeper.keep(here.session, here.verdict(job, SMALL)) for keeper in (one, other)))
        await until_paid(here, job, SMALL)
        await asyncio.sleep(1)
    assert await here.sent() == before + 1


async def test_a_claim_is_left_alone_until_it_runs_out(here: Bench) -> None:
    job = await here.open_job(HOUR)
    keeper = here.keeper(every_task=True)
    await keeper.keep(here.session, here.verdict(job, SMALL))
    await here.change(job, taken_until=int(time.time()) + 100)
    async with at_work(here.keeper(every_task=True), here):
        await asyncio.sleep(1)
        assert await here.paid(job) == 0
        await here.change(job, taken_until=int(time.time()) - 1)
        await until_paid(here, job, SMALL)


async def test_what_its_owner_redeemed_meanwhile_is_let_go(here: Bench) -> None:
    job = await here.open_job(HOUR)
    keeper = here.keeper(every_task=True)
    await keeper.keep(here.session, here.verdict(job, SMALL))
    promise, signature = here.money.voucher(job, SMALL)
    await asyncio.to_thread(here.relayer().redeem, promise, signature)
    before = await here.sent()
    async with at_work(keeper, here):
        await until_written(here, job, SMALL)
    assert await here.sent() == before
    await keeper.keep(here.session, here.verdict(job, SMALL))
    assert keeper.jobs() == frozenset()


async def test_the_attestors_vouchers_share_one_transaction(here: Bench) -> None:
    keeper = here.keeper(every_task=True)
    jobs = [await here.open_job(HOUR) for _ in range(3)]
    for place, job in enumerate(jobs, start=1):
        await keeper.keep(here.session, here.verdict(job, place * SMALL, by="attestor"))
    assert all(record is not None and record.attested for record in [await here.kept(job) for job in jobs])
    before, owner = await here.sent(), here.money.keys.address("owner")
    held = await here.balance(owner)
    async with at_work(keeper, here):
        for place, job in enumerate(jobs, start=1):
            await until_paid(here, job, place * SMALL)
        async with asyncio.timeout(10):
            while keeper.jobs():
                await asyncio.sleep(0.05)
    assert await here.sent() == before + 1
    assert await here.balance(owner) - held == sum(net(place * SMALL, RATE, 10) for place in (1, 2, 3))
    assert here.money.gpu in keeper.paid
