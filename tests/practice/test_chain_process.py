"""The chain's process through its whole life: started, killed at bad moments, started again, locked, damaged, ended."""

import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hexbytes import HexBytes
from web3.exceptions import TransactionNotFound

from desktop_app.practice.chain.ledger import Ledger
from desktop_app.practice.chain.methods import Methods
from desktop_app.practice.chain.server import Server
from desktop_app.practice.chain.store import Store
from tests.practice.chain_rig import MONEY, POOR, RICH, ChainProcess, chain


def wait_for_receipts(running: ChainProcess, sent: list[HexBytes]) -> None:
    for one in sent:
        assert running.web3.eth.wait_for_transaction_receipt(one, timeout=30)["status"] == 1


def test_state_lives_on_over_a_restart(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        sent = running.send(0)
        wait_for_receipts(running, [sent])
        head = running.web3.eth.get_block("latest")
        assert running.end(signal.SIGTERM) == 0
    with chain(tmp_path / "chain") as running:
        assert running.web3.eth.get_block("latest") == head
        assert running.web3.eth.get_balance(POOR.address) == 1
        assert running.web3.eth.get_transaction_receipt(sent)["blockHash"] == head["hash"]
        assert running.web3.eth.get_transaction_count(RICH.address) == 1


def test_kill_9_in_a_stream_of_transactions_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """Six kills at random moments: every hash given out is mined, every receipt seen is still the same, every block too."""
    dice = random.Random(7)
    acknowledged: list[HexBytes] = []
    receipts: dict[HexBytes, bytes] = {}
    blocks: dict[int, bytes] = {}
    nonce = 0
    for _ in range(6):
        with chain(tmp_path / "chain") as running:
            for number, block_hash in blocks.items():
                assert running.web3.eth.get_block(number).get("hash") == block_hash
            for one, block_hash in receipts.items():
                assert running.web3.eth.get_transaction_receipt(one)["blockHash"] == block_hash
            nonce = running.web3.eth.get_transaction_count(RICH.address, "pending")
            assert nonce >= len(acknowledged)
            killer, before = threading.Timer(dice.uniform(0.1, 2.0), running.process.kill), len(acknowledged)
            try:
                while True:
                    one = running.send(nonce)
                    acknowledged.append(one)
                    nonce += 1
                    if len(acknowledged) == before + 4:  # so that there is something to lose, however slow the machine
                        killer.start()
                    look(running, acknowledged[-20:], receipts, blocks)
            except OSError:
                killer.join()
                assert running.process.wait(timeout=20) == -signal.SIGKILL
    assert len(acknowledged) > 20
    with chain(tmp_path / "chain") as running:
        wait_for_receipts(running, acknowledged)
        mined = int(running.web3.eth.get_transaction_count(RICH.address))
        assert int(running.web3.eth.get_balance(POOR.address)) == mined >= len(set(acknowledged))


def look(running: ChainProcess, sent: list[HexBytes], receipts: dict[HexBytes, bytes], blocks: dict[int, bytes]) -> None:
    """Notes what the chain says now, as the truth it must keep to."""
    head = running.web3.eth.get_block("latest")
    blocks[head["number"]] = bytes(head["hash"])
    for one in sent:
        try:
            receipts[one] = bytes(running.web3.eth.get_transaction_receipt(one)["blockHash"])
        except TransactionNotFound:
            continue


def test_accepted_and_not_mined_is_mined_after_a_kill(tmp_path: Path) -> None:
    with chain(tmp_path / "chain", every=300) as running:
        wait_for_receipts(running, [running.send(0)])  # at once; the next block is far away, and the kill comes first
        waiting = [running.send(1), running.send(2)]
        with pytest.raises(TransactionNotFound):
            running.web3.eth.get_transaction_receipt(waiting[1])
        running.end(signal.SIGKILL)
    with chain(tmp_path / "chain") as running:
        wait_for_receipts(running, waiting)


def test_the_first_block_comes_at_once(tmp_path: Path) -> None:
    with chain(tmp_path / "chain", every=300) as running:
        time.sleep(0.5)  # nothing is there to be mined
        wait_for_receipts(running, [running.send(0)])


def test_blocks_come_at_most_one_a_second(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        began = time.monotonic()
        wait_for_receipts(running, [running.send(0)])
        sent = [running.send(nonce) for nonce in range(1, 20)]
        while time.monotonic() - began < 3.0:
            newest = time.time()
            sent.append(running.send(len(sent) + 1))
            time.sleep(0.05)
        wait_for_receipts(running, sent)
        took = time.monotonic() - began
        head = running.web3.eth.block_number
        assert head <= took + 2
        stamps = [running.web3.eth.get_block(number)["timestamp"] for number in range(head + 1)]
        assert all(later > earlier for earlier, later in pairwise(stamps))
        assert int(newest) <= stamps[-1] <= time.time() + 1
        # nothing to mine: no block comes
        time.sleep(1.5)
        assert running.web3.eth.block_number == head


def test_a_second_process_is_turned_away(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        words = [sys.executable, "-m", "tests.practice.chain_process", str(tmp_path / "chain"), "0"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as second:
            assert second.stderr is not None
            assert "cannot be opened" in second.stderr.read()
        assert second.returncode == 1
        assert running.web3.eth.chain_id == 31337


def test_a_damaged_file_is_kept_aside_and_a_new_chain_begins(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        wait_for_receipts(running, [running.send(0)])
        running.end(signal.SIGTERM)
    file = tmp_path / "chain" / "chain.sqlite"
    kept = file.read_bytes()
    file.write_bytes(b"not a database at all" + kept[21:])
    with chain(tmp_path / "chain") as running:
        assert running.web3.eth.block_number == 0
        assert running.web3.eth.get_balance(RICH.address) == MONEY
    aside = list((tmp_path / "chain").glob("chain.sqlite.damaged-*"))
    assert len(aside) == 1
    assert aside[0].read_bytes()[21:] == kept[21:]
    assert "a new chain begins" in (tmp_path / "chain.log").read_text()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        assert running.process.stdin is not None
        assert running.web3.eth.chain_id == 31337
        running.process.stdin.close()
        assert running.process.wait(timeout=20) == 0


def test_it_ends_though_told_between_two_connections(tmp_path: Path) -> None:
    """The accepting thread is busy with the last client when the word comes, as on a machine with much to do."""
    told = threading.Event()

    class Slow(Server):
        def process_request(self, request: Any, client_address: Any) -> None:
            super().process_request(request, client_address)
            assert told.wait(20)

    store = Store(tmp_path / "chain.sqlite")
    server = Slow(Methods(Ledger(store, {})), 0)
    accepting = threading.Thread(target=server.run, name="accepting", daemon=True)
    accepting.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"POST / HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 403")
        at_the_door = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(12)]
        server.stop()
        told.set()
        accepting.join(timeout=20)
        for one in at_the_door:
            one.close()
    assert not accepting.is_alive()
    assert server.fileno() == -1
    store.close()


def test_the_file_is_whole_after_a_kill(tmp_path: Path) -> None:
    with chain(tmp_path / "chain") as running:
        wait_for_receipts(running, [running.send(nonce) for nonce in range(3)])
        running.end(signal.SIGKILL)
    connection = sqlite3.connect(tmp_path / "chain" / "chain.sqlite")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
