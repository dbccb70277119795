"""Every custom error of every contract has a sentence, and revert data from a stranger never breaks the reader."""

import re

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from desktop_app.adapters.chain.refusals import CONTRACTS, SENTENCES, Refused, abi_of, explain

Fields = list[tuple[str, str]]


def errors() -> dict[str, Fields]:
    found = {}
    for contract in CONTRACTS:
        for entry in abi_of(contract):
            inputs = entry.get("inputs")
            if entry["type"] == "error" and isinstance(inputs, list):
                found[str(entry["name"])] = [(str(one["type"]), str(one["name"])) for one in inputs]
    return found


def data_of(name: str, fields: Fields, values: list[object]) -> str:
    kinds = [kind for kind, _ in fields]
    return "0x" + (keccak(text=f"{name}({','.join(kinds)})")[:4] + encode(kinds, values)).hex()


SAMPLES: dict[str, object] = {"address": "0x" + "ab" * 20, "bytes32": b"\1" * 32, "string": "word", "uint8": 3}


@pytest.mark.parametrize("name", sorted(errors()))
def test_every_error_has_a_sentence_that_its_fields_fill(name: str) -> None:
    fields = errors()[name]
    said = explain(data_of(name, fields, [SAMPLES.get(kind, 1_234_567) for kind, _ in fields]))
    assert said.error == name
    assert said.reason and not re.search(r"[{}]|\bb'", said.reason)
    assert re.findall(r"{(\w+)}", SENTENCES[name]) == [
        field for field in re.findall(r"{(\w+)}", SENTENCES[name]) if field in {field for _, field in fields}
    ]


def test_the_list_holds_nothing_that_no_contract_says() -> None:
    assert set(SENTENCES) == set(errors())


def test_money_and_times_are_shown_as_people_write_them() -> None:
    fields = [("uint256", "fee"), ("uint256", "amount")]
    assert explain(data_of("FeeNotBelowAmount", fields, [1_500_000, 2])).reason == "the fee of $1.500000 would eat the whole $0.000002"
    late = data_of("TooEarly", [("uint256", "due")], [1_800_000_000])
    assert "2027-01-15 08:00:00 UTC" in explain(late).reason
    assert "end of time" in explain(data_of("TooEarly", [("uint256", "due")], [2**256 - 1])).reason


@given(st.binary(max_size=300))
def test_any_data_gets_an_answer(data: bytes) -> None:
    assert explain("0x" + data.hex()).reason


@given(st.sampled_from(sorted(errors())), st.binary(max_size=100))
def test_a_known_error_with_damaged_fields_gets_an_answer(name: str, tail: bytes) -> None:
    kinds = ",".join(kind for kind, _ in errors()[name])
    assert explain("0x" + (keccak(text=f"{name}({kinds})")[:4] + tail).hex()).error in (name, "")


@pytest.mark.parametrize("data", ["", "0x", "0xzz", "execution reverted", "0x" + "00" * 5_000])
def test_no_data_is_a_refusal_without_a_name(data: str) -> None:
    assert explain(data) == Refused("", "the contract refused and did not say why")
