"""The relayer's ether: watched, missed early, and its absence said as a refusal that an owner can read.

Called by the pool's desk before every deed, and by its keeper, which sends nothing that would cost the pool more than it brings.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from desktop_app.adapters.chain import Relayer
from desktop_app.core.money import MicroUsd
from desktop_app.wire.market import Refusal

LOOK_S: Final = 15.0
ALARM_EVERY_S: Final = 600.0
DEED_GAS: Final = 300_000
"""The dearest deed, a registration, with a margin."""

EMPTY: Final = Refusal("the market's relayer has no ether left for gas; its keeper has to refill it", own=True)
_WEI: Final = 10**18

_log = logging.getLogger(__name__)


class Fuel:
    """What one relayer has left. `eth_usd` is micro-dollars per ether; `clock` gives monotonic seconds."""

    def __init__(self, relayer: Relayer, eth_usd: MicroUsd, clock: Callable[[], float] = time.monotonic) -> None:
        self._relayer = relayer
        self._eth_usd = eth_usd
        self._clock = clock
        self._seen: float | None = None
        self._alarmed: float | None = None
        self._deeds = 0
        self._gas_price = 0.0  # wei

    async def refusal(self) -> Refusal | None:
        """Why nothing can be sent, or None."""
        await self._look()
        return None if self._deeds else EMPTY

    async def cost(self, gas: int) -> MicroUsd:
        """What `gas` costs the pool now, in micro-dollars, rounded up."""
        await self._look()
        return MicroUsd(-(-int(self._gas_price * gas) * self._eth_usd // _WEI))

    async def _look(self) -> None:
        now = self._clock()
        if self._seen is not None and now < self._seen + LOOK_S:
            return
        relayer = self._relayer
        ether, cost, alarm = await asyncio.to_thread(lambda: (relayer.ether(), relayer.gas_cost(DEED_GAS), relayer.ether_alarm()))
        self._seen, self._deeds, self._gas_price = now, ether // max(cost, 1), cost / DEED_GAS
        if alarm is not None and (self._alarmed is None or now >= self._alarmed + ALARM_EVERY_S):
            self._alarmed = now
            _log.warning("the relayer's ether runs low: %s", alarm)
