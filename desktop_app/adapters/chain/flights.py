"""Transactions under way from one address: numbered one after another, sent again when forgotten, raised when they wait.

A flight is one number and one deed, in as many versions as were sent; whichever version is mined, the flight has landed. It
is landed for good when its block has the profile's confirmations: a receipt that a reorganisation takes away is waited for
again. Called by `sending.py`.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from desktop_app.adapters.chain.abi import Deed
from desktop_app.adapters.chain.answers import Receipt, quantity
from desktop_app.adapters.chain.client import Client, Silent
from desktop_app.adapters.chain.fees import Offer, raised
from desktop_app.core.errors import AppError

_log: Final = logging.getLogger(__name__)
Sign = Callable[[dict[str, int | str]], bytes]
"""Signs a transaction; the key stays where it is."""

RESEND_S: Final = 10.0
RAISE_S: Final = 30.0
"""Seconds without a block that holds it, after which a transaction is replaced by a dearer one."""
_POLL_S: Final = (0.1, 1.0)
_IMPATIENT_S: Final = 5.0  # as long as the first poll interval holds
_GONE_S: Final = 3.0  # a number that is used, but by nothing of ours, for so long is somebody else's
_BLANK_GAS: Final = 21_000
_KNOWN: Final = ("already known", "already in mempool", "known transaction", "already imported")
_TAKEN: Final = ("nonce", "replac")
_REMEMBERED_S: Final = 3_600.0


class Overtaken(AppError):
    """Another program with the same key took the number."""

    def __init__(self) -> None:
        super().__init__(
            "The chain's node does not take the transaction's number.", "Another program may use the relayer's key; stop it."
        )


@dataclass(slots=True, eq=False)
class Flight:
    """One numbered transaction. Changed under its lock."""

    number: int
    to: str
    data: str
    gas: int
    first: Offer
    offer: Offer
    versions: dict[str, bytes] = field(default_factory=dict)  # hash -> signed bytes, oldest first
    waiters: int = 0
    left_at: float = 0.0  # when the last one gave up waiting
    resend_at: float = 0.0
    raise_at: float = 0.0
    gone_since: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def newest(self) -> tuple[str, bytes]:
        return next(reversed(self.versions.items()))


class Flights:
    """The numbers of one address, and what is under way on them. Safe to use from several threads."""

    def __init__(self, client: Client, address: str) -> None:
        self._client = client
        self._address = address
        self._lock = threading.Lock()
        self._next = 0  # first number not given out, as far as we know
        self._open: list[Flight] = []

    def under_way(self, deed: Deed[object], once: bool) -> Flight | None:
        """The equal deed that is under way; if not `once`, only one that nobody waits for any more."""
        with self._lock:
            for flight in self._open:
                if (flight.to, flight.data) == (deed.address, deed.data) and (once or not flight.waiters):
                    flight.waiters += 1
                    return flight
        return None

    def start(self, deed: Deed[object], gas: int, offer: Offer, sign: Sign, once: bool) -> Flight:
        """Number, sign and send; one at a time, so that no two share a number and none leaves a gap."""
        with self._lock:
            for flight in self._open if once else ():
                if (flight.to, flight.data) == (deed.address, deed.data):  # somebody was quicker
                    flight.waiters += 1
                    return flight
            forgotten = time.monotonic() - _REMEMBERED_S
            self._open = [one for one in self._open if one.waiters or one.left_at > forgotten]
            for fresh in (False, True):
                number = self._count("pending") if fresh else max(self._count("pending"), self._next)
                flight = Flight(number, deed.address, deed.data, gas, offer, offer, waiters=1)
                if self._sent(flight, self._version(flight, sign)):
                    self._next = number + 1
                    self._open.append(flight)
                    return flight
            self._next = 0
        raise Overtaken

    def follow(self, flight: Flight, sign: Sign, price: Callable[[], Offer], wait_s: float) -> Receipt:
        """Wait until the flight is in a block with the profile's confirmations; keep it moving meanwhile."""
        began = time.monotonic()
        deadline, landed = began + wait_s, False
        try:
            while True:
                try:
                    receipt = self._receipt(flight)
                    if receipt is not None and self._client.is_settled(receipt):
                        self._close(flight)
                        return receipt
                    if receipt is not None and not landed:
                        landed, deadline = True, time.monotonic() + wait_s  # the blocks after it have their own time
                    self._push(flight, sign, price, receipt)
                except Silent:
                    if time.monotonic() > deadline:
                        raise
                if time.monotonic() > deadline:
                    raise self._late(flight, wait_s)
                time.sleep(_POLL_S[time.monotonic() - began > _IMPATIENT_S])
        except Overtaken:
            self._close(flight)
            raise
        finally:
            with self._lock:
                flight.waiters -= 1
                flight.left_at = time.monotonic()

    def _push(self, flight: Flight, sign: Sign, price: Callable[[], Offer], receipt: Receipt | None) -> None:
        """Whatever it takes that the flight lands; does nothing while it has."""
        with flight.lock:
            now = time.monotonic()
            if receipt is not None:
                flight.gone_since = None
                flight.resend_at = now  # should the block be undone, at once
                flight.raise_at = now + RAISE_S
                return
            self._notice_strangers(flight, now)
            if now > flight.raise_at:
                flight.raise_at = now + RAISE_S
                self._raise(flight, sign, price())
                self._clear_the_way(flight, sign, price())
            elif now > flight.resend_at:
                flight.resend_at = now + RESEND_S
                self._client.tell_all("eth_sendRawTransaction", "0x" + flight.newest[1].hex())

    def _notice_strangers(self, flight: Flight, now: float) -> None:
        if self._count("latest") <= flight.number:
            flight.gone_since = None
        elif flight.gone_since is None:
            flight.gone_since = now  # the node that counts may be ahead of the one that knows the receipts
        elif now > flight.gone_since + _GONE_S:
            raise Overtaken

    def _raise(self, flight: Flight, sign: Sign, now: Offer) -> None:
        dearer = raised(flight.offer, now, flight.first)
        if dearer is not None:
            flight.offer = dearer
            self._try(flight, self._version(flight, sign))

    def _clear_the_way(self, flight: Flight, sign: Sign, now: Offer) -> None:
        """Replace what stands before us and is nobody's here, left by a run that died: every deed of ours may be asked for again."""
        number = self._count("latest")
        with self._lock:
            ours = {one.number for one in self._open}
        if number >= flight.number or number in ours:
            return
        most = 2 * max(flight.offer.most, now.most)
        blank = Flight(number, self._address, "0x", _BLANK_GAS, now, Offer(most, most))
        self._try(blank, self._version(blank, sign))

    def _try(self, flight: Flight, name: str) -> None:
        """Send a version that may be refused, since another of the same number may be waiting still."""
        try:
            self._sent(flight, name)
        except Silent:
            raise
        except AppError as error:
            _log.warning("the replacement %s was not taken: %s", name, error.title)

    def _version(self, flight: Flight, sign: Sign) -> str:
        """Sign the flight at its present offer; returns the version's hash."""
        from eth_utils.crypto import keccak

        raw = sign({
            "type": 2, "chainId": self._client.network.chain_id, "nonce": flight.number, "to": flight.to, "value": 0, "data": flight.data,
            "gas": flight.gas, "maxFeePerGas": flight.offer.most, "maxPriorityFeePerGas": flight.offer.tip,
        })  # fmt: skip
        name = "0x" + bytes(keccak(raw)).hex()
        flight.versions[name] = raw
        now = time.monotonic()
        flight.resend_at, flight.raise_at = now + RESEND_S, now + RAISE_S
        return name

    def _sent(self, flight: Flight, name: str) -> bool:
        """Whether a node has this version now; False when its number is taken by another transaction."""
        raw = "0x" + flight.versions[name].hex()
        for pause in (0.2, 1.0, None):
            try:
                self._client.ask("eth_sendRawTransaction", raw)
                return True
            except Silent:
                if pause is None:
                    raise
                time.sleep(pause)
            except AppError as error:
                said = str(error).lower()
                if any(word in said for word in _KNOWN):
                    return True
                if any(word in said for word in _TAKEN):
                    return self._client.receipt(name) is not None
                raise
        raise AssertionError("the last try returns or raises")

    def _receipt(self, flight: Flight) -> Receipt | None:
        """Of whichever version was mined; the newest is the likeliest."""
        for name in reversed(list(flight.versions)):
            receipt = self._client.receipt(name)
            if receipt is not None:
                return receipt
        return None

    def _count(self, tag: str) -> int:
        return quantity(self._client.ask("eth_getTransactionCount", self._address, tag))

    def _close(self, flight: Flight) -> None:
        with self._lock:
            if flight in self._open:
                self._open.remove(flight)

    def _late(self, flight: Flight, wait_s: float) -> AppError:
        with self._lock:
            self._next = 0
        name, _ = flight.newest
        return AppError(f"The chain has not confirmed {name} within {wait_s:.0f} seconds.", "It may still do so; ask again later.")
