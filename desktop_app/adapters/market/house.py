"""Lays out the market's streams, consumers and buckets; done again it changes nothing.

Called by the pool at every start. Names and limits are in `wire.market`.
"""

import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from desktop_app.adapters.market.session import Session
from desktop_app.core.gpu import Tier
from desktop_app.wire import market as wire
from desktop_app.wire import pooling

_DAY = 24 * 3600
_MB = 1024 * 1024

_STREAMS = (
    StreamConfig(
        name=wire.TASKS,
        subjects=["tasks.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        max_bytes=256 * _MB,
        max_msg_size=wire.MOST_MESSAGE + 4096,
        duplicate_window=3600,
    ),
    StreamConfig(name=wire.RECEIPTS, subjects=["receipts.*.*"], max_age=30 * _DAY, max_bytes=256 * _MB, duplicate_window=3600),
    StreamConfig(name=wire.VERDICTS, subjects=["verdicts.*.*"], max_age=30 * _DAY, max_bytes=256 * _MB, duplicate_window=3600),
    StreamConfig(
        name=f"OBJ_{wire.BLOBS}",
        subjects=[f"$O.{wire.BLOBS}.C.>", f"$O.{wire.BLOBS}.M.>"],
        max_age=7 * _DAY,
        max_bytes=4096 * _MB,
        allow_rollup_hdrs=True,
        allow_direct=True,
    ),
)
_BUCKETS = (
    (wire.PRICES, 0, wire.MOST_RECORD),
    (wire.OFFERS, wire.OFFER_LASTS_S, wire.MOST_RECORD),
    (wire.LEASES, 30 * _DAY, wire.MOST_RECORD),
    (wire.JOBS, 30 * _DAY, wire.MOST_RECORD),
    (wire.RENTERS, 60 * _DAY, wire.MOST_SHEET),
    (pooling.VOUCHERS, 60 * _DAY, wire.MOST_RECORD),
    (pooling.DEEDS, pooling.DEED_LASTS_S, pooling.MOST_DEED),
    (pooling.OWED, 365 * _DAY, pooling.MOST_DEED),
)


async def open_house(session: Session, tiers: tuple[Tier, ...]) -> None:
    """Make, or bring up to date, everything the market keeps."""
    for config in (*_STREAMS, *(_bucket(*bucket) for bucket in _BUCKETS)):
        await _stream(session, config.evolve(storage=StorageType.FILE, discard=DiscardPolicy.NEW))
    for tier in tiers:
        await durable(session, wire.TASKS, wire.task_consumer(tier), wire.task_subject(tier), wire.ACK_WAIT_S, wire.MOST_DELIVERIES)


async def durable(session: Session, stream: str, name: str, subject: str, ack_wait_s: float, most_deliveries: int = -1) -> None:
    """Make sure of a durable pull consumer."""
    await session.stream.add_consumer(
        stream,
        ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_deliver=most_deliveries,
            max_ack_pending=10_000,
        ),
    )


def _bucket(name: str, lasts_s: float, most_bytes: int) -> StreamConfig:
    return StreamConfig(
        name=f"KV_{name}",
        subjects=[f"$KV.{name}.>"],
        max_age=lasts_s or None,
        max_msgs_per_subject=1,
        max_msg_size=most_bytes + 4096,
        allow_rollup_hdrs=True,
        allow_direct=True,
        deny_delete=True,
    )


async def _stream(session: Session, config: StreamConfig) -> None:
    name = str(config.name)
    try:
        await session.stream.stream_info(name)
    except nats.js.errors.NotFoundError:
        await session.stream.add_stream(config)
    else:
        await session.stream.update_stream(config)
