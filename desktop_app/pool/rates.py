"""The rate of every tier, moved once an epoch by how much of the offered GPU time was at work.

An epoch is a number on the wall clock, and the price is written by compare-and-swap, so that of any number of pools one
moves the rate and the others see it moved. When nothing was offered, nobody knows, and the rate stays. Called by the pool.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from desktop_app.adapters.market import Session
from desktop_app.core.gpu import Tier
from desktop_app.core.money import Rate
from desktop_app.core.pricing import Controller, next_rate, utilisation
from desktop_app.wire import market as wire
from desktop_app.wire.market import Offer, Price, Refusal
from desktop_app.wire.networks import Network

SAMPLE_S = 1.0


@dataclass(slots=True)
class Use:
    """Samples of one tier in one epoch."""

    busy: int = 0
    offered: int = 0


@dataclass(slots=True)
class Offers:
    """The offers that are alive. `clock` gives monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    seen: dict[str, tuple[Offer, float]] = field(default_factory=dict)

    async def hear(self, subject: str, raw: bytes) -> None:
        """A GPU said that it is offered, or that it no longer is."""
        gpu = subject.rsplit(".", 1)[-1]
        offer = wire.unpack(raw, Offer) if raw else None
        if isinstance(offer, Offer):
            self.seen[gpu] = (offer, self.clock())
        else:
            self.seen.pop(gpu, None)

    def sample(self, used: Mapping[Tier, Use]) -> None:
        """Count what is offered and busy right now."""
        now = self.clock()
        self.seen = {gpu: one for gpu, one in self.seen.items() if now - one[1] < wire.OFFER_LASTS_S}
        for offer, _since in self.seen.values():
            if offer.tier in used:
                used[offer.tier].offered += 1
                used[offer.tier].busy += int(offer.busy)


class Rates:
    """Keeps the bucket `prices`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._offers = Offers()

    async def run(self, session: Session) -> None:
        """Set first prices, then move them, as long as the session lives."""
        await session.listen(f"$KV.{wire.OFFERS}.>", self._offers.hear)
        used = {tier: Use() for tier, _bounds in self._network.tiers}
        for tier, bounds in self._network.tiers:
            if await session.read(wire.PRICES, tier.value) is None:
                first = Price(bounds.start, self._epoch(), self._network.fee_bps)
                await session.write(wire.PRICES, tier.value, wire.pack(first), 0)
        epoch = self._epoch()
        while True:
            await asyncio.sleep(SAMPLE_S)
            self._offers.sample(used)
            if self._epoch() != epoch:
                epoch = self._epoch()
                for tier, use in used.items():
                    await self._move(session, tier, use, epoch)
                used = {tier: Use() for tier in used}

    async def _move(self, session: Session, tier: Tier, use: Use, epoch: int) -> None:
        bounds = self._network.bounds(tier)
        entry = await session.read(wire.PRICES, tier.value)
        if entry is None or bounds is None:
            return
        price = wire.unpack(entry.value, Price)
        if isinstance(price, Refusal) or price.epoch >= epoch:
            return
        rate = Rate(price.rate)
        if use.offered:
            rate = next_rate(rate, utilisation(use.busy, use.offered), Controller(bounds.floor, bounds.ceiling))
        moved = wire.pack(Price(rate, epoch, self._network.fee_bps))
        await session.write(wire.PRICES, tier.value, moved, entry.revision)

    def _epoch(self) -> int:
        return int(time.time()) // self._network.epoch_s


async def price_of(session: Session, tier: Tier) -> Price | None:
    """The standing price of a tier, or None."""
    entry = await session.read(wire.PRICES, tier.value)
    price = wire.unpack(entry.value, Price) if entry else None
    return price if isinstance(price, Price) else None
