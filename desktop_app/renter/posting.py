"""Keeps a few tasks on the queue: plans a job for the next orders, has it opened, posts its tasks at a gentle pace.

A job is planned and its authorisation signed before anything is asked of the pool, so that after a crash the same job is
asked for, not another. Called by the renter whenever a task has come back, and once in a while.
"""

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from desktop_app.adapters.chain import escrow_domain, funding_typed, job_id
from desktop_app.adapters.market import Session
from desktop_app.adapters.market.blobs import upload
from desktop_app.adapters.market.leases import look
from desktop_app.core.gpu import TIER_NUMBERS, Tier
from desktop_app.core.money import Units
from desktop_app.core.task import Blob
from desktop_app.renter import orders
from desktop_app.renter.book import Book, Plan, Planned, Sheet, Shelf, Standing
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.bundle import manifest_bytes
from desktop_app.wire.eip712 import Terms, TypedMessage
from desktop_app.wire.networks import Network

OUTSTANDING = 2  # of each tier, on the queue or in somebody's hands
TASKS_PER_JOB = 3
JOB_S = 24 * 3600
AUTHORISATION_S = 3600
_ANSWER_S = 70.0  # opening a job waits for a block

_log = logging.getLogger(__name__)

SignTyped = Callable[[TypedMessage], str]
DataOf = Callable[[str], Blob]
"""The data blob for a kind, made or read on first use; its file lies in the renter's folder under its hash."""


class Posting:
    """One renter's posting. `sign` signs with its key, `blobs` is its folder of files by hash."""

    def __init__(self, network: Network, renter: str, sign: SignTyped, shelf: Shelf, blobs: Path, data_of: DataOf) -> None:
        self._network = network
        self._renter = renter
        self._sign = sign
        self._shelf = shelf
        self._blobs = blobs
        self._data_of = data_of
        self._orders = orders.load()

    async def tend(self, session: Session, book: Book, tier: Tier) -> Book:
        """Bring a tier's queue up to strength; gives the book as it now is. A refusal leaves the rest for the next call."""
        book = await self._forget_dead(session, book)
        while sum(one is tier for one in book.waiting.values()) < OUTSTANDING:
            plan = book.plans.get(tier)
            if plan is None or plan.posted >= len(plan.tasks):
                planned = await self._plan(session, book, tier)
                if planned is None:
                    return book
                book = planned
            if not book.plans[tier].opened:
                book = await self._open(session, book, tier)
            if tier not in book.plans or not book.plans[tier].opened:
                return book
            book = await self._post(session, book, tier)
        return book

    async def _forget_dead(self, session: Session, book: Book) -> Book:
        """A task that the market gave up, or lost, is ordered again."""
        for task_id in book.waiting:
            found = await look(session, task_id)
            sheet = await self._shelf.sheet(session, task_id)
            if sheet is not None and (found is None or found[0].standing is wire.Standing.DEAD):
                _log.info("the market gave task %s up: %s", task_id, found[0].reason if found else "it is not known there")
                book = msgspec.structs.replace(came_back(book, task_id), again=(*book.again, sheet.number))
                await self._shelf.put_book(session, book)
        return book

    async def _plan(self, session: Session, book: Book, tier: Tier) -> Book | None:
        """Size the next job, or None while there is no price."""
        entry = await session.read(wire.PRICES, tier.value)
        price = wire.unpack(entry.value, wire.Price) if entry else None
        if not isinstance(price, wire.Price):
            return None
        fresh = range(book.next, book.next + TASKS_PER_JOB)
        numbers = (*book.again, *fresh)[:TASKS_PER_JOB]
        picked = [orders.pick(self._orders, number, book.models) for number in numbers]
        now = int(time.time())
        terms = Terms(
            renter=self._renter,
            tier=TIER_NUMBERS[tier],
            gpu=0,
            rate=price.rate,
            units=Units(sum(orders.units(order, tier) for order in picked)),
            deadline=now + JOB_S,
            window=0,  # claims are for jobs pinned to one GPU
            spec_hash="0x" + hashlib.sha256(repr(picked).encode()).hexdigest(),
            salt="0x" + secrets.token_hex(32),
        )
        job = job_id(self._network, terms)
        tasks = tuple(Planned(order.number, order.name, _task_id(job, place), order.model) for place, order in enumerate(picked))
        plan = Plan(job, terms, now + AUTHORISATION_S, tasks)
        started = sum(number in fresh for number in numbers)
        book = msgspec.structs.replace(with_plan(book, tier, plan), again=book.again[TASKS_PER_JOB:], next=book.next + started)
        await self._shelf.put_book(session, book)
        return book

    async def _open(self, session: Session, book: Book, tier: Tier) -> Book:
        plan = book.plans[tier]
        signature = await asyncio.to_thread(self._sign, funding_typed(self._network, plan.terms, plan.valid_before))
        answer = await _ask(session, "pool.open", wire.OpenJob(plan.terms, plan.valid_before, signature))
        if isinstance(answer, wire.Opened):
            _log.info("opened job %s: %s units at %s", plan.job_id, plan.terms.units, plan.terms.rate)
            book = with_plan(book, tier, msgspec.structs.replace(plan, opened=True))
        elif isinstance(answer, wire.Refusal) and (answer.own or answer.under_way):
            _log.info("job not opened yet: %s", answer.reason)
        else:
            _log.warning("job not opened: %s", _reason(answer))
            numbers = tuple(task.number for task in plan.tasks)
            book = msgspec.structs.replace(with_plan(book, tier, None), again=(*book.again, *numbers))
        await self._shelf.put_book(session, book)
        return book

    async def _post(self, session: Session, book: Book, tier: Tier) -> Book:
        plan = book.plans[tier]
        task = plan.tasks[plan.posted]
        plan = msgspec.structs.replace(plan, posted=plan.posted + 1)
        order = orders.named(self._orders, task.name, task.number, task.model)
        answer = await self._submit(session, plan, task, order, tier) if order else wire.Refusal("it is no longer on the list")
        book = with_plan(book, tier, plan)
        if isinstance(answer, wire.Submitted):
            _log.info("posted task %s: %s, seed %s", task.task_id, task.name, task.number)
            book = msgspec.structs.replace(book, waiting=book.waiting | {task.task_id: tier})
        else:
            _log.warning("task %s was not taken: %s", task.task_id, _reason(answer))
            await asyncio.sleep(1)
        await self._shelf.put_book(session, book)
        return book

    async def _submit(self, session: Session, plan: Plan, task: Planned, order: orders.Order, tier: Tier) -> wire.Answer:
        """Upload, sign and hand in one task; done again it makes the same bytes."""
        data = await asyncio.to_thread(self._data_of, order.kind)
        drawn = orders.manifest(order, data, tier, plan.job_id, self._renter, task.task_id, plan.valid_before)
        raw = manifest_bytes(drawn)
        for blob in drawn.inputs:
            await upload(session, blob.sha256, self._blobs / blob.sha256)
        message = eip712.manifest(escrow_domain(self._network), plan.job_id, hashlib.sha256(raw).hexdigest())
        signature = await asyncio.to_thread(self._sign, message)
        if await self._shelf.sheet(session, task.task_id) is None:
            await self._shelf.put_sheet(session, task.task_id, Sheet(raw.decode(), signature, task.number, task.name, plan.terms.rate))
        return await _ask(session, "pool.submit", wire.SubmitTask(raw.decode(), signature))


def came_back(book: Book, task_id: str) -> Book:
    """The task is in nobody's hands any more."""
    return msgspec.structs.replace(book, waiting={one: tier for one, tier in book.waiting.items() if one != task_id})


def with_plan(book: Book, tier: Tier, plan: Plan | None) -> Book:
    """The book with another plan, or none, for a tier."""
    plans = {one: kept for one, kept in book.plans.items() if one is not tier}
    return msgspec.structs.replace(book, plans=plans if plan is None else plans | {tier: plan})


def was_judged(book: Book, sheet: Sheet, model: Blob | None) -> Book:
    """A paid training's model can be read with; a rejected task is ordered again."""
    if sheet.standing is Standing.REJECTED:
        return msgspec.structs.replace(book, again=(*book.again, sheet.number))
    return msgspec.structs.replace(book, models=book.models | {sheet.name: model}) if model is not None else book


def _task_id(job: str, place: int) -> str:
    return hashlib.sha256(f"{job} {place}".encode()).hexdigest()[:24]


def _reason(answer: wire.Answer) -> str:
    return answer.reason if isinstance(answer, wire.Refusal) else "the pool's answer makes no sense"


async def _ask(session: Session, subject: str, request: object) -> wire.Answer:
    return wire.unpack(await session.request(subject, wire.pack(request), _ANSWER_S), wire.Answer)  # type: ignore[arg-type]
