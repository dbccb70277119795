"""What the chain says over JSON-RPC, to web3 and to those who should not ask."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_typing import HexStr
from web3.exceptions import ContractCustomError, Web3RPCError

from desktop_app.adapters.chain.deploying.artefacts import FACTORY, FACTORY_CODE, FACTORY_SIGNER, FACTORY_TRANSACTION
from desktop_app.practice.chain.ledger import Ledger
from desktop_app.practice.chain.methods import Methods, RpcError
from desktop_app.practice.chain.store import Store
from tests.contracts.refusals import compiled
from tests.practice.chain_rig import CHAIN_ID, MONEY, POOR, RICH, ChainProcess, chain, signed


@pytest.fixture
def running(tmp_path: Path) -> Iterator[ChainProcess]:
    with chain(tmp_path / "chain") as found:
        yield found


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainProcess]:
    """One chain for the tests that leave nothing on it."""
    with chain(tmp_path_factory.mktemp("quiet") / "chain") as found:
        assert found.web3.eth.block_number == 0
        yield found
        assert found.web3.eth.block_number == 0


def money(running: ChainProcess) -> Any:
    """A TestUSDC of RICH's own, by its first transaction."""
    found = running.web3.eth.contract(abi=compiled("TestUSDC")["abi"], bytecode=HexStr(str(compiled("TestUSDC")["bytecode"])))
    sent = running.send(0, to=None, value=0, gas=5_000_000, data=found.constructor(RICH.address).data_in_transaction)
    address = running.web3.eth.wait_for_transaction_receipt(sent, timeout=30)["contractAddress"]
    return running.web3.eth.contract(address=address, abi=compiled("TestUSDC")["abi"])


def test_no_block_comes_between_a_question_and_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "chain.sqlite")
    ledger = Ledger(store, {RICH.address: MONEY})
    checked, answered = threading.Event(), threading.Event()
    newest_only = Methods._newest_only

    def look(methods: Methods, which: Any) -> None:
        newest_only(methods, which)
        checked.set()
        assert not answered.wait(0.5), "a block was mined meanwhile"

    def mine() -> None:
        checked.wait(10)
        ledger.mine()
        answered.set()

    monkeypatch.setattr(Methods, "_newest_only", look)
    miner = threading.Thread(target=mine)
    miner.start()
    try:
        assert Methods(ledger).answer("eth_getBalance", [RICH.address, "0x0"]) == hex(MONEY)
    finally:
        miner.join()
        store.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_web_pages_are_kept_out(quiet: ChainProcess, headers: dict[str, str]) -> None:
    given = {name: value.format(port=quiet.port) for name, value in headers.items()}
    status, answer = quiet.ask("eth_chainId", headers=given)
    assert (status, "result" in answer) == (403, False)
    assert quiet.ask("eth_chainId", headers={"Host": f"localhost:{quiet.port}"})[1]["result"] == hex(CHAIN_ID)


@pytest.mark.parametrize("method", ["eth_sendTransaction", "eth_accounts", "eth_sign", "personal_unlockAccount", "evm_mine", "debug_x"])
def test_nothing_that_needs_a_key_is_answered(quiet: ChainProcess, method: str) -> None:
    _, answer = quiet.ask(method, {"from": RICH.address, "to": POOR.address, "value": "0x1"})
    assert answer["error"]["code"] == -32601


def test_bad_requests_get_an_error_and_do_no_harm(quiet: ChainProcess) -> None:
    assert quiet.post(b"{")[1]["error"]["code"] == -32700
    assert quiet.post(b"[" * 100_000)[1]["error"]["code"] == -32600
    assert quiet.post(b'{"a":' * 50_000)[1]["error"]["code"] == -32600
    assert quiet.post(b'[{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}]')[1]["error"]["code"] == -32600
    assert quiet.post(b"x" * 600_000)[0] == 413
    wrong = [("eth_getBalance", "0x12"), ("eth_getBalance", None), ("eth_getBlockByNumber", "soon"), ("eth_call", "x"), ("eth_getLogs", 5)]
    for method, parameter in wrong:
        assert quiet.ask(method, parameter)[1]["error"]["code"] == -32602, method
    assert quiet.web3.is_connected()


def test_the_same_bytes_again_are_the_same_transaction(running: ChainProcess) -> None:
    raw = signed(0)
    first = running.web3.eth.send_raw_transaction(raw)
    assert running.web3.eth.send_raw_transaction(raw) == first
    running.web3.eth.wait_for_transaction_receipt(first, timeout=30)
    assert running.web3.eth.send_raw_transaction(raw) == first
    assert running.web3.eth.get_balance(POOR.address) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chainId": 1}, "chain id"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"gas": 20_000_000}, "gas limit too high"),
        ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "less than block base fee"),
        ({"nonce": 99}, "nonce too high"),
        ({"value": MONEY}, "insufficient funds"),
    ],
    ids=lambda value: str(value),
)
def test_what_cannot_be_mined_is_refused_with_the_reason(quiet: ChainProcess, changes: dict[str, int], words: str) -> None:
    with pytest.raises(Web3RPCError, match=words):
        quiet.send(**{"nonce": 0, **changes})
    assert quiet.web3.eth.get_transaction_count(RICH.address, "pending") == 0


def test_a_used_nonce_and_rubbish_are_refused(running: ChainProcess) -> None:
    running.web3.eth.wait_for_transaction_receipt(running.send(0), timeout=30)
    with pytest.raises(Web3RPCError, match="nonce too low"):
        running.send(0, value=2)
    for raw in (b"", b"\x02", b"\x05" + signed(1)[1:], signed(1)[:-1], b"\xff" * 200):
        assert running.ask("eth_sendRawTransaction", "0x" + raw.hex())[1]["error"]["code"] == -32000


def test_replacing_a_waiting_transaction_costs_a_tenth_more(running: ChainProcess) -> None:
    running.web3.eth.wait_for_transaction_receipt(running.send(0), timeout=30)
    old = running.send(2, value=7)  # nonce 1 is missing, so it waits
    with pytest.raises(Web3RPCError, match="replacement transaction underpriced"):
        running.send(2, value=8)
    new = running.send(2, value=8, maxFeePerGas=2 * 10**9, maxPriorityFeePerGas=2 * 10**6)
    assert running.web3.eth.get_transaction(new)["value"] == 8
    running.send(1)
    running.web3.eth.wait_for_transaction_receipt(new, timeout=30)
    assert running.web3.eth.get_balance(POOR.address) == 1 + 1 + 8
    assert running.ask("eth_getTransactionByHash", "0x" + old.hex())[1]["result"] is None


def test_one_transaction_that_names_no_chain_is_taken(running: ChainProcess) -> None:
    """The factory's own, as on every chain; no other, since it could be sent again elsewhere."""
    anybody = Account.from_key(b"\x33" * 32)
    paid = [running.send(nonce, to=who, value=10**16) for nonce, who in enumerate((FACTORY_SIGNER, anybody.address))]
    for one in paid:
        running.web3.eth.wait_for_transaction_receipt(one, timeout=30)
    legacy = {"to": POOR.address, "value": 1, "gas": 21_000, "gasPrice": 10**9, "nonce": 0}
    with pytest.raises(Web3RPCError, match="chain id"):
        running.web3.eth.send_raw_transaction(anybody.sign_transaction(legacy).raw_transaction)
    with pytest.raises(Web3RPCError, match="chain id"):
        running.web3.eth.send_raw_transaction(FACTORY_TRANSACTION[:-1] + b"\x23")
    sent = running.web3.eth.send_raw_transaction(FACTORY_TRANSACTION)
    receipt = running.web3.eth.wait_for_transaction_receipt(sent, timeout=30)
    assert (receipt["status"], receipt["contractAddress"], receipt["from"]) == (1, FACTORY, FACTORY_SIGNER)
    assert bytes(running.web3.eth.get_code(FACTORY)) == FACTORY_CODE  # type: ignore[arg-type]
    seen: Any = running.ask("eth_getTransactionByHash", "0x" + sent.hex().removeprefix("0x"))[1]["result"]
    assert (seen["v"], seen["chainId"], seen["type"]) == ("0x1b", None, "0x0")


def test_events_errors_and_estimates_as_web3_knows_them(running: ChainProcess) -> None:
    usdc = money(running)
    with pytest.raises(ContractCustomError) as caught:
        usdc.functions.mint(POOR.address, 5).call({"from": POOR.address})
    assert caught.value.data == "0x118cdaa7" + "00" * 12 + POOR.address[2:].lower()
    with pytest.raises(ContractCustomError):
        usdc.functions.mint(POOR.address, 5).estimate_gas({"from": POOR.address})

    receipts = []
    for amount in (5, 6):
        mint = usdc.functions.mint(POOR.address, amount).build_transaction({"from": RICH.address, "nonce": amount - 4})
        sent = running.web3.eth.send_raw_transaction(RICH.sign_transaction(mint).raw_transaction)
        receipts.append(running.web3.eth.wait_for_transaction_receipt(sent, timeout=30))
        assert receipts[-1]["status"] == 1
        assert receipts[-1]["gasUsed"] <= mint["gas"] <= receipts[-1]["gasUsed"] * 5 // 4
    first, second = (one["blockNumber"] for one in receipts)
    transfer = usdc.events.Transfer()
    assert [one["args"]["value"] for one in transfer.get_logs(from_block=0)] == [5, 6]
    assert [one["args"]["value"] for one in transfer.get_logs(from_block=second, to_block="latest")] == [6]
    assert [one["args"]["value"] for one in transfer.get_logs(from_block=0, argument_filters={"to": RICH.address})] == []
    by_hash = running.web3.eth.get_logs({"blockHash": receipts[0]["blockHash"], "address": usdc.address})
    assert len(by_hash) == 1
    assert by_hash[0]["transactionHash"] == receipts[0]["transactionHash"]
    whole: Any = running.web3.eth.get_block(first, full_transactions=True)
    assert [one["hash"] for one in whole["transactions"]] == [receipts[0]["transactionHash"]]
    assert running.web3.eth.get_block(whole["hash"], full_transactions=True) == whole


def test_a_transaction_that_fails_is_mined_and_says_so(running: ChainProcess) -> None:
    usdc = money(running)
    too_much = usdc.functions.transfer(POOR.address, 1).build_transaction({"from": RICH.address, "nonce": 1, "gas": 100_000})
    sent = running.web3.eth.send_raw_transaction(RICH.sign_transaction(too_much).raw_transaction)
    receipt = running.web3.eth.wait_for_transaction_receipt(sent, timeout=30)
    assert (receipt["status"], list(receipt["logs"])) == (0, [])


def test_gas_is_not_needed_to_ask(quiet: ChainProcess) -> None:
    nobody = Account.from_key(b"\x77" * 32).address
    assert quiet.web3.eth.call({"from": nobody, "to": POOR.address, "data": "0x"}) == b""  # type: ignore[typeddict-item]
    assert quiet.web3.eth.estimate_gas({"from": nobody, "to": POOR.address}) >= 21_000


def test_fees_and_tags(running: ChainProcess) -> None:
    running.web3.eth.wait_for_transaction_receipt(running.send(0), timeout=30)
    newest = running.web3.eth.get_block("latest")
    assert running.web3.eth.get_block("finalized") == running.web3.eth.get_block("safe") == newest
    assert running.web3.eth.get_block("pending")["timestamp"] >= newest["timestamp"] + 1
    assert running.web3.eth.get_block("earliest")["number"] == 0
    history = running.web3.eth.fee_history(5, "latest", [50])
    assert (history["oldestBlock"], len(history["baseFeePerGas"]), len(history["reward"])) == (0, 3, 2)
    assert running.web3.eth.gas_price >= running.web3.eth.max_priority_fee > 0
    assert running.web3.net.version == str(CHAIN_ID)
    with pytest.raises(Web3RPCError, match="older blocks"):
        running.web3.eth.get_balance(RICH.address, 0)


def test_time_passes_on_a_quiet_chain_for_those_who_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day without transactions: calls see the present, and the final block moves when it is asked for."""
    store = Store(tmp_path / "chain.sqlite")
    try:
        ledger = Ledger(store, {RICH.address: MONEY})
        methods = Methods(ledger)
        tomorrow = time.time() + 86_400
        monkeypatch.setattr(time, "time", lambda: tomorrow)
        tells_time = "0x" + "42600052" + "60206000f3"  # TIMESTAMP, returned by creation code
        assert int(str(methods.answer("eth_call", [{"data": tells_time}])), 16) == int(tomorrow)
        final = methods.answer("eth_getBlockByNumber", ["finalized", False])
        assert isinstance(final, dict)
        assert (final["number"], final["timestamp"]) == ("0x1", hex(int(tomorrow)))
        # a clock that goes back does not take the chain with it
        monkeypatch.setattr(time, "time", lambda: tomorrow - 3600)
        ledger.mine()
        assert ledger.head.timestamp == int(tomorrow) + 1
        with pytest.raises(RpcError):
            methods.answer("eth_coinbase", [])
    finally:
        store.close()
