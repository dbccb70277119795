"""State and messages as bytes: for the saved state, the story, and the socket between agent, tray and command line.

Everything is JSON by msgspec, checked against the core's own dataclasses on the way in. A message travels as its class
name and its body; a name that is not in `Message`, a shape that does not fit, or a time that is not UTC is a ValueError.
A field that is missing takes its default and one that is unknown is ignored, so that a newer and an older version can
read each other. Called by the store, the link, the tray and the command line.
"""

from collections.abc import Iterable
from dataclasses import is_dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar, get_args, get_type_hints

import msgspec

from desktop_app.core.gpu import Reading
from desktop_app.core.messages import Message, OwnerMessage
from desktop_app.core.receipts import SignedReceipt
from desktop_app.core.signals import forgotten
from desktop_app.core.state import Gpu, State, Wallet

_T = TypeVar("_T")


class _Envelope(msgspec.Struct, frozen=True):
    """How a message travels: its class name, and its fields left as bytes until the name is known."""

    message: str
    body: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(_Envelope)
_states = msgspec.json.Decoder(State)
_parts = msgspec.json.Decoder(dict[str, msgspec.Raw])
_receipts = msgspec.json.Decoder(SignedReceipt)
_messages: dict[str, msgspec.json.Decoder[Message]] = {kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(Message)}
_timely_fields: dict[type, tuple[str, ...]] = {}
_owner_names = frozenset(kind.__name__ for kind in get_args(OwnerMessage))


def encode_state(state: State) -> bytes:
    """The whole state as one line of JSON."""
    return _encoder.encode(state)


def decode_state(data: bytes) -> State:
    """The state again. Raises ValueError when the bytes are none."""
    return _checked(_states, data)


def encode_message(message: Message) -> bytes:
    """A message as one line of JSON: `{"message": "OwnerTurnedSharing", "body": {"on": true}}`."""
    return _encoder.encode({"message": type(message).__name__, "body": message})


def decode_message(data: bytes) -> Message:
    """Any message again. Raises ValueError for an unknown name or a shape that does not fit."""
    envelope = _decoded(_envelopes, data)
    decoder = _messages.get(envelope.message)
    if decoder is None:
        raise ValueError(f"there is no message named {envelope.message[:60]!r}")
    return _checked(decoder, bytes(envelope.body))


def decode_owner_message(data: bytes) -> OwnerMessage:
    """A message from a tray or a command line: raises ValueError for every message that only an adapter may post."""
    name = _decoded(_envelopes, data).message
    if name not in _owner_names:
        raise ValueError(f"{name[:60]!r} is not a message an owner sends")
    message = decode_message(data)
    assert isinstance(message, OwnerMessage)  # noqa: S101 - the name was looked up in the same union
    return message


def encode_receipt(signed: SignedReceipt) -> bytes:
    """A signed receipt as one line of JSON."""
    return _encoder.encode(signed)


def decode_receipt(data: bytes) -> SignedReceipt:
    """A signed receipt again, its signature unchecked. Raises ValueError when the bytes are none."""
    return _decoded(_receipts, data)


def salvage_state(data: bytes) -> tuple[State, tuple[str, ...]]:
    """What can be read of a state that `decode_state` refused, and the names of the parts that could not."""
    try:
        parts = _decoded(_parts, data)
    except ValueError:
        return State(), ("everything",)
    good = {name: body for name, body in parts.items() if _readable(name, body)}
    return decode_state(_encoder.encode(good)), tuple(name for name in parts if name not in good)


def durable(state: State) -> State:
    """The part of the state that is worth saving, with defaults for the rest.

    Two states with equal durable parts need no save between them. What is measured anew at every start is left out:
    readings, presence, readiness, the market, the clock, and whether the wallet and chain could be reached.
    """
    wallet = state.wallet
    return State(
        settings=state.settings,
        sharing=replace(state.sharing, quitting=False, quit_by=None),
        gpu=Gpu(
            reading=Reading(), tier=state.gpu.tier, chain_id=state.gpu.chain_id,
            registered=state.gpu.registered, named=state.gpu.named, benchmark=state.gpu.benchmark,
        ),
        signals=forgotten(state.signals),
        cooldown=state.cooldown,
        task=None if state.task is None else replace(state.task, progress=None, pid=0),
        outbox=state.outbox,
        wallet=Wallet(
            address=wallet.address, operator=wallet.operator, balance=wallet.balance, paid=wallet.paid,
            by_day=wallet.by_day, payouts=wallet.payouts, block=wallet.block, practice=wallet.practice,
        ),
        accounts=state.accounts,
        cash_out=state.cash_out,
        cash_outs_asked=state.cash_outs_asked,
        history=state.history,
        give_backs=state.give_backs,
        notices=state.notices,
    )


def _readable(name: str, body: msgspec.Raw) -> bool:
    try:
        decode_state(_encoder.encode({name: body}))
    except ValueError:
        return False
    return True


def _decoded(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not what was expected: {error}") from None


def _checked(decoder: "msgspec.json.Decoder[_T]", data: bytes) -> _T:
    value = _decoded(decoder, data)
    if any(moment.utcoffset() != timedelta(0) for moment in _moments(value)):
        raise ValueError("not what was expected: a time that is not UTC")
    return value


def _moments(value: object) -> Iterable[datetime]:
    """Every datetime inside `value`."""
    if isinstance(value, datetime):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _moments(part)
    else:
        for name in _timely(type(value)):
            yield from _moments(getattr(value, name))


def _timely(shape: type) -> tuple[str, ...]:
    """The fields of a dataclass that can hold a datetime at some depth; found once, since a state holds a thousand records."""
    if shape not in _timely_fields:
        hints = get_type_hints(shape) if is_dataclass(shape) else {}
        _timely_fields[shape] = tuple(name for name, hint in hints.items() if _can_hold_time(hint))
    return _timely_fields[shape]


def _can_hold_time(hint: object) -> bool:
    if hint is datetime:
        return True
    if isinstance(hint, type) and _timely(hint):
        return True
    return any(_can_hold_time(part) for part in get_args(hint))
