"""Attacks as a worker: what a hostile one, in the real sandbox, says to the real supervisor and writes into the arena.

`ATTACKS` is used by `test_ipc` and by `python -m tests.hostile`; the words of an attack and of its outcome are in `lair`.
"""

import json
import math
import os
import signal
from functools import partial

from desktop_app.adapters.supervisor.watch import Patience
from desktop_app.wire import arena, ipc
from tests.hostile.attack import Attack
from tests.hostile.lair import (
    BEAT,
    HELLO,
    HONEST,
    OUT,
    OUTPUT,
    READY,
    SLOT,
    START,
    STEPS,
    Moves,
    bounded_log,
    commit,
    ended,
    finish,
    kept,
    missing_checkpoint,
    paid,
    result,
    say,
    settled_once,
    state,
    tell,
)

_GATE = ["gate"]
_NO_MESSAGE, _TURN, _ROOM = "no message", "out of turn", "outside the room"
_DEEP = (b"\x82\xa1t\xa8finished\xa5files" + b"\x91" * 60_000).hex()
_DEEP_FIRST = (b"\x82\xa1x" + b"\x91" * 60_000 + b"\xc0" + b"\xa1t\xa4beat").hex()
_YIELDED = say(ipc.Committed(1, 1, 5))
_EIGHT_EIB = (2**63).to_bytes(8, "little") + b"{}" + bytes(54)
_MILLION = json.dumps({"a": {"dtype": "U8", "shape": [2**40], "data_offsets": [0, 2**40]}}).encode()
_BEYOND = len(_MILLION).to_bytes(8, "little") + _MILLION + bytes(64)


def progress(step: int, of: int = STEPS, loss: float | None = None, step_ms: float | None = None) -> list[object]:
    return say(ipc.Progress(step, of, loss, step_ms))


def _ready_with(*written: list[object]) -> Moves:
    """All of it lies in the arena before the worker says that it is ready, so that no give-back comes too early for it."""
    return HELLO, ["hear"], *written, READY, _GATE, _YIELDED


def _race() -> list[object]:
    """A good state and noise in the same slot, in turn."""
    return ["race", [one[1:] for one in (*commit(state(5, 9000), 5), *commit(os.urandom(9000), 6, seq=3))]]


_LINES = (
    Attack("packet_of_100_kb", "a packet longer than one may be", ended("too long", *START, ["say", (b"x" * 100_000).hex()])),
    Attack("packet_of_noise", "500 random bytes", ended(_NO_MESSAGE, *START, ["say", os.urandom(500).hex()])),
    Attack(
        "packet_empty",
        "a packet of nothing, then silence",
        ended("no sign of life", *START, ["say", ""], patience=Patience(silence_s=1.5), or_words="hung up"),  # alone it looks like that
    ),
    Attack("packet_half", "half a message", ended(_NO_MESSAGE, *START, ["say", ipc.pack(ipc.Progress(1, 2, None, None))[:9].hex()])),
    Attack("packet_of_two", "two messages in one packet", ended(_NO_MESSAGE, *START, ["say", str(BEAT[1]) * 2])),
    Attack(
        "packet_byte_by_byte", "a message in packets of a byte", ended(_NO_MESSAGE, *START, *(["say", one] for one in ("81", "a1", "74")))
    ),
    Attack("packet_deep", "60,000 lists in one another", ended(_NO_MESSAGE, *START, ["say", _DEEP])),
    Attack("packet_deep_before_its_name", "the same, before the packet says what it is", ended(_NO_MESSAGE, *START, ["say", _DEEP_FIRST])),
    Attack(
        "packet_claims_gigabytes",
        "a list said to hold 4 billion things",
        ended(_NO_MESSAGE, *START, ["say", "82a174a866696e6973686564a566696c6573ddffffffff"]),
    ),
    Attack("packet_unknown_field", "a field that no message has", ended(_NO_MESSAGE, *START, tell("beat", more=1))),
    Attack("packet_unknown_name", "a message that there is not", ended(_NO_MESSAGE, *START, tell("pay_me", units=10**9))),
    Attack("packet_of_ours", "the supervisor's own words sent back", ended(_NO_MESSAGE, *START, tell("yield"))),
    Attack("packet_with_files", "60 open files sent along", ended("sent files along", *START, ["files", BEAT[1]])),
    Attack("packets_in_floods", "a million beats at once", ended("more messages", *START, say(ipc.Beat(), 1_000_000))),
    Attack("packets_in_floods_before_the_task", "a million packets as the greeting", ended("", HELLO, say(ipc.Beat(), 1_000_000))),
    Attack(
        "only_beats", "life without work, for ever", ended("no step", *START, ["say_slowly", BEAT[1], 0.2], patience=Patience(stall_s=1.5))
    ),
    Attack("step_as_text", "a step that is text", ended(_NO_MESSAGE, *START, tell("progress", step="9", of=9, loss=None, step_ms=None))),
    Attack("step_negative", "a negative step", ended(_NO_MESSAGE, *START, tell("progress", step=-1, of=9, loss=None, step_ms=None))),
    Attack(
        "step_of_2_to_the_63", "a step of 2^63", ended(_NO_MESSAGE, *START, tell("progress", step=2**63, of=2**63, loss=None, step_ms=None))
    ),
    Attack("step_true", "true as a step", ended(_NO_MESSAGE, *START, tell("progress", step=True, of=True, loss=None, step_ms=None))),
    Attack("steps_backwards", "steps that go back", ended("went back", *START, progress(50), progress(20))),
    Attack("steps_beyond_the_end", "a million million of 200 steps", kept(None, *START, progress(10**12, 10**12), _GATE)),
    Attack(
        "steps_all_at_once",
        "the last step at once, and no result",
        ended("no step", *START, progress(STEPS), ["say_slowly", BEAT[1], 0.2], patience=Patience(result_s=1.5)),
    ),
    Attack(
        "loss_not_a_number", "a loss of NaN in steps of -infinity ms", kept(None, *START, progress(3, STEPS, math.nan, -math.inf), _GATE)
    ),
    Attack(
        "steps_without_time",
        "a thousand years in a step, then none",
        kept(None, *START, progress(1, STEPS, 1e308, 1e308), progress(2, STEPS, 0.0, 0.0), _GATE),
    ),
    Attack("hello_never", "no greeting", ended("not ready", patience=Patience(start_s=1.5))),
    Attack("hello_of_noise", "noise as the greeting", ended(_NO_MESSAGE, ["say", "c1c1c1"])),
    Attack("hello_twice", "a second greeting, to be given the task again", ended(_TURN, HELLO, HELLO)),
    Attack("hello_of_another_protocol", "a greeting of protocol 99", ended("another protocol", say(ipc.Hello(99, 1, "x")))),
    Attack("ready_before_hello", "ready before it greeted", ended(_TURN, READY)),
    Attack("ready_twice", "ready twice", ended(_TURN, *START, READY)),
    Attack("ready_never", "a task that is never begun", ended("not ready", HELLO, ["hear"], patience=Patience(start_s=1.5))),
    Attack("steps_before_ready", "steps before the task is loaded", ended(_TURN, HELLO, ["hear"], progress(STEPS))),
    Attack("finished_before_ready", "a result before the task is loaded", ended(_TURN, HELLO, ["hear"], OUT, finish(result()))),
    Attack("finished_before_hello", "a result as the greeting", ended(_TURN, OUT, finish(result()))),
    Attack("finished_twice", "two results, to be paid twice", settled_once),
    Attack("yields_unasked", "says it yielded when nobody asked", kept(None, *START, _YIELDED, _GATE)),
    Attack(
        "fails_with_escape_codes",
        "escape codes and turned writing in its complaint",
        ended("?[2J", *START, say(ipc.Failed("bad\x07", "\x1b[2J\u202e\u2066" * 200))),
    ),
    Attack("fails_at_length", "a complaint of 2,001 letters", ended(_NO_MESSAGE, *START, tell("failed", kind="x", detail="x" * 2001))),
    Attack(
        "fails_in_no_utf8",
        "a complaint that is no text",
        ended(_NO_MESSAGE, *START, ["say", (b"\x83\xa1t\xa6failed\xa4kind\xa1x\xa6detail\xa2\xff\xfe").hex()]),
    ),
)

_ENDS = (
    Attack("dies_before_hello", "it dies before it greets", ended("status 3", ["exit", 3], blameless=True)),
    Attack("dies_after_hello", "it dies when it has the task", ended("status 0", HELLO, ["hear"], ["exit", 0])),
    Attack("dies_at_work", "it dies by a signal at work", ended("ended by itself", *START, progress(3), ["kill", int(signal.SIGSEGV)])),
    Attack(
        "dies_like_a_memory_hog", "it kills itself, to look like the owner's fault", ended("killed", *START, ["kill", int(signal.SIGKILL)])
    ),
    Attack("dies_in_the_commit", "it dies with a header half written", ended("status 0", *START, *commit(state(5), 5, crc=1), ["exit", 0])),
    Attack("dies_with_the_result", "it says finished and dies", paid(*HONEST, ["exit", 0], metrics={"accuracy": 0.5})),
    Attack("closes_and_lives", "it closes its socket and computes on", ended("hung up", *START, ["close"])),
    Attack("closes_before_ready", "it closes its socket and keeps the GPU", ended("hung up", HELLO, ["close"])),
    Attack("shuts_one_way", "it shuts its way to us and reads on", ended("hung up", *START, ["shut"])),
    Attack("falls_silent", "it greets, and never says a word again", ended("no sign of life", *START, patience=Patience(silence_s=1.5))),
    Attack("leaves_a_child", "the child goes on when the parent is gone", kept(None, *START, ["fork"], ["say_slowly", BEAT[1], 0.2])),
    Attack("ignores_the_gate", "it works on when the owner is back", kept(None, *START, ["say_slowly", BEAT[1], 0.1])),
    Attack("opens_the_gate", "it opens the gate that the owner closed", kept(None, *START, ["race", [["page", arena.GATE, "01"]]])),
    Attack(
        "prints_escape_codes",
        "escape codes by the megabyte",
        partial(bounded_log, moves=(*START, ["print", ("\x1b[2J\x1b]0;x\x07\u009b31m" * 999).encode().hex(), 500])),
    ),
    Attack(
        "prints_a_line_of_a_gigabyte",
        "a line of a gigabyte",
        partial(bounded_log, moves=(*START, ["print", (b"x" * 65_536).hex(), 16_384])),
    ),
)

_STATES = (
    Attack("state_torn", "a header whose checksum is wrong", kept(None, *_ready_with(*commit(state(5), 5, crc=1)))),
    Attack("state_of_the_future", "a state beyond the task's end", kept(None, *_ready_with(*commit(state(STEPS + 5), STEPS + 5)))),
    Attack("state_lies_about_its_step", "header: step 190; state: step 5", kept(None, *_ready_with(*commit(state(5), 190)))),
    Attack("state_of_the_last_number", "a sequence number of 2^64-1", kept(5, *_ready_with(*commit(state(5), 5, seq=2**64 - 1)))),
    Attack("state_longer_than_its_slot", "a state of 2^63 bytes", kept(None, *_ready_with(*commit(state(5), 5, length=2**63)))),
    Attack(
        "state_into_the_next_slot",
        "a state a byte longer than its slot",
        kept(None, *_ready_with(*commit(state(5), 5, length=SLOT + 1))),
    ),
    Attack("state_of_a_whole_slot", "64 MB of nothing called a state", kept(None, *_ready_with(*commit(state(5), 5, length=SLOT)))),
    Attack("state_of_noise", "noise called a state", kept(None, *_ready_with(*commit(os.urandom(400), 5)))),
    Attack("state_of_eight_exbibytes", "a state whose header says 8 EiB", kept(None, *_ready_with(*commit(_EIGHT_EIB, 5)))),
    Attack("state_of_a_tebibyte", "a state of a tensor of a tebibyte", kept(None, *_ready_with(*commit(_BEYOND, 5)))),
    Attack("state_pickled", "a pickle called a state", kept(None, *_ready_with(*commit(b"\x80\x04cos\nsystem\n" + bytes(50), 5)))),
    Attack("state_of_a_negative_step", "a state of step -1", kept(None, *_ready_with(*commit(state(-1), 2**64 - 1)))),
    Attack(
        "state_good_header_spoiled",
        "a good state, then a torn header in its place",
        kept(None, *_ready_with(*commit(state(5), 5), *commit(state(9), 9, crc=1))),
    ),
    Attack("state_changed_while_read", "two states written over one another as fast as it goes", kept(None, *START, _race(), or_step=5)),
    Attack(
        "state_page_of_noise",
        "noise over gate and headers, again and again",
        kept(None, *START, ["race", *([["page", 0, os.urandom(4096).hex()]] for _ in range(4))]),
    ),
    Attack(
        "state_good_beside_noise",
        "a good state beside a torn one",
        kept(5, *_ready_with(*commit(state(5), 5), *commit(os.urandom(90), 9, seq=2, crc=1))),
    ),
    Attack("checkpoint_of_nobody", "a lease whose checkpoint is not here", missing_checkpoint),
)

_RESULTS = (
    Attack("result_outside", "a result that goes on behind its room", ended(_ROOM, *START, finish(result(offset=OUTPUT - 4)))),
    Attack("result_far_outside", "a result at 2^53", ended(_ROOM, *START, finish(result(offset=2**53)))),
    Attack("result_of_petabytes", "a result of 2^53 bytes", ended(_ROOM, *START, finish(result(length=2**53)))),
    Attack(
        "result_of_a_negative_place",
        "a result before its room: the agent's own page",
        ended(_NO_MESSAGE, *START, finish(result(offset=-4096))),
    ),
    Attack("result_of_broken_size", "a result of half a byte", ended(_NO_MESSAGE, *START, finish(result(length=0.5)))),
    Attack("result_of_nothing", "a result of no bytes", ended("empty", *START, finish(result(length=0)))),
    Attack(
        "results_overlap",
        "16 results in one place, to fill the disk",
        ended("same place", *START, finish(*(result(f"r{one}", 0, OUTPUT) for one in range(16)))),
    ),
    Attack("results_of_one_name", "two results of one name", ended("same name", *START, finish(result(), result(offset=8)))),
    Attack("results_by_the_dozen", "17 results", ended(_NO_MESSAGE, *START, finish(*(result(f"r{one}", 8 * one) for one in range(17))))),
    Attack("result_with_a_path", "a result called ../../.bashrc", ended(_NO_MESSAGE, *START, finish(result("../../.bashrc")))),
    Attack("result_with_a_line_break", "a name with a line break at its end", ended(_NO_MESSAGE, *START, finish(result("answer\n")))),
    Attack("result_with_turned_writing", "a name in turned writing", ended(_NO_MESSAGE, *START, finish(result("a\u202eb")))),
    Attack("result_with_a_zero_byte", "a name with a zero byte", ended(_NO_MESSAGE, *START, finish(result("a\x00b")))),
    Attack("result_in_pickle", "a result said to be a pickle", ended(_NO_MESSAGE, *START, finish(result(format="pickle")))),
    Attack(
        "result_pickle_in_disguise",
        "a pickle said to be safetensors",
        ended("safetensors", *START, ["poke", "out", 0, "8004636f730a73797374656d"], finish(result(length=12, format="safetensors"))),
    ),
    Attack(
        "result_of_eight_exbibytes",
        "a safetensors result whose header says 8 EiB",
        ended("larger than 1 MiB", *START, ["poke", "out", 0, _EIGHT_EIB.hex()], finish(result(length=64, format="safetensors"))),
    ),
    Attack("metrics_in_floods", "65 metrics", ended(_NO_MESSAGE, *START, finish(**{f"m{one}": 1.0 for one in range(65)}))),
    Attack("metrics_with_escape_codes", "escape codes in a metric's name", ended(_NO_MESSAGE, *START, finish(**{"\x1b[2J": 1.0}))),
    Attack("metrics_as_text", "a metric that is text", ended(_NO_MESSAGE, *START, finish(accuracy="1.0"))),
    Attack(
        "metrics_not_numbers",
        "NaN and infinity as metrics",
        paid(*START, OUT, finish(result(), a=math.nan, b=math.inf, c=0.5), metrics={"c": 0.5}),
    ),
)

ATTACKS = _LINES + _ENDS + _STATES + _RESULTS
