"""What the renter must not forget, kept in the market's bucket `renters`: its plan, its tasks, and what it has vouched for.

One renter writes its own keys only. Every step is written before it shows outside, so that a renter that was killed goes on
where it stopped, asks for the same job again and signs the same voucher. Called by posting and verifying.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

from desktop_app.adapters.market import Session
from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.task import Blob
from desktop_app.wire import market as wire
from desktop_app.wire.eip712 import Terms


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all structs here share."""


class Planned(_Kept, frozen=True):
    """An order that a job was sized for. `model` is the input of a reading."""

    number: int
    name: str
    task_id: str
    model: Blob | None = None


class Plan(_Kept, frozen=True):
    """A job: its terms as they were signed, and the tasks it pays. `posted` counts those that are on the queue or past it."""

    job_id: str
    terms: Terms
    valid_before: int
    tasks: tuple[Planned, ...]
    opened: bool = False
    posted: int = 0


class Book(_Kept, frozen=True):
    """The renter's place in its work. `models`: what came back, by name of training."""

    next: int = 0
    again: tuple[int, ...] = ()  # orders to be posted once more
    plans: dict[Tier, Plan] = {}
    waiting: dict[str, Tier] = {}  # tasks on the queue or in somebody's hands
    models: dict[str, Blob] = {}


class Standing(StrEnum):
    """How far a task is, from the renter's side."""

    POSTED = "posted"
    PAID = "paid"
    REJECTED = "rejected"


class Sheet(_Kept, frozen=True):
    """One task: its canonical manifest, the order behind it, and the receipts that came."""

    manifest: str
    signature: str  # the renter's own, over the manifest
    number: int
    name: str
    rate: int
    standing: Standing = Standing.POSTED
    receipts: Annotated[tuple[SignedReceipt, ...], msgspec.Meta(max_length=300)] = ()
    gpus: tuple[int, ...] = ()  # who was paid
    reason: str = ""


class Account(_Kept, frozen=True):
    """What was vouched for on one job and GPU: cumulative units, the digests of the receipts behind them, the last voucher."""

    units: int = 0
    digests: tuple[str, ...] = ()
    root: str = ""
    signature: str = ""


_T = TypeVar("_T", bound=_Kept)


class Shelf:
    """One renter's keys in the bucket. `renter` is its address."""

    def __init__(self, renter: str) -> None:
        self._renter = renter.lower()

    async def book(self, session: Session) -> Book:
        return await self._read(session, "book", Book) or Book()

    async def put_book(self, session: Session, book: Book) -> None:
        await self._write(session, "book", book)

    async def sheet(self, session: Session, task_id: str) -> Sheet | None:
        """A task's sheet, or None when it is not ours."""
        return await self._read(session, f"task.{task_id}", Sheet)

    async def put_sheet(self, session: Session, task_id: str, sheet: Sheet) -> None:
        await self._write(session, f"task.{task_id}", sheet)

    async def account(self, session: Session, job_id: str, gpu_id: int) -> Account:
        return await self._read(session, f"account.{job_id}.{gpu_id}", Account) or Account()

    async def put_account(self, session: Session, job_id: str, gpu_id: int, account: Account) -> None:
        await self._write(session, f"account.{job_id}.{gpu_id}", account)

    async def _read(self, session: Session, key: str, kind: type[_T]) -> _T | None:
        entry = await session.read(wire.RENTERS, f"{self._renter}.{key}")
        if entry is None:
            return None
        value = wire.unpack(entry.value, kind, wire.MOST_SHEET)
        if isinstance(value, wire.Refusal):
            raise AppError("The renter's books cannot be read.", f"Remove {self._renter}.{key} from the market's bucket {wire.RENTERS}.")
        return value

    async def _write(self, session: Session, key: str, value: _Kept) -> None:
        await session.write(wire.RENTERS, f"{self._renter}.{key}", wire.pack(value))
