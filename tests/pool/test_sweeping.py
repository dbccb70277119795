"""What is left once work is paid: a job that is over is closed, stuck money comes when it can, fees go to the treasury; and a sale."""

import asyncio
import secrets

from desktop_app.core.gpu import Tier
from desktop_app.core.money import Units, fee, gross, net
from desktop_app.pool.sweeping import Sweeping
from desktop_app.wire import market as wire
from desktop_app.wire import pooling
from desktop_app.wire.market import JobRecord, Refusal
from tests.adapters.market_chain import HOUR, RATE, mined
from tests.pool.bench import Bench


async def known_job(here: Bench, units: int = HOUR) -> str:
    job = await here.open_job(units)
    await here.session.write(wire.JOBS, job, wire.pack(JobRecord()))
    return job


async def redeem(here: Bench, job: str, units: int, gpu: int | None = None) -> None:
    mined(await asyncio.to_thread(here.relayer().redeem, *here.money.voucher(job, units, gpu)))


def broom(here: Bench, eth_usd: int = 0) -> Sweeping:
    return Sweeping(here.chain, here.relayer(), here.fuel(eth_usd=eth_usd), here.keeper())


async def is_open(here: Bench, job: str) -> bool:
    found = await asyncio.to_thread(here.chain.job, job)
    assert found is not None
    return found.is_open


async def test_a_job_whose_work_is_paid_is_closed_once_and_the_others_stay(here: Bench) -> None:
    done, going = await known_job(here), await known_job(here)
    await redeem(here, done, HOUR)
    await redeem(here, going, HOUR // 2)
    before = await here.sent()
    await asyncio.gather(broom(here).sweep(here.session), broom(here).sweep(here.session))
    assert (await is_open(here, done), await is_open(here, going)) == (False, True)
    await broom(here).sweep(here.session)
    closing_and_fees = 2
    assert await here.sent() - before <= closing_and_fees


async def test_fees_go_to_the_treasury_when_they_are_worth_the_trip(here: Bench) -> None:
    treasury = (await asyncio.to_thread(here.chain.policy)).treasury
    job = await known_job(here, 2 * HOUR)
    await redeem(here, job, HOUR)
    before = await here.balance(treasury)
    await broom(here, eth_usd=10**24).sweep(here.session)
    assert await here.balance(treasury) == before
    await broom(here).sweep(here.session)
    assert await here.balance(treasury) - before >= fee(gross(HOUR, RATE), 10)
    found = await asyncio.to_thread(here.chain.job, job)
    assert found is not None and found.fees == 0


async def test_what_the_stablecoin_refused_is_delivered_when_it_no_longer_does(here: Bench) -> None:
    keys, usdc, deployer = here.money.keys, here.chain.client.usdc, here.relayer("deployer")
    owner = keys.address("owner")
    job, before = await known_job(here), await here.balance(owner)
    mined(await asyncio.to_thread(deployer.send, usdc.blacklist(owner)))
    sweeping = broom(here)
    await redeem(here, job, HOUR // 2)
    sweeping._keeper.paid.add(here.money.gpu)
    await sweeping.sweep(here.session)
    assert await here.session.read(pooling.OWED, owner) is not None
    assert await asyncio.to_thread(here.chain.owed, owner) == net(HOUR // 2, RATE, 10)
    mined(await asyncio.to_thread(deployer.send, usdc.un_blacklist(owner)))
    await broom(here).sweep(here.session)  # another pool, or this one after a restart
    assert await here.balance(owner) - before == net(HOUR // 2, RATE, 10)
    await broom(here).sweep(here.session)
    assert await here.session.read(pooling.OWED, owner) is None


async def test_without_ether_nothing_is_swept(here: Bench) -> None:
    job = await known_job(here)
    await redeem(here, job, HOUR)
    await Sweeping(here.chain, here.relayer("owner"), here.fuel("owner"), here.keeper()).sweep(here.session)
    assert await is_open(here, job)


async def test_a_sale_harms_nobody(here: Bench) -> None:
    """What was earned before stays the seller's; the machine speaks for the buyer only once the buyer says so."""
    keys, registry, desk = here.money.keys, here.chain.client.registry, here.desk()
    await here.give_ether("owner")
    await here.give_ether("renter")
    hardware, seller, buyer = "0x" + secrets.token_hex(32), keys.address("owner"), keys.address("renter")
    asked = wire.RegisterGpu(seller, keys.address("operator"), hardware, Tier.PRACTICE)
    first = await desk.register(here.session, asked)
    assert isinstance(first, wire.Registered)
    job, held = await known_job(here), await here.balance(seller)
    mined(await asyncio.to_thread(here.relayer("owner").send, registry.transfer_from(seller, buyer, first.gpu_id)))
    account = await asyncio.to_thread(here.chain.account, first.gpu_id)
    assert account is not None and account != first.gpu_id
    refused = await desk.register(here.session, asked)
    assert isinstance(refused, Refusal) and "another owner" in refused.reason
    anew = wire.RegisterGpu(buyer, asked.operator, hardware, Tier.PRACTICE)
    refused = await desk.register(here.session, anew)
    assert isinstance(refused, Refusal) and "has yet to name this machine's key" in refused.reason
    mined(await asyncio.to_thread(here.relayer("renter").send, registry.set_operator(hardware, asked.operator)))
    assert await desk.register(here.session, anew) == wire.Registered(account)
    keeper = here.keeper(every_task=True)
    working = asyncio.create_task(keeper.run(here.session))
    await keeper.keep(here.session, here.verdict(job, Units(60_000), gpu=first.gpu_id))
    async with asyncio.timeout(20):
        while await here.paid(job, first.gpu_id) != 60_000:
            await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert await here.balance(seller) - held == net(60_000, RATE, 10)
    assert await here.paid(job, account) == 0
