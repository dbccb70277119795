"""Sends transactions from one address: simulated first, numbered by one counter, raised when they wait, followed until sure.

The same signed bytes are one transaction however often they are sent; a dearer version takes the same number, so that at
most one of them is ever mined. Called by `relaying.py`; `flights.py` follows what was sent.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from desktop_app.adapters.chain import fees, ids
from desktop_app.adapters.chain.abi import Deed
from desktop_app.adapters.chain.answers import Log, Receipt, quantity
from desktop_app.adapters.chain.client import Client, Reverted
from desktop_app.adapters.chain.fees import Offer
from desktop_app.adapters.chain.flights import Flight, Flights, Overtaken, Sign
from desktop_app.adapters.chain.refusals import Refused
from desktop_app.core.errors import AppError

WAIT_S: Final = 60.0
_GAS_MARGIN: Final = 5  # a fifth more than estimated: what runs before may change a few storage slots
_GAS_OF_NEW_SLOTS: Final = 50_000  # two: votes are counted once a second, and estimated in the last block's, which may have its count
_MOST_GAS: Final = 16_777_216  # EIP-7825

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mined:
    """A deed on the chain, with the profile's confirmations. `already`: it had been done before, and nothing was sent; the
    transaction may then be unknown ("")."""

    transaction: str
    block: int
    gas: int
    already: bool = False
    logs: tuple[Log, ...] = ()


class Sender:
    """One address that pays gas. Safe to use from several threads; its numbers are shared by all that use the same client."""

    def __init__(self, client: Client, address: str, sign: Sign, wait_s: float = WAIT_S) -> None:
        self._client = client
        self.address = ids.checksummed(address)
        self._flights = flights_of(client, self.address)
        self._sign = sign
        self._wait_s = wait_s

    def ether(self) -> int:
        """What is left for gas, in wei."""
        return quantity(self._client.ask("eth_getBalance", self.address, "latest"))

    def gas_price(self) -> tuple[int, int]:
        """(maxFeePerGas, maxPriorityFeePerGas) in wei, as a new transaction offers them now."""
        now = self._offer()
        return now.most, now.tip

    def price_now(self) -> int:
        """What a unit of gas costs in the next block, in wei."""
        return self._client.block("latest").base_fee + self._tip()

    def send(self, deed: Deed[T], *, once: bool = True, needless: Callable[[T], bool] | None = None) -> Mined | Refused:
        """Simulate, send, and wait until it is sure. Raises AppError when the chain is silent, or slower than the wait.

        `once`: an equal deed that is under way already is this one. What was given up waiting for is, in any case.
        `needless` looks at what the deed would give back; what it finds done already is not sent.
        """
        for last in (False, True):
            try:
                return self._send(deed, once, needless)
            except Reverted as no:
                return no.refused
            except Overtaken:
                if last or not once:
                    raise
            except AppError as error:
                if "insufficient funds" in str(error).lower():
                    raise AppError(f"The address {self.address} has no ether left for gas.", "Send it some.") from error
                raise
        raise AssertionError("the last try returns or raises")

    def _send(self, deed: Deed[T], once: bool, needless: Callable[[T], bool] | None) -> Mined | Refused:
        flight = self._flights.under_way(deed, once)
        if flight is None:
            seen = self._client.view(deed, sender=self.address)
            if needless is not None and needless(seen):
                return Mined("", 0, 0, already=True)
            estimate = self._client.estimate(deed, self.address)
            gas = min(estimate + estimate // _GAS_MARGIN + _GAS_OF_NEW_SLOTS, _MOST_GAS)
            flight = self._flights.start(deed, gas, self._offer(), self._sign, once)
        receipt = self._flights.follow(flight, self._sign, self._offer, self._wait_s)
        return self._outcome(deed, flight, receipt)

    def _outcome(self, deed: Deed[T], flight: Flight, receipt: Receipt) -> Mined | Refused:
        if receipt.good:
            return Mined(receipt.transaction, receipt.block, receipt.gas, logs=receipt.logs)
        # it looked good, and failed in its block: most likely somebody else was first
        self._client.view(deed, sender=self.address)
        return Refused("", "the chain refused it in its block, though it would be taken now")

    def _offer(self) -> Offer:
        return fees.offer(self._client.block("latest").base_fee, self._tip())

    def _tip(self) -> int:
        return quantity(self._client.ask("eth_maxPriorityFeePerGas"))


_registers: Final[WeakKeyDictionary[Client, dict[str, Flights]]] = WeakKeyDictionary()
_registers_lock: Final = threading.Lock()


def flights_of(client: Client, address: str) -> Flights:
    """The one counter of this address on this connection."""
    with _registers_lock:
        by_address = _registers.setdefault(client, {})
        if address not in by_address:
            by_address[address] = Flights(client, address)
        return by_address[address]
