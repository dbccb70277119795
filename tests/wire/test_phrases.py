"""Every enum a person meets has words, no sentence is forgotten, and figures say neither more nor less than they know."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.core.cashout import CashOut, Quote, Stage
from desktop_app.core.money import MicroUsd, Rate
from desktop_app.core.schedule import Cell, Schedule, Zone
from desktop_app.core.state import GiveBackRecord, Halt, Level, Market, Notice, NoticeKind, Paid, Reason, Sharing, State, Trigger, Why
from desktop_app.core.task import Phase
from desktop_app.ui.present import Look, Silence
from desktop_app.ui.present_money import Mark
from desktop_app.wire import phrases

NOW = datetime(2026, 11, 25, 16, 20, tzinfo=UTC)  # a Wednesday
BERLIN = Zone("Europe/Berlin", 3600)
FAMILIES: dict[str, type[StrEnum]] = {
    "why": Reason, "notice": NoticeKind, "trigger": Trigger, "stage": Stage, "phase": Phase, "paid": Paid,
    "schedule.cell": Cell, "headline": Look, "silence": Silence, "cash.step": Mark, "level": Level,
}


def state(why: Why, **more: object) -> State:
    """A state with that reason on a Wednesday afternoon in Berlin."""
    return replace(State(now=NOW, zone=BERLIN, why=why), **more)  # type: ignore[arg-type]  # a test's own fields


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_has_words(family: str) -> None:
    missing = [member for member in FAMILIES[family] if f"{family}.{member}" not in phrases.words()]
    assert not missing


def test_every_sentence_asked_for_exists_and_none_is_left_over() -> None:
    """Keys are written out in the sources, or made from an enum or a short list whose prefix is."""
    package = Path(phrases.__file__).parents[1]
    source = "\n".join(file.read_text(encoding="utf-8") for folder in ("ui", "wire") for file in (package / folder).rglob("*.py"))
    known = set(phrases.words())
    written = {key for key in re.findall(r'"([a-z_]+(?:\.[a-z_0-9]+)*)"', source) if key in known}
    asked = set(re.findall(r'say\(\s*"([^"]+)"', source))
    assert asked <= known
    made = re.findall(r'f"([a-z_.]+)\.\{', source)
    stems = (*(f"{stem}." for stem in made), "cash.to.", "cash.amount.", "wallet.new.", "wallet.unlock.", "kind.")
    left_over = {key for key in known - written if not key.startswith(stems)}
    assert not left_over


def test_all_gaps_can_be_filled() -> None:
    """No sentence has a gap that is spelt wrongly: every reason is said with and without a time and a detail."""
    for reason in Reason:
        for until in (None, NOW + timedelta(hours=1)):
            for detail in ("", "ninety", "90000"):
                sentence = phrases.why(state(Why(reason, until, detail), market=Market(True, Rate(100_000))))
                assert sentence
                assert not set("{}") & set(sentence)


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        (Why(Reason.SCHEDULE, NOW + timedelta(minutes=40)), "Not sharing until 18:00: your schedule says so."),
        (Why(Reason.SCHEDULE, NOW + timedelta(hours=14)), "Not sharing until 07:20 tomorrow: your schedule says so."),
        (Why(Reason.SNOOZED, NOW + timedelta(days=3)), "Not sharing until 17:20 on Saturday: you paused it."),
        (Why(Reason.SCHEDULE), "Not sharing: your schedule is off all week."),
        (Why(Reason.TOO_HOT, detail="91"), "Not sharing: the GPU is at 91 °C, over your limit. It goes on when it has cooled down."),
        (
            Why(Reason.PRICE_BELOW_FLOOR, detail="310000"),
            "Not sharing: the market pays $0.10 an hour, and your electricity and floor ask for $0.31 an hour.",
        ),
        (Why(Reason.WORKING), "Your GPU is working on a task."),
    ],
)
def test_why(why: Why, sentence: str) -> None:
    assert phrases.why(state(why, market=Market(True, Rate(100_000)))) == sentence


def test_working_names_the_next_change_of_the_schedule_by_itself() -> None:
    evenings = Schedule(("s" * 36 + "-" * 12) * 7)  # off from 18:00
    settings = replace(State().settings, schedule=evenings)
    assert phrases.why(state(Why(Reason.WORKING), settings=settings)) == "Your GPU is working on a task; your schedule changes at 18:00."
    last = state(Why(Reason.WORKING), settings=settings, sharing=Sharing(on=True, finishing=True))
    assert phrases.why(last) == "Your GPU is working on its last task; sharing stops after it."


@pytest.mark.parametrize(
    ("micro", "glance", "exactly"),
    [
        (0, "$0.00", "$0.00"),
        (5, "$0.000005", "$0.000005"),
        (12_345, "$0.0123", "$0.012345"),
        (120_000, "$0.12", "$0.12"),
        (123_999, "$0.123", "$0.123999"),
        (1_000_000, "$1.00", "$1.00"),
        (1_999_999, "$1.99", "$1.999999"),
        (12_500_000, "$12.50", "$12.50"),
        (1_234_567_891_234, "$1,234,567.89", "$1,234,567.891234"),
        (-12_345, "-$0.0123", "-$0.012345"),
    ],
)
def test_money(micro: int, glance: str, exactly: str) -> None:
    assert (phrases.money(micro), phrases.exact(micro)) == (glance, exactly)


@given(st.integers(0, 10**15))
def test_typed_money_is_read_back_to_the_micro_dollar_and_a_glance_never_shows_more(micro: int) -> None:
    assert phrases.parse_money(phrases.exact(micro)) == micro
    assert phrases.parse_money(phrases.aligned(micro)) == micro
    glance = phrases.parse_money(phrases.money(micro))
    assert glance is not None
    assert glance <= micro


@pytest.mark.parametrize("text", ["", ".", "1e3", "-1", "0.0000001", "12,5x", "NaN", "١٢", "9" * 40, "1.2.3", "$"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert phrases.parse_money(text) is None


def test_a_fee_is_never_made_smaller() -> None:
    assert phrases.share(2_500, 1_000_000) == "0.25 %"
    assert phrases.share(1, 1_000_000) == "under 0.01 %"
    assert phrases.share(1_001, 1_000_000) == "0.11 %"
    assert phrases.share(0, 1_000_000) == "0 %"
    assert phrases.share(3, 3) == "100 %"
    with pytest.raises(ValueError, match="share of nothing"):
        phrases.share(1, 0)


@pytest.mark.parametrize(
    ("span", "words"),
    [(0, "0 s"), (40, "40 s"), (60, "1 min"), (200, "3 min 20 s"), (7_500, "2 h 5 min"), (3_600, "1 h"), (273_600, "3 d 4 h"), (-3, "0 s")],
)
def test_duration(span: float, words: str) -> None:
    assert phrases.duration(span) == words


@pytest.mark.parametrize(("ms", "words"), [(118.0, "0.12 s"), (1.0, "0.01 s"), (2_345.0, "2.35 s"), (12_400.0, "12 s")])
def test_seconds(ms: float, words: str) -> None:
    assert phrases.seconds(ms) == words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (10, "just now"), (1_500, "25 min ago"), (4_000, "today at 16:13"), (60_000, "today at 00:40"), (64_000, "yesterday at 23:33"),
        (400_000, "21 Nov, 02:13"), (400 * 86_400, "21 Oct 2025, 17:20"),
    ],
)
def test_ago(before: int, words: str) -> None:
    assert phrases.ago(NOW.timestamp() - before, NOW, BERLIN) == words


def test_at_beyond_a_week_names_the_date() -> None:
    assert phrases.at(NOW + timedelta(days=9), NOW, BERLIN) == "17:20 on 4 Dec"


def test_give_back_says_what_was_measured() -> None:
    record = GiveBackRecord("t", Trigger.CLICK, 0.0, 84.0, 280.0, 0, True)
    assert phrases.give_back(record) == "GPU back in 0.28 s"
    assert phrases.give_back(replace(record, vram_free_ms=None)) == "task gone in 0.08 s"
    assert phrases.give_back(replace(record, detected_ms=100.0)) == "GPU back in 0.38 s", "the owner waits from the signal on"
    assert "still holds" in phrases.give_back(replace(record, vram_free_ms=None, held=True))
    assert phrases.give_back(replace(record, halt=Halt.OVER)) == "the task had ended already"


def test_give_back_says_where_the_time_went() -> None:
    record = GiveBackRecord("t", Trigger.APP, 0.0, 84.0, 280.0, 0, True, detected_ms=100.0, halt=Halt.YIELDED)
    told = "noticed within 0.10 s · task gone 0.08 s later · memory read back free 0.28 s after noticing"
    assert phrases.give_back_steps(record) == f"{told} · it saved its work and left · no work lost"
    killed = replace(record, vram_free_ms=None, halt=Halt.KILLED, steps_lost=1_200)
    assert phrases.give_back_steps(killed).endswith("it did not answer and was ended · 1,200 steps must be done again")
    assert phrases.give_back_steps(replace(killed, halt=None)).count("·") == 2


@pytest.mark.parametrize("halt", list(Halt))
def test_every_end_of_a_worker_has_words(halt: Halt) -> None:
    assert phrases.say(f"give_back.halt.{halt}")


def test_cash_out_in_words() -> None:
    quote = Quote(MicroUsd(1_000_000), MicroUsd(2_500), "0x", 0)
    one = CashOut("id", "0x" + "ab" * 20, MicroUsd(0), Stage.CONFIRMED, quote)
    assert phrases.cash_out(one) == "Done: $0.9975 arrived at 0xabab…abab."
    refused = replace(one, stage=Stage.REFUSED, reason="the wallet holds less than that.")
    assert phrases.cash_out(refused) == "Nothing was sent: the wallet holds less than that."


def test_details_from_outside_are_one_short_printable_line() -> None:
    assert phrases.plain("a\n\tb\x00\x1b[31mc\u202ed") == "a b [31mc d"
    assert len(phrases.plain("x" * 10_000)) == 200
    assert phrases.notice(Notice(NoticeKind.TROUBLE, NOW, "two\nlines")) == "two lines"
    assert phrases.kind("strange\nthing/9") == "A task of the kind strange thing/9"


def test_addresses() -> None:
    address = "0x52908400098527886E0F7030069857D2E4169EE7"
    assert phrases.grouped(address) == "0x 5290 8400 0985 2788 6E0F 7030 0698 57D2 E416 9EE7"
    assert phrases.grouped("") == ""
    assert phrases.short(address) == "0x5290…9EE7"
    assert phrases.short("0x12") == "0x12"


@pytest.mark.parametrize(
    ("wei", "said"),
    [
        (0, "0 ETH"),
        (1, "0.000000000000000001 ETH"),
        (10**14, "0.0001 ETH"),
        (100_000_000_000_001, "0.00011 ETH"),
        (1_234 * 10**18, "1,300 ETH"),
        (2 * 10**18, "2 ETH"),
    ],
)
def test_ether_is_rounded_up_so_that_it_is_enough(wei: int, said: str) -> None:
    assert phrases.ether(wei) == said


def test_a_wallet_that_sends_itself_is_shown_the_gas() -> None:
    quote = Quote(MicroUsd(5), MicroUsd(0), "0x", 1, 10**14)
    assert phrases.gas(quote) == ", and about 0.0001 ETH from this wallet for gas, since it sends this itself"
    assert phrases.gas(replace(quote, gas=0)) == ""


def test_a_signed_cash_out_that_nobody_carries_says_why() -> None:
    waiting = CashOut("c1", "0x", MicroUsd(0), Stage.SIGNED, reason="The market's relayer does not answer.")
    assert phrases.cash_out(waiting) == "Signed, but not sent yet: The market's relayer does not answer."
    assert phrases.cash_out(replace(waiting, reason="")) == "Signed; being sent"
