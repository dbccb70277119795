"""Attacks as tasks: manifests of strangers at the agent's door. Everything must be refused in words, soon.

`ATTACKS` is used by `test_bundles` and by `python -m tests.hostile`. Signatures are real ones, of keys made here.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from desktop_app.adapters.chain.ids import escrow_domain
from desktop_app.agent.door import judge
from desktop_app.core.money import MicroUsd
from desktop_app.core.task import Manifest
from desktop_app.wire import eip712
from desktop_app.wire.market import PostedTask
from desktop_app.wire.networks import Network
from tests.hostile.attack import Attack, Outcome
from tests.manifests import written

_MOST_S = 5.0
_RENTER: LocalAccount = Account.from_key("0x" + "51" * 32)
_STRANGER: LocalAccount = Account.from_key("0x" + "52" * 32)
_NETWORK = Network(
    name="practice", label="", chain_id=31337, rpc_urls=(), usdc="", policy="", registry="", escrow="0x" + "e5" * 20, cash_out="",
    timelock="", governor="", attestor="", nats_urls=(), confirmations=1, usdc_name="", usdc_version="", fee_bps=0, epoch_s=60,
    eth_usd=MicroUsd(0), relayer_fee_floor=MicroUsd(0), first_block=0, tiers=(),
)  # fmt: skip
_HUGE = 2**53

Fields = dict[str, Any]


def _fields() -> Fields:
    """An honest manifest of our renter, good for an hour."""
    fields: Fields = json.loads(written()[1])
    return fields | {"renter": _RENTER.address.lower(), "expires": int(time.time()) + 3600}


def _canonical(fields: Fields) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def _signature(raw: str, job: str, by: LocalAccount = _RENTER) -> str:
    message = eip712.manifest(escrow_domain(_NETWORK), job, hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest())
    return "0x" + bytes(by.sign_typed_data(full_message=message).signature).hex()


def _at_the_door(raw: str, signature: str, task_id: str, words: str) -> Outcome:
    """What the agent says of a posted task. Held when it refuses it in these words, soon, and in letters that can be shown."""
    asked = time.thread_time()  # its own: what else the machine does is not counted
    answer = judge(_NETWORK)(PostedTask(task_id, raw, signature, 100_000))
    took = time.thread_time() - asked
    if isinstance(answer, Manifest):
        return Outcome(False, "the task was taken")
    return Outcome(words in answer and answer.isprintable() and took < _MOST_S, f"refused: {answer}")


def taken() -> Manifest | str:
    """What the agent says of the honest task that the attacks spoil."""
    raw = _canonical(_fields())
    return judge(_NETWORK)(PostedTask(_fields()["task_id"], raw, _signature(raw, _fields()["job_id"]), 100_000))


def _posted(words: str, **changes: Any) -> Callable[[Path], Outcome]:
    """A manifest with some fields changed, properly signed by its renter."""

    def run(_: Path) -> Outcome:
        raw = _canonical(_fields() | changes)
        return _at_the_door(raw, _signature(raw, _fields()["job_id"]), _fields()["task_id"], words)

    return run


def _param(words: str, **changes: Any) -> Callable[[Path], Outcome]:
    return _posted(words, params=_fields()["params"] | changes)


def _limit(words: str, **changes: int) -> Callable[[Path], Outcome]:
    return _posted(words, limits=_fields()["limits"] | changes)


def _input(words: str, **changes: Any) -> Callable[[Path], Outcome]:
    return _posted(words, inputs=[_fields()["inputs"][0] | changes])


def _rewritten(words: str, spoil: Callable[[str], str]) -> Callable[[Path], Outcome]:
    """The text of a manifest changed, then signed as it is."""

    def run(_: Path) -> Outcome:
        raw = spoil(_canonical(_fields()))
        return _at_the_door(raw, _signature(raw, _fields()["job_id"]), _fields()["task_id"], words)

    return run


def _signed(words: str, sign: Callable[[str], str], task_id: str = "") -> Callable[[Path], Outcome]:
    """An honest manifest with another signature, or under another name."""

    def run(_: Path) -> Outcome:
        raw = _canonical(_fields())
        return _at_the_door(raw, sign(raw), task_id or _fields()["task_id"], words)

    return run


ATTACKS = (
    Attack("manifest_larger_than_256_kib", "a description of 300 kB", _posted("larger than 256 KiB", params={"a": "x" * 300_000})),
    Attack("manifest_deep_lists", "200,000 lists in one another", _rewritten("nested too deep", lambda raw: "[" * 200_000)),
    Attack("manifest_deep_objects", "40,000 objects in one another", _rewritten("nested too deep", lambda raw: '{"a":' * 40_000)),
    Attack(
        "manifest_key_twice",
        "a key said twice, so that two readers read two tasks",
        _rewritten("canonical", lambda raw: raw.replace('"v":1', '"v":1,"v":1')),
    ),
    Attack("manifest_other_spelling", "the same task with other spaces", _rewritten("canonical", lambda raw: raw.replace(":", ": "))),
    Attack("manifest_cut_off", "half a description", _rewritten("well-formed", lambda raw: raw[:200])),
    Attack("manifest_text_behind", "a second description behind the first", _rewritten("well-formed", lambda raw: raw + raw)),
    Attack("manifest_mark_before", "a byte order mark before the description", _rewritten("well-formed", lambda raw: "\ufeff" + raw)),
    Attack("manifest_unknown_key", "a key that nobody asked for", _posted("well-formed", command="rm -rf /")),
    Attack("manifest_evil_letters", "escape codes and turned writing in a key", _posted("well-formed", **{"\x1b[2J\u202e\u2028": 1})),
    Attack("manifest_not_a_number", "NaN as a parameter", _param("well-formed", lr=float("nan"))),
    Attack("manifest_infinity", "1e999 as a parameter", _rewritten("well-formed", lambda raw: raw.replace('"lr":0.01', '"lr":1e999'))),
    Attack(
        "manifest_huge_number",
        "a number of 5,000 digits",
        _rewritten("well-formed", lambda raw: raw.replace('"seed":7', '"seed":' + "9" * 5000)),
    ),
    Attack("manifest_number_beyond_words", "10^300 as a whole number", _param("well-formed", width=10**300)),
    Attack("manifest_half_letter", "half of a surrogate pair", _param("must be a number", lr="\ud800")),
    Attack("manifest_zero_byte", "a zero byte in the task's name", _posted("well-formed", task_id="0d9f3c1a-7e52\x00")),
    Attack("manifest_path_as_name", "a path as the task's name", _posted("well-formed", task_id="../../../../etc/cron.d/x")),
    Attack("manifest_line_break_in_kind", "a kind with a line break at its end", _posted("well-formed", kind="train.classifier/1\n")),
    Attack("manifest_yes_for_a_number", "true for a whole number", _param("well-formed", width=True)),
    Attack("manifest_text_for_a_number", "text for a whole number", _posted("well-formed", steps="30")),
    Attack("manifest_negative_steps", "a negative number of steps", _posted("well-formed", steps=-1)),
    Attack("manifest_lie_about_steps", "more steps than the parameters make", _posted("its parameters make", steps=31)),
    Attack("manifest_lie_about_units", "one unit for a thousand's work", _posted("its parameters are worth", units=_HUGE)),
    Attack("manifest_param_out_of_range", "a network 10^9 wide", _param("outside 8 to 8192", width=10**9)),
    Attack("manifest_param_of_nobody", "a parameter the kind does not have", _param("not those of the kind", exec=1)),
    Attack("manifest_many_params", "65 parameters", _posted("well-formed", params={f"p{number}": 1 for number in range(65)})),
    Attack("manifest_all_memory", "a tebibyte of memory", _limit("of memory", ram_mb=1024 * 1024)),
    Attack("manifest_all_disk", "a tebibyte of disk", _limit("of disk", disk_mb=1024 * 1024)),
    Attack("manifest_endless_result", "a tebibyte of room for a result", _limit("for its result", output_mb=1024 * 1024)),
    Attack("manifest_for_a_week", "a week for half a second's work", _limit("of time", wall_s=7 * 24 * 3600)),
    Attack("manifest_forever", "a million years", _limit("well-formed", wall_s=_HUGE)),
    Attack("manifest_long_steps", "steps of a second, during which the GPU cannot come back", _limit("steps of up to", step_ms=1000)),
    Attack("manifest_input_twice", "one input named twice", _posted("each of these inputs once", inputs=_fields()["inputs"] * 2)),
    Attack("manifest_input_with_a_path", "a path as an input's name", _input("well-formed", role="../../etc/passwd")),
    Attack("manifest_input_of_petabytes", "an input of 9 PB", _input("more than the", bytes=_HUGE)),
    Attack("manifest_pickle_by_name", "an input said to be a pickle", _input("takes only", format="pickle")),
    Attack("manifest_run_python", "a kind that runs the renter's code", _posted("knows no task of the kind", kind="run.python/1")),
    Attack("manifest_private_kind", "a kind that is not for strangers", _posted("not for the market", kind="check.classifier/1")),
    Attack("manifest_expired", "a task of yesterday", _posted("has expired", expires=int(time.time()) - 86_400)),
    Attack("manifest_eternal", "a task good for ten years", _posted("longer than a month", expires=int(time.time()) + 315_360_000)),
    Attack("signature_missing", "no signature", _signed("no signature", lambda raw: "0x")),
    Attack("signature_of_noise", "65 bytes that are no signature", _signed("not signed", lambda raw: "0x" + "5e" * 65)),
    Attack("signature_of_kilobytes", "2,000 bytes as a signature", _signed("not signed", lambda raw: "0x" + "5e" * 2000)),
    Attack(
        "signature_by_a_stranger",
        "another renter's signature",
        _signed("not signed", lambda raw: _signature(raw, _fields()["job_id"], _STRANGER)),
    ),
    Attack(
        "signature_for_another_job",
        "the renter's signature for another job",
        _signed("not signed", lambda raw: _signature(raw, "0x" + "34" * 32)),
    ),
    Attack(
        "signature_of_another_task",
        "the renter's signature of another task",
        _signed("not signed", lambda raw: _signature(raw + " ", _fields()["job_id"])),
    ),
    Attack(
        "task_under_another_name",
        "a signed task posted under another name",
        _signed("under another name", lambda raw: _signature(raw, _fields()["job_id"]), "0d9f3c1b"),
    ),
)
