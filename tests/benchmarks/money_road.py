"""The whole road of the money without a drop of ether for renters and owners, and every micro-dollar where it belongs.

    python -m tests.benchmarks.money_road [actions] [chain]

Plays `actions` random actions (10,000 unless told otherwise) on `py-evm`, on `anvil`, or on both. Renters and owners only sign;
a stranger brings everything; their ether is zero before, during and after. Every 500 actions, and at the end, each balance,
debt, job and claim is compared with the model. Prints how many actions there were, by how many micro-dollars the chain was off
(0, or the run fails), how many a second, and how often each action was done and refused.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3.types import Wei

from tests.contracts.conftest import installed_modules
from tests.contracts.ground import ACCOUNTS, AnvilGround, Ground, InProcess, foundry
from tests.contracts.life import Crowd, Life
from tests.contracts.life_gpus import MOST_GPUS
from tests.contracts.life_market import GASLESS
from tests.contracts.market import TIER, Market
from tests.contracts.people import STRANGER, Person, person

CHAINS = ("anvil", "py-evm")
CHECK_EVERY = 500
FOUNDER = person(ACCOUNTS)
POOR = Crowd(
    tuple(person(ACCOUNTS + number) for number in range(1, 6)),
    (FOUNDER, *(person(ACCOUNTS + number) for number in range(6, 14))),
)
"""Their keys are above those of the accounts that hold ether, but for the founder, who gives it all away."""
WEIGHTS = {
    "open_gasless": 14, "redeem": 25, "redeem_attested": 8, "batch": 8, "claim": 8, "challenge": 4, "resolve": 3, "finalize": 6,
    "close": 8, "top_up_gasless": 6, "cash_out": 8, "sweep": 2, "withdraw": 3, "jump": 5, "freeze": 1, "thaw": 3,
}  # fmt: skip
"""How often each action is chosen; 1 for those not named."""


@contextmanager
def ground(chain: str) -> Iterator[Ground]:
    here: Ground = InProcess() if chain == "py-evm" else AnvilGround(foundry(installed_modules(), "anvil"))
    try:
        yield here
    finally:
        here.close()


def co_owned(life: Life, luck: Random) -> None:
    """GPUs with co-owners. Granting a share takes a transaction of the holder's own, so that a founder with ether grants them,
    hands the GPUs to their owners without ether, and then gives all its ether away, because it may still be paid and claim for
    the time before."""
    market, gpus = life.market, life.model.gpus
    for number in range(6):
        word, owner = f"co-owned {number}", luck.choice(POOR.owners)
        gpu = market.register(FOUNDER, word, operator=owner)
        gpus.register(FOUNDER.address, keccak(text=word), TIER, owner.address)
        for _ in range(number):
            co_owner, bps = luck.choice(POOR.owners), luck.choice([1, 333, 1_250])
            market.grant(FOUNDER, co_owner, bps, gpu)
            gpus.grant_share(gpu, co_owner.address, bps)
        market.sell(FOUNDER, owner, gpu)
        gpus.transfer(gpu, owner.address)
    _give_ether_away(market, FOUNDER)
    life.now = market.now


def _give_ether_away(market: Market, who: Person) -> None:
    """To the last wei."""
    eth, price, gas = market.web3.eth, 10**10, 21_000
    poor, rich = to_checksum_address(who.address), to_checksum_address(STRANGER.address)
    value, paid = Wei(eth.get_balance(poor) - gas * price), Wei(price)
    eth.send_transaction({"from": poor, "to": rich, "value": value, "gas": gas, "maxFeePerGas": paid, "maxPriorityFeePerGas": paid})


def ether(market: Market) -> int:
    """Of all renters and owners together, in wei."""
    return sum(market.web3.eth.get_balance(to_checksum_address(one.address)) for one in (*POOR.renters, *POOR.owners))


def road(market: Market, actions: int, seed: int = 1) -> Life:
    """Walks it; the life returned holds what was counted."""
    life, luck = Life(market, POOR, installed_modules()), Random(seed)
    life.begin()
    co_owned(life, luck)
    assert len(life.model.gpus) < MOST_GPUS
    names = [name for name in GASLESS for _ in range(WEIGHTS.get(name, 1))]
    while (done := acted(life)) < actions:
        GASLESS[luck.choice(names)](life, luck)
        if acted(life) // CHECK_EVERY > done // CHECK_EVERY:
            check(life)
    check(life)
    return life


def acted(life: Life) -> int:
    """Actions done or refused on the chain; a jump of the clock is none."""
    return sum(count for (name, _), count in life.counts.items() if name not in ("jump", "row of a batch"))


def check(life: Life) -> None:
    off = life.check()
    assert off == 0, f"off by {off} micro-dollars after {acted(life)} actions"
    assert ether(life.market) == 0, "somebody who was to have no ether has some"


def main() -> None:
    actions = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for chain in sys.argv[2:] or CHAINS:
        with ground(chain) as here:
            market = Market(here)
            begun = time.monotonic()
            life = road(market, actions)
            took = time.monotonic() - begun
            for name in sorted(GASLESS):
                refusals = sum(count for (act, said), count in life.counts.items() if act == name and said)
                print(f"  {name}: {life.counts[name, '']} done, {refusals} refused")
            print(f"money_road_actions {acted(life)} on {chain}")
            print(f"money_road_off_by {life.check()} micro-dollars on {chain}")
            print(f"money_road_jobs {len(life.model.jobs)} on {chain}")
            print(f"money_road_rate {acted(life) / took:.4g} actions/s on {chain}", flush=True)


if __name__ == "__main__":
    main()
