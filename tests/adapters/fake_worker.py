"""A worker without torch that does what a test tells it, good or evil: runs in the real sandbox in the real worker's place.

Handed to the supervisor as its program. The task's parameter `act` names one of the functions below; it gets the parsed
words of the command line and the Load. Standard library, msgspec and `desktop_app.wire` only.
"""

import argparse
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

from desktop_app.wire import arena, ipc


class Side:
    """The worker's ends: socket, arena, task."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        for name in ("--ipc", "--arena", "--threads"):
            parser.add_argument(name, type=int)
        parser.add_argument("--device")
        parser.add_argument("--warm", action="store_true")
        words = parser.parse_args(sys.argv[1:])
        self.socket = socket.socket(fileno=words.ipc)
        self.arena_fd: int = words.arena
        self.seq = 0
        self.load = ipc.Load("", {}, {}, 0, 0, 0, None, 0)

    def say(self, message: ipc.FromWorker) -> None:
        self.socket.send(ipc.pack(message))

    def meet(self) -> None:
        self.say(ipc.Hello(ipc.PROTOCOL, os.getpid(), "fake"))
        load = ipc.parse_to_worker(self.socket.recv(ipc.FRAME_LIMIT))
        assert isinstance(load, ipc.Load)
        self.load = load
        if load.data_mb:
            resource.setrlimit(resource.RLIMIT_DATA, (load.data_mb << 20, load.data_mb << 20))
        with mmap.mmap(self.arena_fd, arena.PAGE) as page:
            self.layout = arena.layout_of(page[:64])
        self.memory = mmap.mmap(self.arena_fd, self.layout.total)

    def open(self) -> bool:
        return self.memory[arena.GATE] == arena.OPEN

    def payload(self, step: int) -> bytes:
        spec = [arena.TensorSpec(arena.STEP_TENSOR, "I64", ()), arena.TensorSpec("state", "U8", (int(self.load.params.get("size", 64)),))]
        return arena.payload_header(spec) + struct.pack("<q", step) + bytes([step % 251]) * spec[1].bytes

    def commit(self, step: int, payload: bytes | None = None, said: int | None = None) -> ipc.Committed:
        self.seq += 1
        slot, data = self.seq % 2, self.payload(step) if payload is None else payload
        at, head = self.layout.slot_at(slot), arena.header_at(slot)
        self.memory[head : head + arena.HEADER_BYTES] = arena.EMPTY_HEADER
        self.memory[at : at + len(data)] = data
        header = arena.pack_header(arena.SlotHeader(self.seq, step if said is None else said, len(data)))
        self.memory[head : head + arena.HEADER_BYTES] = header
        return ipc.Committed(slot, self.seq, step)

    def output(self, data: bytes) -> None:
        self.memory[self.layout.output_at : self.layout.output_at + len(data)] = data

    def work(self, step_s: float = 0.005) -> None:
        """As the real one does: gate, step, commit, word."""
        said = 0.0
        for index in range(self.load.first_step, self.load.steps):
            if not self.open():
                self.say(self.commit(index))
                forever()
            time.sleep(step_s)
            self.commit(index + 1)
            if time.monotonic() - said > 0.1:
                said = time.monotonic()
                self.say(ipc.Progress(index + 1, self.load.steps, 0.5, step_s * 1000))


def forever() -> None:
    while True:
        time.sleep(60)


def honest(side: Side) -> None:
    side.say(ipc.Ready())
    side.work()
    data = json.dumps({"answer": 42}).encode() + b"\n"
    side.output(data)
    side.say(ipc.Finished([ipc.OutputFile("answer", "jsonl", 0, len(data))], {"accuracy": 0.5}))
    forever()


def resumed(side: Side) -> None:
    """Finishes at once, and tells what it was given."""
    side.say(ipc.Ready())
    seen = {"first": side.load.first_step, "checkpoint": Path(side.load.checkpoint or "/dev/null").read_bytes().hex()}
    data = json.dumps(seen).encode()
    side.output(data)
    side.say(ipc.Finished([ipc.OutputFile("seen", "jsonl", 0, len(data))], {}))
    forever()


def tell(side: Side, seen: object) -> None:
    """Finishes with what it saw as its result."""
    data = json.dumps(seen).encode()
    side.output(data)
    side.say(ipc.Finished([ipc.OutputFile("seen", "jsonl", 0, len(data))], {}))
    forever()


def reads(side: Side) -> None:
    side.say(ipc.Ready())
    checkpoint = Path(side.load.checkpoint or "/dev/null").read_text()
    tell(side, {"data": Path(side.load.inputs["data"]).read_text(), "checkpoint": checkpoint, "first": side.load.first_step})


def meddles(side: Side) -> None:
    """Tries to write to its input in every way, also through the number of an open file, and to reach beside it."""
    side.say(ipc.Ready())
    data = Path(side.load.inputs["data"])
    held = os.open(data, os.O_RDONLY)
    ways: dict[str, Callable[[], object]] = {
        "write": lambda: data.write_bytes(b"x"), "append": lambda: os.open(data, os.O_WRONLY | os.O_APPEND),
        "reopen": lambda: os.open(f"/proc/self/fd/{held}", os.O_RDWR), "truncate": lambda: os.truncate(data, 0),
        "truncate_fd": lambda: os.ftruncate(held, 0), "chmod": lambda: data.chmod(0o777), "chmod_fd": lambda: os.fchmod(held, 0o777),
        "remove": data.unlink, "add": lambda: (data.parent / "more").write_bytes(b"x"),
    }  # fmt: skip
    done, refused = [], []
    for name, way in ways.items():
        try:
            way()
            done.append(name)
        except OSError:
            refused.append(name)
    tell(side, {"there": sorted(place.name for place in data.parent.iterdir()), "done": done, "refused": refused})


def tells_limits(side: Side) -> None:
    side.say(ipc.Ready())
    tell(side, {"data_mb": resource.getrlimit(resource.RLIMIT_DATA)[1] >> 20})


def slow_start(side: Side) -> None:
    forever()


def ignores_gate(side: Side) -> None:
    side.say(ipc.Ready())
    for index in range(side.load.first_step, side.load.steps):
        time.sleep(0.002)
        side.commit(index + 1)
        if index == side.load.first_step:
            side.say(ipc.Progress(index + 1, side.load.steps, None, None))
    forever()


def children(side: Side) -> None:
    """Works with a family that left its session and does not listen."""
    for _ in range(5):
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
            forever()
    honest(side)


def flood(side: Side) -> None:
    side.say(ipc.Ready())
    while True:
        side.say(ipc.Beat())


def garbage(side: Side) -> None:
    side.socket.send(os.urandom(1000))
    forever()


def oversized(side: Side) -> None:
    side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    side.socket.send(b"\x81\xa1t\xa4beat" + b"x" * 100_000)
    forever()


def empty_packet(side: Side) -> None:
    side.say(ipc.Ready())
    side.socket.send(b"")
    forever()


def out_of_turn(side: Side) -> None:
    side.say(ipc.Finished([], {}))
    forever()


def sends_descriptors(side: Side) -> None:
    """Descriptors in packets must not pile up in the agent."""
    side.say(ipc.Ready())
    while side.open():
        socket.send_fds(side.socket, [ipc.pack(ipc.Beat())], [0, 1, 2, side.arena_fd])
        time.sleep(0.05)
    side.say(side.commit(1))
    forever()


def lies_about_progress(side: Side) -> None:
    side.say(ipc.Ready())
    side.commit(2)
    side.say(ipc.Progress(10**12, 10**12, 0.1, 1e300))
    while side.open():
        time.sleep(0.005)
    side.say(ipc.Committed(1, 7, 10**15))
    forever()


def lies_about_steps(side: Side) -> None:
    """A whole slot that says it holds more steps than the task has."""
    side.say(ipc.Ready())
    side.commit(side.load.steps + 5)
    while side.open():
        time.sleep(0.005)
    side.say(ipc.Committed(0, 1, side.load.steps))
    forever()


def differs_from_header(side: Side) -> None:
    """The header says 900, the state itself says 3."""
    side.say(ipc.Ready())
    side.commit(3, said=900)
    while side.open():
        time.sleep(0.005)
    side.say(ipc.Committed(0, 1, 900))
    forever()


def commits_junk(side: Side) -> None:
    side.say(ipc.Ready())
    side.commit(5, payload=os.urandom(500))
    while side.open():
        time.sleep(0.005)
    side.say(ipc.Committed(0, 1, 5))
    forever()


def scribbles(side: Side) -> None:
    """Random bytes over the first page, the gate and both headers included, again and again."""
    side.say(ipc.Ready())
    side.commit(4)
    while True:
        side.memory[: arena.PAGE] = os.urandom(arena.PAGE)


def resizes(side: Side) -> None:
    """Would take the pages away under the agent."""
    side.say(ipc.Ready())
    outcomes = []
    for size in (0, side.layout.total + arena.PAGE):
        try:
            os.ftruncate(side.arena_fd, size)
            outcomes.append("done")
        except OSError:
            outcomes.append("refused")
    side.say(ipc.Failed("resized", ",".join(outcomes)))
    forever()


def silent(side: Side) -> None:
    side.say(ipc.Ready())
    forever()


def beats_only(side: Side) -> None:
    side.say(ipc.Ready())
    while True:
        side.say(ipc.Beat())
        time.sleep(0.1)


def crashes(side: Side) -> None:
    side.say(ipc.Ready())
    side.commit(7)
    print("\x1b[31mthe last words\x1b[0m\x07", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
    forever()


def fails(side: Side) -> None:
    side.say(ipc.Ready())
    side.say(ipc.Failed("bad_input", "the data is odd"))
    forever()


def takes_memory(side: Side) -> None:
    side.say(ipc.Ready())
    held = mmap.mmap(-1, 4 << 30)
    for at in range(0, len(held), 1 << 20):
        held[at : at + (1 << 20)] = b"x" * (1 << 20)
    forever()


def result_outside(side: Side) -> None:
    side.say(ipc.Ready())
    side.say(ipc.Finished([ipc.OutputFile("model", "safetensors", side.layout.output_bytes - 4, 5)], {}))
    forever()


def result_is_no_safetensors(side: Side) -> None:
    side.say(ipc.Ready())
    side.output(b"\x80\x04pickle")
    side.say(ipc.Finished([ipc.OutputFile("model", "safetensors", 0, 8)], {}))
    forever()


def prints_much(side: Side) -> None:
    side.say(ipc.Ready())
    while side.open():
        print("x" * 60_000 + "\x1b]0;title\x07")
    side.say(side.commit(1))
    forever()


if __name__ == "__main__":
    one = Side()
    one.meet()
    globals()[str(one.load.params["act"])](one)
