"""The whole practice network, real in every part: its start, a task from posting to payment, its bad days, its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from desktop_app.core import messages as m
from desktop_app.core.cashout import CashOut, Quote, arrives
from desktop_app.core.gpu import hardware_digest
from desktop_app.core.money import MicroUsd, net
from desktop_app.core.state import JobAccount
from desktop_app.wire import market as wire
from tests.practice.agent_side import AgentSide, agent_side

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class Practice:
    """A running practice network."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    def log(self, part: str) -> str:
        path = self.folder / "logs" / f"{part}.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, part: str, words: str, count: int = 1, timeout_s: float = 180) -> float:
        """Seconds until a part's log says so."""
        began = time.monotonic()
        while self.log(part).count(words) < count:
            logs = {name: self.log(name)[-2000:] for name in ("pool", "renter", "chain")}
            assert time.monotonic() < began + timeout_s, f"{part} never said {words!r}: {logs}"
            assert self.process.poll() is None
            time.sleep(0.05)
        return time.monotonic() - began

    def part(self, name: str, timeout_s: float = 60) -> psutil.Process:
        """A part's process; one that the death of another ended is waited for."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for child in psutil.Process(self.process.pid).children():
                with contextlib.suppress(psutil.Error):  # one that has just died
                    if name in " ".join(child.cmdline()):
                        return child
            time.sleep(0.05)
        raise AssertionError(f"no {name} among the parts")


@contextlib.contextmanager
def practice(folder: Path) -> Iterator[Practice]:
    with (folder.parent / "practice.out").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "desktop_app", "practice", "--attached", str(folder)], stdin=subprocess.PIPE, stdout=out, stderr=out
        )
    try:
        yield Practice(folder, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        print((folder.parent / "practice.out").read_text())
        for log in sorted((folder / "logs").glob("*.log")):
            print(f"== {log.name}\n{log.read_text()[-3000:]}")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Practice]:
    with practice(tmp_path / "practice") as network:
        seconds = network.wait_for("renter", "posted task", 2)
        print(f"first tasks queued after {seconds:.1f} s")
        yield network


async def test_tasks_are_run_judged_and_paid(running: Practice, tmp_path: Path) -> None:
    async with agent_side(running.folder, tmp_path / "owner") as owner:
        await owner.register("practice-1")
        expected = 0
        for count in (1, 2, 3, 4):  # three trainings, and a reading with one of the models
            lease = await owner.lease(count)
            result = await owner.compute(lease)
            await owner.market.deliver(lease, result, owner.sign(lease, result))
            voucher = await owner.wait(m.VoucherArrived, count)
            assert voucher.task_ids == (lease.manifest.task_id,)
            of_job = [one.lease.manifest for one in leased(owner) if one.lease.manifest.job_id == voucher.job_id]
            assert voucher.units == sum(manifest.units for manifest in of_job)
            expected = earned(owner)
            assert await owner.paid(expected) == expected
        assert {one.lease.manifest.kind for one in leased(owner)} == {"train.classifier/1", "infer.batch/1"}
        await cash_out(owner, expected, tmp_path)


async def cash_out(owner: AgentSide, balance: int, tmp_path: Path) -> None:
    """Everything to a fresh address through the relayer; asked twice, it is one payment."""
    from desktop_app.adapters.chain import cash_out_typed
    from desktop_app.adapters.keys import WALLET

    fresh = "0x" + os.urandom(20).hex()
    asked = CashOut("1", fresh, MicroUsd(0))
    quote = await owner.market.quote(asked, owner.wallet)
    assert isinstance(quote, Quote), quote
    assert (quote.amount, quote.fee) == (balance, owner.network.relayer_fee_floor)
    with owner.keys.unlock_wallet():
        signature = owner.keys.sign_typed(WALLET, cash_out_typed(owner.network, owner.wallet, fresh, quote))
    signed = CashOut("1", fresh, MicroUsd(0), quote=quote, authorisation=signature)
    first = await owner.market.send_cash_out(signed, owner.wallet)
    again = await owner.market.send_cash_out(signed, owner.wallet)
    assert isinstance(first, wire.Sent)
    assert again == first
    assert (await asyncio.to_thread(owner.chain.balance, fresh))[0] == arrives(quote)
    assert (await asyncio.to_thread(owner.chain.balance, owner.wallet))[0] == 0
    refused = await owner.market.quote(asked, owner.wallet)
    assert isinstance(refused, wire.Refusal)
    assert "nothing to cash out" in refused.reason


async def test_a_wrong_result_is_not_paid_and_the_task_is_posted_again(running: Practice, tmp_path: Path) -> None:
    async with agent_side(running.folder, tmp_path / "owner") as owner:
        await owner.register("practice-1")
        lease = await owner.lease()
        result = (owner.keep("model", b"\x80\x04 not a model"),)
        await owner.market.deliver(lease, result, owner.sign(lease, result))
        rejected = await owner.wait(m.RenterRejectedResult)
        assert rejected.task_id == lease.manifest.task_id
        assert "pickle" in rejected.reason or "safetensors" in rejected.reason
        await asyncio.to_thread(running.wait_for, "renter", "posted task", 3)
        assert (await asyncio.to_thread(owner.chain.balance, owner.wallet))[0] == 0
        assert not any(isinstance(said, m.VoucherArrived) for said in owner.posted)


async def test_a_receipt_of_another_key_is_not_paid(running: Practice, tmp_path: Path) -> None:
    async with agent_side(running.folder, tmp_path / "one") as one, agent_side(running.folder, tmp_path / "two") as two:
        await one.register("practice-1")
        await two.register("practice-2")
        assert one.gpu_id != two.gpu_id
        lease = await one.lease()
        result = await one.compute(lease)
        two.gpu_id = one.gpu_id  # signs with its own key for the other's GPU
        await one.market.deliver(lease, result, two.sign(lease, result))
        assert "operator key" in (await one.wait(m.RenterRejectedResult)).reason


async def test_registering_again_is_the_same_gpu_and_not_anybodys(running: Practice, tmp_path: Path) -> None:
    async with agent_side(running.folder, tmp_path / "one") as one, agent_side(running.folder, tmp_path / "two") as two:
        await one.register("practice-1")
        await one.register("practice-1")
        assert [said.chain_id for said in one.posted if isinstance(said, m.MarketRegisteredGpu)] == [one.gpu_id] * len(
            [said for said in one.posted if isinstance(said, m.MarketRegisteredGpu)]
        )
        from desktop_app.core.gpu import Device, DeviceKind, Tier

        await two.market.register(Device(DeviceKind.PRACTICE, "practice-1", "CPU", 1, 1), Tier.PRACTICE, two.wallet, two.wallet)
        assert "another owner" in (await two.wait(m.TroubleArose)).detail


async def test_the_parts_are_killed_one_after_another_and_the_money_adds_up(running: Practice, tmp_path: Path) -> None:
    async with agent_side(running.folder, tmp_path / "owner") as owner:
        await owner.register("practice-1")
        for count, victims in enumerate((("nats-server", "practice-evm"), ("practice-pool", "practice-renter")), start=1):
            lease = await owner.lease(count)
            result = await owner.compute(lease)
            for victim in victims:
                (await asyncio.to_thread(running.part, victim)).send_signal(signal.SIGKILL)
            await owner.market.deliver(lease, result, owner.sign(lease, result))
            await owner.wait(m.ReceiptDelivered, count)
            await owner.wait(m.VoucherArrived, count, 240)
        assert await owner.paid(1) > 0
        owed = earned(owner)
        assert await owner.paid(owed, 240) == owed


def test_all_parts_end_with_the_network_however_it_ends(tmp_path: Path) -> None:
    with practice(tmp_path / "practice") as network:
        network.wait_for("renter", "posted task")
        parts = [child.pid for child in psutil.Process(network.process.pid).children(recursive=True)]
        assert len(parts) == 4
        network.process.kill()
        network.process.wait()
        end = time.monotonic() + 30
        while any(alive(pid) for pid in parts):
            assert time.monotonic() < end, [pid for pid in parts if alive(pid)]
            time.sleep(0.02)


def test_a_second_network_in_one_profile_is_refused(running: Practice) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "desktop_app", "practice", str(running.folder)], capture_output=True, text=True, timeout=30, check=False
    )
    assert second.returncode == 1
    assert "running already" in second.stderr


async def test_everything_goes_on_after_a_restart_on_the_same_ports(tmp_path: Path) -> None:
    folder = tmp_path / "practice"
    with practice(folder) as network:
        network.wait_for("renter", "posted task", 2)
        places = (folder / "network.json").read_bytes()
        async with agent_side(folder, tmp_path / "owner") as owner:
            await owner.register("practice-1")
            lease = await owner.lease()
    before = (folder / "network.json").stat().st_mtime_ns
    with practice(folder) as network:
        while (folder / "network.json").stat().st_mtime_ns == before:
            await asyncio.sleep(0.05)
        async with agent_side(folder, tmp_path / "owner") as owner:
            owner.gpu_id, owner.hardware = 1, hardware_digest("practice-1")
            owner.market.follow(1)
            await owner.market.resume(lease)
            result = await owner.compute(lease)
            await owner.market.deliver(lease, result, owner.sign(lease, result))
            voucher = await owner.wait(m.VoucherArrived)
            assert await owner.paid(1) == net(voucher.units, voucher.rate, voucher.fee_bps)
            account = JobAccount(
                voucher.job_id, voucher.rate, voucher.fee_bps, voucher.units, root=voucher.root, signature=voucher.signature
            )
            assert isinstance(await owner.market.redeem(account, 1), wire.Sent)
        assert (folder / "network.json").read_bytes() == places


def leased(owner: AgentSide) -> list[m.MarketLeased]:
    return [one for one in owner.posted if isinstance(one, m.MarketLeased)]


def earned(owner: AgentSide) -> int:
    """What the vouchers say, job by job."""
    newest: dict[str, m.VoucherArrived] = {}
    for said in owner.posted:
        if isinstance(said, m.VoucherArrived) and said.units >= newest.get(said.job_id, said).units:
            newest[said.job_id] = said
    return sum(net(one.units, one.rate, one.fee_bps) for one in newest.values())


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
