"""Messages and state come back from bytes as they went in; whatever does not fit is refused at the door."""

import time
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from desktop_app.core.cashout import CashOut
from desktop_app.core.gpu import Device, DeviceKind, Reading, Tier
from desktop_app.core.messages import AgentStarted, Message, OwnerChangedSettings, OwnerMessage, OwnerSnoozed, OwnerTurnedSharing
from desktop_app.core.money import MicroUsd, Rate, Units
from desktop_app.core.presence import Presence
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.schedule import Schedule
from desktop_app.core.settings import Settings
from desktop_app.core.state import (
    Gpu,
    Mark,
    Market,
    Notice,
    NoticeKind,
    Paid,
    Payout,
    Readiness,
    Reason,
    Sharing,
    State,
    TaskRecord,
    Trigger,
    Wallet,
    Why,
)
from desktop_app.wire.codec import (
    decode_message,
    decode_owner_message,
    decode_receipt,
    decode_state,
    durable,
    encode_message,
    encode_receipt,
    encode_state,
    salvage_state,
)

_finite = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))
st.register_type_strategy(float, _finite)
st.register_type_strategy(Schedule, st.builds(Schedule, st.text("-as", min_size=336, max_size=336)))
_messages = st.one_of([st.from_type(kind) for kind in get_args(Message)])
_states = st.from_type(State)
_patient = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


@_patient
@given(_messages)
def test_every_message_comes_back_as_it_went(message: Message) -> None:
    assert decode_message(encode_message(message)) == message


@_patient
@given(_states)
def test_every_state_comes_back_as_it_went(state: State) -> None:
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize("kind", get_args(Message))
def test_no_message_or_its_fields_can_be_mistaken_for_another(kind: type) -> None:
    assert is_dataclass(kind)
    assert sum(other.__name__ == kind.__name__ for other in get_args(Message)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"message":"NoSuchThing","body":{}}',
        b'{"message":"OwnerTurnedSharing"}',
        b'{"message":"OwnerTurnedSharing","body":{}}',
        b'{"message":"OwnerTurnedSharing","body":{"on":1}}',
        b'{"message":"OwnerTurnedSharing","body":[true]}',
        b'{"message":"OwnerSnoozed","body":{"until":"2026-01-01T00:00:00"}}',
        b'{"message":"OwnerSnoozed","body":{"until":"2026-01-01T00:00:00+02:00"}}',
        b'{"message":"ClockTicked","body":{"now":"2026-13-01T00:00:00Z","zone":{}}}',
        b'{"message":"OwnerSnoozed","body":{"until":' + b"[" * 100_000,
        b"[" * 100_000,
        b'{"message":"OwnerTurnedSharing","body":{"on":true}}trailing',
        b"\xff\xfe",
    ],
)
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode_message(data)


def test_a_state_with_a_time_that_is_not_utc_is_refused() -> None:
    state = State(notices=(Notice(NoticeKind.TROUBLE, datetime(2026, 1, 1)),))
    with pytest.raises(ValueError, match="UTC"):
        decode_state(encode_state(state))


def test_a_settings_string_that_is_no_schedule_is_refused() -> None:
    data = encode_state(State()).replace(Schedule().cells.encode(), b"s")
    with pytest.raises(ValueError, match="336"):
        decode_state(data)


def test_an_owner_can_send_only_what_owners_send() -> None:
    turned = OwnerTurnedSharing(on=True)
    assert decode_owner_message(encode_message(turned)) == turned
    changed = OwnerChangedSettings((("pause_on_battery", True), ("floor", 1), ("network", "practice")))
    assert decode_owner_message(encode_message(changed)) == changed
    started = encode_message(AgentStarted(datetime.now(UTC), State().zone))
    with pytest.raises(ValueError, match="owner"):
        decode_owner_message(started)
    assert {kind.__name__ for kind in get_args(OwnerMessage)} == {
        kind.__name__ for kind in get_args(Message) if kind.__name__.startswith("Owner")
    }


def test_a_new_version_reads_what_an_old_one_wrote_and_the_other_way_round() -> None:
    assert decode_state(b'{"sharing":{"on":true},"no_such_field":1}') == State(sharing=Sharing(on=True))
    assert decode_message(b'{"message":"OwnerSnoozed","body":{"until":null,"mood":"fine"}}') == OwnerSnoozed(None)


def test_a_damaged_state_gives_its_good_parts() -> None:
    state = State(sharing=Sharing(on=True), gpu=Gpu(chain_id=4), wallet=Wallet(paid=MicroUsd(5)))
    data = encode_state(state).replace(b'"chain_id":4', b'"chain_id":"four"')
    with pytest.raises(ValueError):
        decode_state(data)
    assert salvage_state(data) == (replace(state, gpu=Gpu()), ("gpu",))
    assert salvage_state(data[:-9]) == (State(), ("everything",))
    assert salvage_state(b'{"no_such_field":1,"sharing":{"on":true}}') == (State(sharing=Sharing(on=True)), ())


@_patient
@given(st.from_type(SignedReceipt))
def test_every_receipt_comes_back_as_it_went(signed: SignedReceipt) -> None:
    assert decode_receipt(encode_receipt(signed)) == signed


def test_measurements_are_not_worth_saving() -> None:
    before = State(sharing=Sharing(on=True), gpu=Gpu(tier=Tier.SMALL, chain_id=4), wallet=Wallet(address="0x1", paid=MicroUsd(5)))
    after = replace(
        before,
        now=datetime.now(UTC),
        presence=Presence(idle_s=3.0),
        readiness=Readiness(runtime=True),
        market=Market(connected=True, rate=Rate(5)),
        why=Why(Reason.WORKING),
        offered=Rate(1),
        sharing=replace(before.sharing, quitting=True),
        gpu=replace(before.gpu, reading=Reading(temperature=50), device=Device(DeviceKind.NVIDIA, "u", "n", 1, 1), lost=True),
        wallet=replace(before.wallet, ready=True, chain_ok=True, needs_passphrase=True),
    )
    assert durable(before) == durable(after)
    assert durable(durable(after)) == durable(after)


@pytest.mark.parametrize(
    "change",
    [
        {"settings": Settings(tariff=1)},
        {"sharing": Sharing(snoozed_until=datetime.now(UTC))},
        {"gpu": Gpu(chain_id=7)},
        {"signals": (Mark(Trigger.HEAT, datetime.now(UTC)),)},
        {"wallet": Wallet(paid=MicroUsd(1))},
        {"cash_out": CashOut("1", "0x", MicroUsd(1))},
        {"history": (TaskRecord("t", "j", "k", 0.0, 1.0, 0, 5, Units(5), Rate(1), MicroUsd(1), Paid.PENDING),)},
        {"notices": (Notice(NoticeKind.TROUBLE, datetime.now(UTC)),)},
    ],
)
def test_what_matters_is_worth_saving(change: dict[str, object]) -> None:
    assert durable(replace(State(), **change)) != durable(State())  # type: ignore[arg-type]


def test_of_a_signal_only_its_beginning_is_saved() -> None:
    """The rest changes with every look; a state that is saved at every look wears out the disk."""
    now = datetime.now(UTC)
    asking = State(signals=(Mark(Trigger.HEAT, now, now, asking=True),))
    later = State(signals=(Mark(Trigger.HEAT, now, now + timedelta(seconds=9)),))
    assert durable(asking) == durable(later) != durable(State())
    assert decode_state(encode_state(durable(asking))) == durable(asking)


def test_a_state_of_a_thousand_records_is_read_quickly() -> None:
    """In time of the processor: what else it is busy with is not tried here."""
    record = TaskRecord("t", "0x" + "a" * 64, "train.classifier/1", 0.0, 1.0, 0, 5, Units(5), Rate(1), MicroUsd(1), Paid.PAID)
    data = encode_state(State(history=(record,) * 1000))
    started = time.thread_time()
    assert len(decode_state(data).history) == 1000
    assert time.thread_time() - started < 0.2


def test_every_field_of_the_state_was_thought_about() -> None:
    """A new field must be put into `durable` or into this list."""
    measured = {"now", "zone", "presence", "readiness", "market", "why", "offered", "looked", "programs"}
    held = {"awake_until", "warmth", "capped_watts", "crashed"}  # by this run of the agent
    money = {"outbox", "wallet", "accounts", "cash_out", "cash_outs_asked"}
    saved = {"settings", "sharing", "gpu", "signals", "cooldown", "task", "history", "give_backs", "notices"}
    assert {field.name for field in fields(State)} == measured | held | money | saved


def test_every_field_of_the_wallet_was_thought_about() -> None:
    kept = {
        "address": "0xa", "operator": "0xb", "balance": MicroUsd(1), "paid": MicroUsd(2), "by_day": (("2026-11-23", 3),),
        "payouts": (Payout("0x1", MicroUsd(2), "0x2", 3, 4),), "block": 5, "practice": "0xe",
    }  # fmt: skip
    anew = {"ready": True, "needs_passphrase": True, "chain_ok": True}
    assert {field.name for field in fields(Wallet)} == kept.keys() | anew.keys()
    assert durable(State(wallet=Wallet(**kept, **anew))).wallet == Wallet(**kept)  # type: ignore[arg-type]
