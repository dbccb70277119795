"""The renter on a real server and a real chain, with the pool beside it: posts once, pays once, and goes on after a crash.

The sandboxed check is replaced by its figures here; it is run for real in tests/practice.
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from desktop_app.adapters.market import Session
from desktop_app.adapters.market.blobs import upload
from desktop_app.adapters.market.leases import look
from desktop_app.core.classifier import shape_of
from desktop_app.core.gpu import Tier
from desktop_app.core.receipts import Receipt, SignedReceipt, canonical, digest, result_sha256
from desktop_app.core.task import Blob, segment_units
from desktop_app.renter import posting as posting_module
from desktop_app.renter.acceptance import Check
from desktop_app.renter.book import Book, Plan, Shelf, Standing
from desktop_app.renter.main import Renter, Work
from desktop_app.renter.posting import OUTSTANDING, Posting, came_back, was_judged
from desktop_app.renter.verifying import Verifying
from desktop_app.wire import market as wire
from desktop_app.wire import tensors
from desktop_app.wire.eip712 import TypedMessage
from desktop_app.wire.resources import resource
from tests.pool.rig import Counter, Town, counter, town


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(tmp_path_factory.mktemp("town")) as built:
        yield built


@dataclass
class Desk:
    """The renter's parts on one session."""

    counter: Counter
    posting: Posting
    verifying: Verifying
    shelf: Shelf
    blobs: Path
    accuracy: float = 0.97
    checks: list[Check] = field(default_factory=list)

    async def book(self) -> Book:
        return await self.shelf.book(self.counter.renter)

    async def tend(self) -> Book:
        return await self.posting.tend(self.counter.renter, await self.book(), Tier.PRACTICE)

    async def finish(
        self, task_id: str, epochs: tuple[int, ...] = (1,), *, by: str = "operator", content: bytes | None = None, final_epoch: int = 0
    ) -> wire.DeliveredReceipt:
        """Do the task as one GPU would, in as many segments as there are epochs; the last receipt, as it would arrive."""
        sheet = await self.shelf.sheet(self.counter.renter, task_id)
        assert sheet is not None
        told = msgspec.json.decode(sheet.manifest)
        manifest = self.verifying._manifest(sheet)
        model = self.model(dict(told["params"])) if content is None else content
        path = self.blobs / digest_of(model)
        path.write_bytes(model)
        await upload(self.counter.renter, path.name, path)
        result = (Blob("model", path.name, len(model), "safetensors"),)
        gpu, previous, first, grants = self.counter.town.money.gpu, "", 0, []
        for place, epoch in enumerate(epochs, start=1):
            last = manifest.steps * place // len(epochs)
            final = place == len(epochs)
            body = Receipt(
                task_id=task_id, job_id=manifest.job_id, gpu_id=gpu, manifest_sha256=manifest.sha256, epoch=epoch, first_step=first,
                last_step=last, units=segment_units(manifest, first, last), state_sha256="" if final else "ee" * 32,
                result_sha256=result_sha256(result) if final else "", prev=previous, final=final, started=1, ended=2, device="test",
                hardware=self.counter.town.money.hardware,
            )  # fmt: skip
            grants.append(wire.Grant(epoch, gpu, first, "" if first == 0 else "ee" * 32, previous))
            signed = SignedReceipt(body, self.counter.town.money.keys.sign_message(by, canonical(body)))
            delivered = wire.DeliveredReceipt(signed, result if final else ())
            first, previous = last, digest(body)
            if not final:
                await self.verifying.note(self.counter.renter, delivered)
        record = wire.LeaseRecord(wire.Standing.HELD, epoch=final_epoch or epochs[-1], gpu_id=gpu, grants=tuple(grants))
        await self.counter.pool.write(wire.LEASES, task_id, wire.pack(record))
        return delivered

    @staticmethod
    def model(params: dict[str, int | float | str]) -> bytes:
        layers = shape_of(params).tensors()
        return tensors.pack({name: ("F32", shape, bytes(4 * count(shape))) for name, shape in layers.items()})

    async def judge(self, delivered: wire.DeliveredReceipt) -> Standing:
        sheet = await self.verifying.note(self.counter.renter, delivered)
        assert sheet is not None
        judged, model = await self.verifying.judge(self.counter.renter, sheet, delivered)
        book = came_back(await self.book(), delivered.signed.receipt.task_id)
        await self.shelf.put_book(self.counter.renter, was_judged(book, judged, model))
        return judged.standing

    async def verdicts(self, job_id: str) -> list[wire.Verdict]:
        state = (await self.counter.pool.stream.stream_info(wire.VERDICTS)).state
        found = []
        for sequence in range(state.first_seq, state.last_seq + 1):
            raw = await self.counter.pool.message(wire.VERDICTS, sequence)
            verdict: object = wire.unpack(raw, wire.Verdict) if raw else None  # type: ignore[arg-type]
            if isinstance(verdict, wire.VoucherVerdict | wire.Rejection) and verdict.job_id == job_id:
                found.append(verdict)
        return found


@pytest.fixture
async def desk(place: Town, tmp_path: Path) -> AsyncIterator[Desk]:
    async with counter(place) as opened:
        yield desk_at(opened, tmp_path)


def desk_at(opened: Counter, tmp_path: Path) -> Desk:
    keys, network = opened.town.money.keys, opened.town.money.network
    blobs = tmp_path / "blobs"
    blobs.mkdir(exist_ok=True)

    def sign(message: TypedMessage) -> str:
        return keys.sign_typed("renter", message)

    def run(check: Check) -> Mapping[str, float]:
        built.checks.append(check)
        return {"accuracy": built.accuracy}

    renter = Renter(opened.address, sign, blobs)
    shelf = Shelf(opened.address + tmp_path.name.replace("_", "-"))  # a book of its own for each test
    held_out = resource("practice/digits-heldout.safetensors")
    posting = Posting(network, opened.address, sign, shelf, blobs, renter.data_of)
    built = Desk(opened, posting, Verifying(opened.chain, sign, shelf, blobs, held_out, run), shelf, blobs)
    return built


async def test_the_queue_is_kept_at_strength_and_no_more(desk: Desk) -> None:
    for _ in range(3):
        book = await desk.tend()
    assert len(book.waiting) == OUTSTANDING == await desk.counter.queued()
    job = await asyncio.to_thread(desk.counter.chain.job, plan(book).job_id)
    assert job is not None
    assert job.units == plan(book).terms.units
    await desk.shelf.put_book(desk.counter.renter, came_back(book, waiting(book)[0]))
    assert len((await desk.tend()).waiting) == OUTSTANDING


async def test_a_renter_killed_anywhere_in_posting_posts_the_same_tasks(desk: Desk) -> None:
    """Every write to the bucket is a place to be killed at: from each one, going on leads to the same job and tasks."""
    written: list[Book] = []
    put = desk.shelf.put_book

    async def remember(session: object, book: Book) -> None:
        written.append(book)
        await put(desk.counter.renter, book)

    desk.shelf.put_book = remember  # type: ignore[method-assign]
    whole = await desk.tend()
    assert len(written) >= 4
    for at in tuple(written):
        await put(desk.counter.renter, at)
        again = await desk.posting.tend(desk.counter.renter, at, Tier.PRACTICE)
        assert again.waiting == whole.waiting
        assert again.plans == whole.plans
    assert await desk.counter.queued() == OUTSTANDING


async def test_a_good_result_is_vouched_for_once(desk: Desk) -> None:
    book = await desk.tend()
    one, two = waiting(book)
    delivered = await desk.finish(one, (1, 2, 4))
    for _ in range(3):  # delivered again after a crash
        assert await desk.judge(delivered) is Standing.PAID
    assert len(desk.checks) == 1
    assert await desk.judge(await desk.finish(two)) is Standing.PAID
    first, second = await desk.verdicts(plan(book).job_id)
    assert isinstance(first, wire.VoucherVerdict)
    assert isinstance(second, wire.VoucherVerdict)
    units = [(await desk.shelf.sheet(desk.counter.renter, task)) for task in (one, two)]
    worth = [msgspec.json.decode(sheet.manifest)["units"] for sheet in units if sheet]
    assert (first.units, second.units) == (worth[0], sum(worth))
    assert (first.task_ids, second.task_ids) == ((one,), (two,))
    async with asyncio.timeout(20):  # and the pool pays it
        while await asyncio.to_thread(desk.counter.chain.units_paid, first.job_id, first.gpu_id) != second.units:
            await asyncio.sleep(0.1)
    assert (await desk.book()).models.keys() == {sheet.name for sheet in units if sheet}


@pytest.mark.parametrize("wrong", ["accuracy", "signature", "pickle", "gap"])
async def test_a_wrong_result_is_not_paid_and_ordered_again(desk: Desk, wrong: str) -> None:
    book = await desk.tend()
    task_id = waiting(book)[0]
    desk.accuracy = 0.5 if wrong == "accuracy" else 0.97
    delivered = await desk.finish(
        task_id, (1, 2) if wrong == "gap" else (1,), by="owner" if wrong == "signature" else "operator",
        content=b"\x80\x04 no model" if wrong == "pickle" else None,
    )  # fmt: skip
    if wrong == "gap":
        sheet = await desk.shelf.sheet(desk.counter.renter, task_id)
        assert sheet is not None
        await desk.shelf.put_sheet(desk.counter.renter, task_id, msgspec.structs.replace(sheet, receipts=()))
    for _ in range(2):
        assert await desk.judge(delivered) is Standing.REJECTED
    (verdict,) = await desk.verdicts(plan(book).job_id)
    assert isinstance(verdict, wire.Rejection)
    words = {"accuracy": "held-out", "signature": "operator key", "pickle": "pickle", "gap": "go on where"}
    assert words[wrong] in verdict.reason
    assert 0 in (await desk.book()).again


async def test_a_holder_that_was_fenced_off_is_told_so_and_the_task_goes_on(desk: Desk) -> None:
    book = await desk.tend()
    delivered = await desk.finish(waiting(book)[0], (1,), final_epoch=2)
    assert await desk.judge(delivered) is Standing.POSTED
    (verdict,) = await desk.verdicts(plan(book).job_id)
    assert isinstance(verdict, wire.Rejection)
    assert "taken the task over" in verdict.reason
    forged = replace(delivered.signed.receipt, epoch=2)
    signature = desk.counter.town.money.keys.sign_message("operator", canonical(forged))
    sheet = await desk.verifying.note(desk.counter.renter, wire.DeliveredReceipt(SignedReceipt(forged, signature), delivered.result))
    assert sheet is not None
    judged, _model = await desk.verifying.judge(
        desk.counter.renter, sheet, wire.DeliveredReceipt(SignedReceipt(forged, signature), delivered.result)
    )
    assert judged.standing is Standing.POSTED  # a lease of that epoch was never given to it


async def test_a_task_that_the_market_gave_up_is_ordered_again(desk: Desk) -> None:
    book = await desk.tend()
    dead = waiting(book)[0]
    found = await look(desk.counter.pool, dead)
    assert found is not None
    await desk.counter.pool.write(wire.LEASES, dead, wire.pack(wire.LeaseRecord(wire.Standing.DEAD, reason="nobody finished it")))
    book = await desk.tend()
    assert dead not in book.waiting
    assert len(book.waiting) == OUTSTANDING
    assert 0 in book.again


async def test_a_gpu_of_another_tier_gets_tasks_of_its_tier(place: Town, tmp_path: Path) -> None:
    async with counter(place) as opened:
        keys = place.money.keys
        renter = Renter(opened.address, lambda message: keys.sign_typed("renter", message), tmp_path)
        work = Work(place.money.network, renter, opened.chain, lambda check: {"accuracy": 1.0})
        serving = asyncio.ensure_future(work.serve(opened.renter))
        await queued(opened, Tier.PRACTICE)
        assert await on_queue(opened, Tier.SMALL) == 0
        await opened.pool.write(wire.OFFERS, "9", wire.pack(wire.Offer(Tier.SMALL, 0, busy=False)))
        await queued(opened, Tier.SMALL)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def queued(opened: Counter, tier: Tier) -> None:
    async with asyncio.timeout(20):
        while await on_queue(opened, tier) < OUTSTANDING:
            await asyncio.sleep(0.1)


async def on_queue(opened: Counter, tier: Tier) -> int:
    return int((await opened.pool.stream.consumer_info(wire.TASKS, wire.task_consumer(tier))).num_pending or 0)


async def test_a_receipt_for_a_strangers_task_is_none_of_ours(desk: Desk) -> None:
    book = await desk.tend()
    delivered = await desk.finish(waiting(book)[0])
    foreign = replace(delivered.signed, receipt=replace(delivered.signed.receipt, task_id="ffff0000"))
    assert await desk.verifying.note(desk.counter.renter, wire.DeliveredReceipt(foreign)) is None


def waiting(book: Book) -> list[str]:
    return list(book.waiting)


def plan(book: Book) -> Plan:
    return book.plans[Tier.PRACTICE]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def count(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


async def test_a_pool_in_trouble_is_asked_again_for_the_very_same_job(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real, troubles = posting_module._ask, [wire.Refusal("no ether left", own=True), wire.Refusal("being done", under_way=True)]

    async def ask(session: Session, subject: str, request: object) -> wire.Answer:
        return troubles.pop(0) if troubles and subject == "pool.open" else await real(session, subject, request)

    monkeypatch.setattr(posting_module, "_ask", ask)
    first = await desk.tend()
    assert not plan(first).opened and not first.waiting
    assert await desk.tend() == first
    opened = await desk.tend()
    assert (plan(opened).job_id, plan(opened).opened, len(opened.waiting)) == (plan(first).job_id, True, OUTSTANDING)
