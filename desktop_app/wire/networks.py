"""Which market and which chain: a network profile, read from files and checked before anyone trusts it.

A live network is one file, `resources/networks/NAME.toml`. The practice network's constants are in such a file too, but its
ports and addresses are new in every profile: the practice root writes them to `practice/network.json`, and everyone else
reads both. Called by the composition roots, which hand the result to the chain and market adapters.
"""

import contextlib
import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec

from desktop_app.core.errors import AppError
from desktop_app.core.gpu import Tier
from desktop_app.core.money import MicroUsd, Rate
from desktop_app.wire.resources import resource

PRACTICE: Final = "practice"
_MOST_BYTES: Final = 65_536

Address = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{1,40}\Z")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
# what is not encrypted is read and changed by whoever carries it, so it is for this machine alone; an @ would name another host
_RpcUrl = Annotated[str, msgspec.Meta(max_length=300, pattern=r"^(https://|http://(127\.0\.0\.1|\[::1\]|localhost)[:/])[^\s@]+\Z")]
_NatsUrl = Annotated[str, msgspec.Meta(max_length=300, pattern=r"^(tls://|wss://|(nats|ws)://(127\.0\.0\.1|\[::1\]|localhost)[:/])[^\s@]+\Z")]
RpcUrls = Annotated[tuple[_RpcUrl, ...], msgspec.Meta(min_length=1, max_length=8)]
NatsUrls = Annotated[tuple[_NatsUrl, ...], msgspec.Meta(min_length=1, max_length=8)]


@dataclass(frozen=True, slots=True)
class RateBounds:
    """Where a tier's rate begins and between what it moves, in micro-dollars per GPU-hour."""

    start: Rate
    floor: Rate
    ceiling: Rate


@dataclass(frozen=True, slots=True)
class Network:
    """One market and its chain. Addresses are 0x-hex, money in micro-dollars, times in seconds."""

    name: str
    label: str  # what the owner reads
    chain_id: int
    rpc_urls: tuple[str, ...]
    usdc: str
    policy: str
    registry: str
    escrow: str
    cash_out: str
    timelock: str
    governor: str
    attestor: str  # the one that this market's pool signs with; the policy may trust others too
    nats_urls: tuple[str, ...]
    confirmations: int  # blocks, the one that holds the transaction included, after which nothing is undone
    usdc_name: str
    usdc_version: str
    fee_bps: int
    epoch_s: int
    eth_usd: MicroUsd  # what an ether costs, to turn gas into money
    relayer_fee_floor: MicroUsd
    first_block: int  # the contracts hold nothing from before it
    tiers: tuple[tuple[Tier, RateBounds], ...]
    keeper_every_task: bool = False  # each voucher is redeemed at once, whatever its gas costs

    @property
    def is_practice(self) -> bool:
        return self.name == PRACTICE

    def bounds(self, tier: Tier) -> RateBounds | None:
        """The bounds of a tier's rate, or None when this market does not trade it."""
        return dict(self.tiers).get(tier)


class Bounds(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Of a tier's rate, micro-dollars per GPU-hour."""

    start: Positive
    floor: Positive
    ceiling: Positive

    def __post_init__(self) -> None:
        if not self.floor <= self.start <= self.ceiling:
            raise ValueError("a tier's rate starts between its floor and its ceiling")


class Constants(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a network is wherever it runs."""

    name: _Name
    label: _Text
    chain_id: Positive
    confirmations: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    usdc_name: _Text
    usdc_version: _Text
    fee_bps: Annotated[int, msgspec.Meta(ge=0, le=100)]
    epoch_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)]
    eth_usd: Count
    relayer_fee_floor: Count
    tiers: Annotated[dict[Tier, Bounds], msgspec.Meta(min_length=1)]
    keeper_every_task: bool = False


class Places(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where it runs."""

    rpc_urls: RpcUrls
    usdc: Address
    policy: Address
    registry: Address
    escrow: Address
    cash_out: Address
    timelock: Address
    governor: Address
    attestor: Address
    nats_urls: NatsUrls
    first_block: Count = 0


class _Live(Constants, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A live network's file: both at once."""

    places: Places


_T = TypeVar("_T")


def practice_constants() -> Constants:
    """What the practice network is wherever it runs."""
    return _toml(resource(f"networks/{PRACTICE}.toml"), Constants)


def load(name: str) -> Network:
    """The live network named so. Raises AppError when there is none, or its file is not whole."""
    if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
        raise AppError("There is no network of that name.", "Choose one of those that the settings list.")
    return load_file(resource(f"networks/{name}.toml"))


def load_file(path: Path) -> Network:
    """The live network that a file describes. Raises AppError when there is none, or it is not whole."""
    live = _toml(path, _Live)
    return network_of(live, live.places)


def load_practice(path: Path) -> Network:
    """The practice network whose run-time places are in `path`. Raises AppError when it has not started, or the file is not whole."""
    return network_of(practice_constants(), _parsed(path, _read(path, "Start it with `sublet practice`."), Places, toml=False))


def practice(rpc_urls: tuple[str, ...], nats_urls: tuple[str, ...], **addresses: str) -> Network:
    """A practice network that has just come up. `addresses`: usdc, policy, registry, escrow, cash_out, timelock, governor, attestor."""
    try:
        return network_of(practice_constants(), msgspec.convert({"rpc_urls": rpc_urls, "nats_urls": nats_urls, **addresses}, Places))
    except msgspec.ValidationError as error:
        raise AppError("The practice network's places are not whole.", str(error)) from error


def save(path: Path, network: Network) -> None:
    """Write the practice network's run-time places for the other processes, all or nothing."""
    _write(path, msgspec.json.format(msgspec.json.encode(msgspec.convert(network, Places, from_attributes=True))))


def save_live(path: Path, constants: Constants, places: Places) -> None:
    """Write a live network's whole profile, all or nothing, as `load` reads it."""
    tables = msgspec.to_builtins(constants)
    tiers: dict[str, dict[str, object]] = tables.pop("tiers")
    parts = [("", tables), *((f"tiers.{tier}", one) for tier, one in tiers.items()), ("places", msgspec.to_builtins(places))]
    lines: list[str] = []
    for title, values in parts:
        lines += [f"\n[{title}]"] if title else []
        # a text or a list of texts is written alike in TOML and JSON, but for DEL, which no field here may hold
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    _write(path, "\n".join([*lines, ""]).encode())


def network_of(constants: Constants, places: Places) -> Network:
    """One network of both its halves."""
    return Network(
        name=constants.name,
        label=constants.label,
        chain_id=constants.chain_id,
        confirmations=constants.confirmations,
        usdc_name=constants.usdc_name,
        usdc_version=constants.usdc_version,
        fee_bps=constants.fee_bps,
        epoch_s=constants.epoch_s,
        eth_usd=MicroUsd(constants.eth_usd),
        keeper_every_task=constants.keeper_every_task,
        relayer_fee_floor=MicroUsd(constants.relayer_fee_floor),
        tiers=tuple((tier, RateBounds(Rate(one.start), Rate(one.floor), Rate(one.ceiling))) for tier, one in constants.tiers.items()),
        **msgspec.structs.asdict(places),
    )


def _write(path: Path, body: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    except OSError as error:
        raise AppError("The network's file cannot be written.", f"Make room or allow writing in {path.parent}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise AppError("The network's file cannot be written.", f"Make room or allow writing in {path.parent}.") from error


def read_toml(path: Path, kind: type[_T], advice: str) -> _T:
    """A TOML file of this shape; `advice` is for who has none. Raises AppError when it is missing, far too long or not whole."""
    return _parsed(path, _read(path, advice), kind, toml=True)


def _toml(path: Path, kind: type[_T]) -> _T:
    return read_toml(path, kind, "Choose one of the networks that the settings list.")


def _read(path: Path, advice: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise AppError(f"There is no network in {path.name}.", advice) from error
    except OSError as error:
        raise AppError(f"The network file {path.name} cannot be read.", f"Allow reading {path}.") from error
    if len(data) > _MOST_BYTES:
        raise AppError(f"The network file {path.name} is far too long.", f"Replace {path} with the one that was shipped.")
    return data


def _parsed(path: Path, data: bytes, kind: type[_T], *, toml: bool) -> _T:
    try:
        return msgspec.toml.decode(data, type=kind) if toml else msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AppError(f"The network file {path.name} is not whole: {error}.", f"Remove or replace {path}.") from error
