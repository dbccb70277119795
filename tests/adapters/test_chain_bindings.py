"""The bindings are what the compiled interfaces say, and what they pack and read is what another ABI library packs and reads."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.adapters.chain import bindings
from desktop_app.adapters.chain.abi import ADDRESS, BOOL, BYTES, BYTES32, STRING, UINT8, UINT64, UINT256, Call, Deed, many, struct
from desktop_app.adapters.chain.bindings import GpuGovernor, GpuRegistry, TaskEscrow
from desktop_app.adapters.chain.bindings.task_escrow import Terms, Voucher
from desktop_app.core.errors import AppError
from desktop_app.wire.resources import resource

HERE, JOB, ROOT = "0x" + "12" * 20, "0x" + "ab" * 32, "0x" + "cd" * 32


def test_the_bindings_are_what_the_interfaces_say(tmp_path: Path) -> None:
    subprocess.run([sys.executable, resource("contracts/bind.py"), "--out", tmp_path], check=True)
    committed = Path(bindings.__file__).parent
    written = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    assert written == {path.name: path.read_text() for path in committed.glob("*.py")}


@pytest.mark.parametrize("contract", bindings.__all__)
def test_every_function_and_event_of_every_contract_is_there(contract: str) -> None:
    abi = json.loads(resource(f"contracts/compiled/{contract}.json").read_text())["abi"]
    made = getattr(bindings, contract)
    names = [name for name in vars(made) if not name.startswith("_")]
    assert len(names) == len([one for one in abi if one["type"] in ("function", "event")])


def test_a_call_is_packed_as_the_contract_reads_it() -> None:
    voucher = Voucher(JOB, 7 | 2 << 40, 2**64 - 1, ROOT)
    call = TaskEscrow(HERE).redeem_attested(voucher, HERE, "0x" + "01" * 65)
    packed = encode(
        ["(bytes32,uint256,uint64,bytes32)", "address", "bytes"],
        [(b"\xab" * 32, 7 | 2 << 40, 2**64 - 1, b"\xcd" * 32), HERE, b"\1" * 65],
    )
    selector = keccak(text="redeemAttested((bytes32,uint256,uint64,bytes32),address,bytes)")[:4]
    assert isinstance(call, Deed) and call.data == "0x" + (selector + packed).hex()
    batch = TaskEscrow(HERE).settle_batch_signed((voucher, voucher), HERE, "0x")
    assert len(batch.data) == 2 + 8 + 64 * (3 + 1 + 8 + 1)
    asked = TaskEscrow(HERE).jobs(JOB)
    assert isinstance(asked, Call) and not isinstance(asked, Deed)


def test_namesakes_are_told_apart_by_the_number_of_their_arguments() -> None:
    usdc = bindings.TestUSDC(HERE)
    long, short = usdc.permit_7(HERE, HERE, 1, 2, 27, ROOT, ROOT), usdc.permit_5(HERE, HERE, 1, 2, "0x")
    assert long.data[:10] == "0x" + keccak(text="permit(address,address,uint256,uint256,uint8,bytes32,bytes32)")[:4].hex()
    assert short.data[:10] == "0x" + keccak(text="permit(address,address,uint256,uint256,bytes)")[:4].hex()


def test_answers_become_records() -> None:
    call = GpuRegistry(HERE).gpu(3)
    word = ["(address,uint8,uint8,uint16,uint24,bool,uint32)"]
    seen = call.read("0x" + encode(word, [(HERE, 1, 2, 3, 4, True, 5)]).hex())
    assert (seen.holder.lower(), seen.tier, seen.co_owners, seen.co_bps) == (HERE, 1, 2, 3)
    assert (seen.era, seen.retired, seen.registered_at) == (4, True, 5)
    payees = GpuRegistry(HERE).payees(3).read("0x" + encode(["address[]", "uint16[]"], [[HERE], [10_000]]).hex())
    assert [one.lower() for one in payees.who] == [HERE] and payees.bps == (10_000,)
    actions = GpuGovernor(HERE).propose((HERE,), (0,), ("0x1234",), "why")
    assert encode(["address[]", "uint256[]", "bytes[]", "string"], [[HERE], [0], [b"\x12\x34"], "why"]).hex() == actions.data[10:]


def test_an_event_is_read_from_topics_and_data() -> None:
    wanted = TaskEscrow(HERE).voucher_redeemed_logs(gpu=(1, 2), holder=HERE)
    job, gpu, holder = wanted.topics
    assert job is None and gpu == ["0x" + "00" * 31 + "01", "0x" + "00" * 31 + "02"] and holder == ["0x" + "00" * 12 + HERE[2:]]
    assert wanted.event.topic == "0x" + keccak(text="VoucherRedeemed(bytes32,uint256,address,uint64,uint256,bytes32)").hex()
    topics = [wanted.event.topic, JOB, gpu[1], holder[0]]
    data = "0x" + encode(["uint64", "uint256", "bytes32"], [9, 10, b"\xcd" * 32]).hex()
    seen = wanted.event.read(topics, data)
    assert (seen.job, seen.gpu, seen.holder.lower(), seen.units, seen.amount, seen.receipts_root) == (JOB, 2, HERE, 9, 10, ROOT)
    for bad_topics, bad_data in ((topics[:3], data), ([ROOT, *topics[1:]], data), (topics, "0x"), (topics, "0xzz"), ([], data)):
        with pytest.raises(AppError, match="no useful answer"):
            wanted.event.read(bad_topics, bad_data)


TERMS = Terms(HERE, 1, 2, 3, 4, 5, 6, JOB, ROOT)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: TaskEscrow(HERE).redeem(Voucher(JOB, 1, 2**64, ROOT), "0x"),
        lambda: TaskEscrow(HERE).redeem(Voucher(JOB, -1, 1, ROOT), "0x"),
        lambda: TaskEscrow(HERE).redeem(Voucher(JOB[:-2], 1, 1, ROOT), "0x"),
        lambda: TaskEscrow(HERE).redeem(Voucher(JOB, 1, 1, ROOT), "words"),
        lambda: TaskEscrow(HERE).owed("0x1234"),
        lambda: TaskEscrow(HERE).owed(JOB),
        lambda: TaskEscrow(HERE).redeem(TERMS, "0x"),  # type: ignore[arg-type]
        lambda: TaskEscrow(HERE).sweep_fees(JOB),  # type: ignore[arg-type]
        lambda: TaskEscrow(HERE).escrow_for(True, 1),
        lambda: bindings.TestUSDC(HERE).mint(HERE, "1"),  # type: ignore[arg-type]
    ],
)
def test_what_a_contract_cannot_hold_is_refused_before_it_is_sent(bad: Callable[[], Call[object]]) -> None:
    with pytest.raises(AppError, match="cannot be told"):
        bad()


@pytest.mark.parametrize("answer", ["", "0x", "0x00", "zz", "0x" + "ff" * 32])
def test_an_answer_that_is_none_is_a_nodes_fault(answer: str) -> None:
    with pytest.raises(AppError, match="no useful answer"):
        GpuRegistry(HERE).payout(1).read(answer)


@dataclass(frozen=True, slots=True)
class Mixed:
    number: int
    word: str
    raw: str
    truth: bool
    who: str
    inner: tuple[str, ...]


MIXED = struct(Mixed, UINT64, STRING, BYTES, BOOL, ADDRESS, many(BYTES32))


WORD = st.binary(min_size=32, max_size=32)


@given(st.integers(0, 2**64 - 1), st.text(max_size=40), st.binary(max_size=70), st.booleans(), st.lists(WORD, max_size=4))
def test_what_is_packed_is_read_again(number: int, word: str, raw: bytes, truth: bool, inner: list[bytes]) -> None:
    from desktop_app.adapters.chain.abi import Answer, encoded

    value = Mixed(number, word, "0x" + raw.hex(), truth, HERE, tuple("0x" + one.hex() for one in inner))
    call = Call(HERE, "mixed", "0x", Answer((MIXED.name,), lambda raw: MIXED.read(raw[0])))
    seen = call.read("0x" + encoded([MIXED(value)]).hex())
    assert (seen.number, seen.word, seen.raw, seen.truth) == (number, word, value.raw, truth)
    assert (seen.who.lower(), seen.inner) == (HERE, value.inner)


def test_small_numbers_stay_small() -> None:
    with pytest.raises(AppError):
        GpuRegistry(HERE).set_tier(1, 256, 0, HERE, "0x")
    assert UINT8(255).value == 255 and UINT256(2**256 - 1).value == 2**256 - 1
