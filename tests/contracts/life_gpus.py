"""What owners do with their GPUs, each at random: registering, selling, sharing. Called through `life_market.ACTIONS`."""

from random import Random

from eth_utils.crypto import keccak

from desktop_app.wire import eip712
from tests.contracts.life import Life
from tests.contracts.market import OTHER_TIER, TIER
from tests.contracts.people import ATTESTOR

MOST_GPUS = 12


def some_gpu(life: Life, rnd: Random) -> int:
    return rnd.randint(2, max(2, len(life.model.gpus)))


def register(life: Life, rnd: Random) -> None:
    model, market = life.model, life.market
    if len(model.gpus) > MOST_GPUS:
        return
    again = len(model.gpus) > 1 and rnd.random() < 0.1
    hardware = model.gpus[some_gpu(life, rnd)].hardware if again else keccak(text=f"card {life.number()}")
    owner, operator = rnd.choice(life.crowd.owners), rnd.choice(life.crowd.owners)
    tier, deadline = rnd.choice([TIER, TIER, OTHER_TIER]), life.now + 60
    form = eip712.Registration(owner.address, "0x" + hardware.hex(), tier, operator.address, deadline)
    proof = ATTESTOR.sign(eip712.register(market.domain(market.registry), form))
    call = market.registry.functions.register(owner.address, hardware, tier, operator.address, deadline, ATTESTOR.address, proof)
    life.both("register", lambda _: model.register(owner.address, hardware, tier, operator.address, ATTESTOR.address), call)


def set_tier(life: Life, rnd: Random) -> None:
    model, market, gpu = life.model, life.market, some_gpu(life, rnd)
    if gpu > len(model.gpus):
        return
    tier, deadline = rnd.choice([TIER, OTHER_TIER]), life.now + 60
    proof = ATTESTOR.sign(eip712.set_tier(market.domain(market.registry), model.gpus.account(gpu), tier, deadline))
    call = market.registry.functions.setTier(gpu, tier, deadline, ATTESTOR.address, proof)
    life.both("set_tier", lambda _: model.set_tier(gpu, tier, ATTESTOR.address), call)


def sell(life: Life, rnd: Random) -> None:
    gpus, gpu = life.model.gpus, some_gpu(life, rnd)
    if gpu > len(gpus):
        return
    seller, buyer = life.crowd.named(gpus[gpu].holder), rnd.choice(life.crowd.owners)
    call = life.market.registry.functions.transferFrom(seller.address, buyer.address, gpu)
    life.both("sell", lambda _: gpus.transfer(gpu, buyer.address), call, seller)


def grant_share(life: Life, rnd: Random) -> None:
    gpus, gpu = life.model.gpus, some_gpu(life, rnd)
    if gpu > len(gpus):
        return
    to, bps = rnd.choice(life.crowd.owners), rnd.choice([1, 333, 2_500, 9_999, rnd.randint(0, 10_001)])
    call = life.market.registry.functions.grantShare(gpu, to.address, bps)
    life.both("grant_share", lambda _: gpus.grant_share(gpu, to.address, bps), call, life.crowd.named(gpus[gpu].holder))


def move_share(life: Life, rnd: Random) -> None:
    gpus, gpu = life.model.gpus, some_gpu(life, rnd)
    if gpu > len(gpus) or not gpus[gpu].shares:
        return
    slot = rnd.randrange(len(gpus[gpu].shares))
    by = life.crowd.named(gpus[gpu].shares[slot][0]) if rnd.random() < 0.9 else rnd.choice(life.crowd.owners)
    to = rnd.choice(life.crowd.owners)
    call = life.market.registry.functions.moveShare(gpu, slot, to.address)
    life.both("move_share", lambda _: gpus.move_share(gpu, slot, by.address, to.address), call, by)


def set_operator(life: Life, rnd: Random) -> None:
    gpus, gpu = life.model.gpus, some_gpu(life, rnd)
    if gpu > len(gpus):
        return
    operator = rnd.choice(life.crowd.owners)
    call = life.market.registry.functions.setOperator(gpus[gpu].hardware, operator.address)
    life.both("set_operator", lambda _: gpus.set_operator(gpu, operator.address), call, life.crowd.named(gpus[gpu].holder))
