"""The hostile worker: runs in the real sandbox in the worker's place and does, move by move, what an attack has written here.

`workers` copies this file with the list of moves filled in and hands the copy to the supervisor as its program. Standard
library only. Places in the arena are offsets from `page`, `slot0`, `slot1` and `out`; bytes are hex.
"""

import itertools
import json
import mmap
import os
import socket
import struct
import sys
import time

MOVES: list[list[object]] = json.loads("[]")


class Attacker:
    """The worker's ends of the socket and the arena, as the command line names them."""

    def __init__(self) -> None:
        words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
        self.socket = socket.socket(fileno=int(words["--ipc"]))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        arena = int(words["--arena"])
        with mmap.mmap(arena, mmap.PAGESIZE) as page:
            slot, out = struct.unpack_from("<QQ", page, 16)
        self.memory = mmap.mmap(arena, 4096 + 2 * slot + out)
        self.bases = {"page": 0, "slot0": 4096, "slot1": 4096 + slot, "out": 4096 + 2 * slot}

    def say(self, frame: str, times: int = 1) -> None:
        for _ in range(times):
            self.socket.send(bytes.fromhex(frame))

    def say_slowly(self, frame: str, seconds: float) -> None:
        """The same again and again, until the end."""
        while True:
            self.say(frame)
            time.sleep(seconds)

    def hear(self) -> None:
        self.socket.recv(1 << 20)

    def files(self, frame: str) -> None:
        socket.send_fds(self.socket, [bytes.fromhex(frame)], [0, 1, 2] * 20)

    def close(self) -> None:
        self.socket.close()

    def shut(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def gate(self) -> None:
        """Until the owner wants the device back."""
        while self.memory[64] == 1:
            time.sleep(0.002)

    def poke(self, base: str, offset: int, data: str) -> None:
        at, written = self.bases[base] + offset, bytes.fromhex(data)
        self.memory[at : at + len(written)] = written

    def race(self, *scenes: list[list[object]]) -> None:
        """The scenes over and over, each as quick as it goes, while the supervisor reads."""
        for scene in itertools.cycle(scenes):
            for base, offset, data in scene:
                self.poke(str(base), int(str(offset)), str(data))

    def print(self, data: str, times: int) -> None:
        for _ in range(times):
            sys.stdout.buffer.write(bytes.fromhex(data))
        sys.stdout.buffer.flush()

    def exit(self, status: int) -> None:
        os._exit(status)

    def kill(self, signal: int) -> None:
        os.kill(os.getpid(), signal)

    def fork(self) -> None:
        """Live on as a child that holds both ends, and let the parent go."""
        if os.fork():
            os._exit(0)


if __name__ == "__main__":
    attacker = Attacker()
    for name, *words in MOVES:
        getattr(attacker, str(name))(*words)
    while True:
        time.sleep(60)
