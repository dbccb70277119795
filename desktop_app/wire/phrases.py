"""What a person reads: one place that turns the core's enums, amounts and instants into sentences.

The words live in `resources/translations/en.json`, a flat map from key to sentence; this module picks the key and fills in
the figures. Amounts are never rounded up and never written in scientific notation. Called by `ui/present.py` and the
command line.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from itertools import pairwise
from typing import cast

from desktop_app.core.cashout import CashOut, Quote, Stage, arrives
from desktop_app.core.money import DOLLAR, MicroUsd, Rate
from desktop_app.core.schedule import Cell, Schedule, Zone, local, local_date, next_change
from desktop_app.core.state import GiveBackRecord, Halt, Notice, Paid, Reason, State, Trigger
from desktop_app.core.task import Phase
from desktop_app.wire.resources import resource

_MOST_TYPED = 30
_MOST_DETAIL = 200
MOST_ADVICE = 600  # a command that is cut short helps nobody
_QUARTER_S = 900


@cache
def words(language: str = "en") -> dict[str, str]:
    """Every sentence of a language by its key."""
    text = resource(f"translations/{language}.json").read_text(encoding="utf-8")
    return cast("dict[str, str]", json.loads(text))


def say(key: str, **figures: str) -> str:
    """The sentence under `key`, with its gaps filled."""
    return words()[key].format(**figures)


def plain(detail: str, most: int = _MOST_DETAIL) -> str:
    """A detail that came from outside, as one short printable line."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in detail[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


# --- why, and what happened


def why(state: State) -> str:
    """The one sentence: why the GPU is or is not shared, and when that changes next."""
    reason, until, detail = state.why.reason, state.why.until, state.why.detail
    if until is None and reason in (Reason.WORKING, Reason.WAITING_FOR_TASK):
        until = schedule_change(state)
    most = MOST_ADVICE if reason is Reason.SANDBOX_NOT_READY else _MOST_DETAIL
    more = {"finishing": state.sharing.finishing, "until": until is not None, "detail": bool(detail)}
    key = next((f"why.{reason}.{part}" for part, holds in more.items() if holds and f"why.{reason}.{part}" in words()), f"why.{reason}")
    return say(
        key,
        until=at(until, state.now, state.zone) if until else "",
        detail=rate(Rate(int(detail))) if reason is Reason.PRICE_BELOW_FLOOR and detail.isdigit() else plain(detail, most),
        rate=rate(state.market.rate) if state.market.rate is not None else say("home.rate.none"),
        idle=duration(state.settings.idle_after_s),
    )


def schedule_change(state: State) -> datetime | None:
    """When the schedule's cell changes next. Screens ask at every snapshot, so each quarter of an hour is worked out once."""
    quarter = int(state.now.timestamp()) // _QUARTER_S * _QUARTER_S
    return _schedule_change(state.settings.schedule, quarter, state.zone)


@lru_cache(maxsize=4)
def _schedule_change(schedule: Schedule, quarter: int, zone: Zone) -> datetime | None:
    return next_change(schedule, datetime.fromtimestamp(quarter, UTC), zone)


def kind(name: str) -> str:
    """A task kind in plain words: "train.classifier/1" is "Training an image classifier"."""
    key = "kind." + name.partition("/")[0]
    return say(key) if key in words() else say("kind.other", kind=plain(name))


def phase(of: Phase) -> str:
    """What a task is doing."""
    return say(f"phase.{of}")


def trigger(of: Trigger) -> str:
    """What took the GPU back."""
    return say(f"trigger.{of}")


def cell(of: Cell) -> str:
    """What one half hour allows."""
    return say(f"schedule.cell.{of}")


def paid(of: Paid) -> str:
    """How far the money for a task is."""
    return say(f"paid.{of}")


def notice(of: Notice) -> str:
    """Something the owner should know, as one sentence."""
    return say(f"notice.{of.kind}", detail=plain(of.detail))


def give_back(record: GiveBackRecord) -> str:
    """How long a give-back took, from its signal: to the memory read back free, or, where there is none to read, to the task gone."""
    if record.halt is Halt.OVER:
        return say("give_back.over")
    if record.held:
        return say("give_back.held", time=seconds(record.back_ms))
    return say("give_back.stopped" if record.vram_free_ms is None else "give_back.free", time=seconds(record.back_ms))


def give_back_steps(record: GiveBackRecord) -> str:
    """Where the time of a give-back went, how the task ended, and what work was lost."""
    parts = [say("give_back.noticed", time=seconds(record.detected_ms)), say("give_back.gone", time=seconds(record.stopped_ms))]
    if record.vram_free_ms is not None:
        parts.append(say("give_back.memory", time=seconds(record.vram_free_ms)))
    if record.halt is not None:
        parts.append(say(f"give_back.halt.{record.halt}"))
    lost = {0: "give_back.lost.none", 1: "give_back.lost.one"}.get(record.steps_lost, "give_back.lost")
    parts.append(say(lost, steps=f"{record.steps_lost:,}"))
    return " · ".join(parts)


def cash_out(of: CashOut) -> str:
    """Where a cash-out stands, as one sentence."""
    if of.stage is Stage.CONFIRMED and of.quote is not None:
        return say("cash.done", amount=exact(arrives(of.quote)), to=short(of.to))
    key = "stage.signed.waiting" if of.stage is Stage.SIGNED and of.reason else f"stage.{of.stage}"
    return say(key, reason=plain(of.reason).rstrip("."))


def gas(quote: Quote) -> str:
    """What the wallet pays beside the fee when it carries a cash-out itself: ", and about 0.0001 ETH …"; else nothing."""
    return say("cash.gas", ether=ether(quote.gas)) if quote.gas else ""


# --- money


def money(amount: int) -> str:
    """An amount to glance at, rounded toward zero: "$12.34"; under a dollar three figures that matter, "$0.0123"."""
    whole, micro = divmod(abs(amount), DOLLAR)
    if whole:
        micro = micro // 10_000 * 10_000
    elif micro:
        grain = max(1, 10 ** (len(str(micro)) - 3))
        micro = micro // grain * grain
    return _dollars(amount < 0, whole, micro)


def exact(amount: int) -> str:
    """An amount to the micro-dollar, with at least two decimals: "$12.50", "$0.012345"."""
    return _dollars(amount < 0, *divmod(abs(amount), DOLLAR))


def aligned(amount: int) -> str:
    """An amount with all six decimals, for columns."""
    whole, micro = divmod(abs(amount), DOLLAR)
    return f"{'-' if amount < 0 else ''}${whole:,}.{micro:06d}"


def ether(wei: int) -> str:
    """An amount of ether, rounded up to two figures that matter, so that it is enough: "0.0001 ETH"."""
    if wei <= 0:
        return say("ether", value="0")
    grain = 10 ** max(0, len(str(wei)) - 2)
    value = Decimal(-(-wei // grain) * grain) / 10**18
    return say("ether", value=f"{value:f}".rstrip("0").rstrip(".") if value != int(value) else f"{int(value):,}")


def rate(of: Rate) -> str:
    """What an hour pays."""
    return say("rate", amount=money(of))


def share(part: int, whole: int) -> str:
    """`part` as a share of `whole`, rounded up: a fee is never made to look smaller than it is."""
    if whole <= 0:
        raise ValueError("a share of nothing")
    hundredths = -(-part * 10_000 // whole)
    if part and hundredths <= 1 and part * 10_000 < whole:
        return say("share.tiny")
    return say("share", value=f"{hundredths / 100:.2f}".rstrip("0").rstrip("."))


def parse_money(text: str) -> MicroUsd | None:
    """What a person typed ("12.50", "$1,200") as micro-dollars; None when it is no amount of at most six decimals."""
    plain = text.strip().removeprefix("$").replace(",", "").strip()
    if not plain or len(plain) > _MOST_TYPED or set(plain) - set("0123456789."):
        return None
    try:
        micro = Decimal(plain) * DOLLAR
    except InvalidOperation:
        return None
    return MicroUsd(int(micro)) if micro == int(micro) else None


def _dollars(negative: bool, whole: int, micro: int) -> str:
    decimals = f"{micro:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if negative else ''}${whole:,}.{decimals}"


# --- time, addresses


def seconds(ms: float) -> str:
    """A short time: "0.12 s"; from ten seconds on without decimals. Rounded to the nearest hundredth, never to nothing."""
    return f"{max(ms / 1000, 0.01):.2f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"


def duration(span_s: float) -> str:
    """A span in its two largest units: "40 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    left = max(0, round(span_s))
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    for (big, name), (small, under) in pairwise(units):
        if left >= big:
            rest = left % big // small
            return f"{left // big} {name}" + (f" {rest} {under}" if rest else "")
    return f"{left} s"


def clock(instant: datetime, zone: Zone) -> str:
    """The wall clock at an instant: "18:00"."""
    return f"{local(instant, zone):%H:%M}"


def day(weekday: int) -> str:
    """Monday is 0."""
    return say(f"day.{weekday}")


def at(instant: datetime, now: datetime, zone: Zone) -> str:
    """An instant to come, as one would say it: "18:00", "07:00 tomorrow", "07:00 on Friday"."""
    days = (local_date(instant, zone) - local_date(now, zone)).days
    time = clock(instant, zone)
    if days == 0:
        return say("time.today", time=time)
    if days == 1:
        return say("time.tomorrow", time=time)
    if 1 < days < 7:
        return say("time.week", time=time, day=day(local_date(instant, zone).weekday()))
    return say("time.date", time=time, date=_date(instant, now, zone))


def ago(unix: float, now: datetime, zone: Zone) -> str:
    """An instant gone by: "just now", "5 min ago", "today at 14:20", "12 Nov, 14:20"."""
    instant = datetime.fromtimestamp(unix, UTC)
    passed = (now - instant).total_seconds()
    if passed < 60:
        return say("ago.now")
    if passed < 3_600:
        return say("ago.minutes", count=str(int(passed // 60)))
    days = (local_date(now, zone) - local_date(instant, zone)).days
    if days in (0, 1):
        return say("ago.today" if days == 0 else "ago.yesterday", time=clock(instant, zone))
    return say("ago.date", date=_date(instant, now, zone), time=clock(instant, zone))


def _date(instant: datetime, now: datetime, zone: Zone) -> str:
    one, today = local_date(instant, zone), local_date(now, zone)
    key = "date" if one.year == today.year else "date.year"
    return say(key, day=str(one.day), month=say(f"month.{one.month}"), year=str(one.year))


def short(hexadecimal: str) -> str:
    """An address or hash to recognise: "0x1234…cdef"."""
    return hexadecimal if len(hexadecimal) <= 14 else f"{hexadecimal[:6]}…{hexadecimal[-4:]}"


def grouped(address: str) -> str:
    """An address to read aloud, in groups of four: "0x 1234 5678 …"."""
    digits = address.removeprefix("0x")
    return " ".join(["0x", *(digits[start : start + 4] for start in range(0, len(digits), 4))]) if digits else ""
