"""`sublet rent`: a renter with real work, as a process: posts tasks, hears receipts, pays what holds.

On the practice network it is the only renter, with digits to learn and to read. Called by `__main__`; the practice network
calls `rent` with a key of its own.
"""

import argparse
import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from desktop_app.adapters.chain import Chain
from desktop_app.adapters.keys import PASSPHRASE_FILE, Keys, passphrase_from_file
from desktop_app.adapters.market import PULL_WAIT_S, Bus, Endpoint, Puller, Session, durable, kept, together
from desktop_app.adapters.supervisor import run_sandboxed
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.core.task import Blob
from desktop_app.renter.acceptance import Check, RunCheck
from desktop_app.renter.book import Shelf
from desktop_app.renter.digits import varied_digits
from desktop_app.renter.orders import TRAIN
from desktop_app.renter.posting import Posting, came_back, was_judged
from desktop_app.renter.verifying import Verifying
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import TypedMessage
from desktop_app.wire.logins import RENTER, login
from desktop_app.wire.networks import PRACTICE, Network, load, load_practice
from desktop_app.wire.profile import default
from desktop_app.wire.resources import resource

ROLE = "renter"
TEND_S = 2.0
CHECK_S = 120.0
_AGAIN_S = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Renter:
    """Who rents: its address, how it signs, and its folder of files by hash."""

    address: str
    sign: Callable[[TypedMessage], str]
    blobs: Path

    def data_of(self, kind: str) -> Blob:
        """The practice data of a kind, in the folder under its hash; made on first use."""
        content = resource("practice/digits-train.safetensors").read_bytes() if kind == TRAIN else varied_digits()
        sha256 = hashlib.sha256(content).hexdigest()
        place = self.blobs / sha256
        if not place.exists():
            self.blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = place.with_suffix(".new")
            new.write_bytes(content)
            new.replace(place)
        return Blob("data", sha256, len(content), "safetensors")


class Work:
    """The renter at work on one session after another."""

    def __init__(self, network: Network, renter: Renter, chain: Chain, run_check: RunCheck) -> None:
        self._shelf = Shelf(renter.address)
        self._consumer = f"renter-{renter.address.lower()}"
        held_out = resource("practice/digits-heldout.safetensors")
        known: dict[str, Blob] = {}

        def data_of(kind: str) -> Blob:
            if kind not in known:
                known[kind] = renter.data_of(kind)
            return known[kind]

        self._posting = Posting(network, renter.address, renter.sign, self._shelf, renter.blobs, data_of)
        self._verifying = Verifying(chain, renter.sign, self._shelf, renter.blobs, held_out, run_check)
        self._writing = asyncio.Lock()  # the book has one writer at a time
        self._changed = asyncio.Event()
        self._tiers = {Tier.PRACTICE}  # before anybody offers, so that the first task need not be waited for

    async def serve(self, session: Session) -> None:
        """Post and judge as long as the session lives."""
        await session.listen(f"$KV.{wire.OFFERS}.>", self._see)
        await durable(session, wire.RECEIPTS, self._consumer, "receipts.*.*", PULL_WAIT_S)
        await together(self._post(session), self._hear(session))

    async def _see(self, _subject: str, raw: bytes) -> None:
        """A GPU of some tier is offered: there will be work for it."""
        offer = wire.unpack(raw, wire.Offer) if raw else None
        if isinstance(offer, wire.Offer) and offer.tier not in self._tiers:
            self._tiers.add(offer.tier)
            self._changed.set()

    async def _post(self, session: Session) -> None:
        while True:
            self._changed.clear()
            for tier in tuple(self._tiers):
                async with self._writing:
                    await self._posting.tend(session, await self._shelf.book(session), tier)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TEND_S):
                    await self._changed.wait()

    async def _hear(self, session: Session) -> None:
        async with Puller(session, wire.RECEIPTS, self._consumer) as puller:
            while (delivery := await puller.next()) is not None:
                delivered = wire.unpack(delivery.data, wire.DeliveredReceipt)
                try:
                    if isinstance(delivered, wire.Refusal):
                        _log.warning("a receipt that cannot be read: %s", delivered.reason)
                    else:
                        async with kept(session, delivery):
                            await self._take(session, delivered)
                except AppError as error:
                    _log.warning("a receipt waits: %s %s", error.title, error.advice)
                    await session.again(delivery.token, _AGAIN_S)
                else:
                    await session.ack(delivery.token)

    async def _take(self, session: Session, delivered: wire.DeliveredReceipt) -> None:
        receipt = delivered.signed.receipt
        sheet = await self._verifying.note(session, delivered)
        if sheet is None or not receipt.final:
            return
        async with self._writing:  # first, so that the next task is on the queue while this one is judged
            await self._shelf.put_book(session, came_back(await self._shelf.book(session), receipt.task_id))
        self._changed.set()
        judged, model = await self._verifying.judge(session, sheet, delivered)
        if judged.standing is not sheet.standing or model is not None:
            async with self._writing:
                await self._shelf.put_book(session, was_judged(await self._shelf.book(session), judged, model))
            self._changed.set()


def main(arguments: Sequence[str]) -> int:
    """Rent on one network until told to stop."""
    parser = argparse.ArgumentParser(prog="sublet rent", description="A renter with real work, who pays what holds.")
    parser.add_argument("network", nargs="?", default=PRACTICE, help="the network to rent on")
    parser.add_argument("--folder", type=Path, help="where its keys, login and files are; the profile's practice folder by default")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or default().practice
    network = load_practice(folder / "network.json") if chosen.network == PRACTICE else load(chosen.network)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    keys = Keys(folder / "keys", lambda: passphrase_from_file(os.environ), standing=(ROLE,), wallet=False)
    if keys.create_or_open().needs_passphrase:
        raise AppError("The renter's key is locked.", f"Put its passphrase into a file of mode 600 and name it in {PASSPHRASE_FILE}.")
    asyncio.run(rent(network, keys, folder))
    return 0


async def rent(network: Network, keys: Keys, folder: Path) -> None:
    """Rent with the key ROLE of `keys` until SIGTERM or SIGINT; files and login lie in `folder`."""

    def endpoint() -> Endpoint:
        mine = login(folder, RENTER)
        return Endpoint(network.nats_urls, mine.user, mine.password)

    def sign(message: TypedMessage) -> str:
        return keys.sign_typed(ROLE, message)

    renter = Renter(keys.address(ROLE), sign, folder / "renter" / "blobs")
    await work_until_told(network, renter, endpoint, sandboxed(folder / "renter" / "checks"))


def sandboxed(folder: Path) -> RunCheck:
    """Runs checks in a sandboxed child, with its files in `folder` while it runs."""

    def run(check: Check) -> Mapping[str, float]:
        workdir = folder / secrets.token_hex(8)
        try:
            _files, metrics = run_sandboxed(check.kind, check.inputs, check.params, check.seed, workdir, CHECK_S)
        finally:
            shutil.rmtree(workdir, ignore_errors=True)
        return metrics

    return run


async def work_until_told(network: Network, renter: Renter, endpoint: Callable[[], Endpoint], run_check: RunCheck) -> None:
    """Post, judge and pay until SIGTERM or SIGINT."""
    chain = Chain(network)
    work = Work(network, renter, chain, run_check)
    bus = Bus(endpoint, work.serve, lambda detail: _log.info("%s", detail))
    try:
        await bus.run_until_told()
        _log.info("the renter ends")
    finally:
        chain.close()
