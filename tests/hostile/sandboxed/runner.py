"""Runs one group of attacks, each in a process of its own, and prints one JSON line about each.

The only program of the sandbox; also started outside, with the word `outside`, for the controls. argv: group, [outside].
"""

import importlib
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, "/in")

from tests.hostile.sandboxed import kit

_TIME_S = 20.0


def main(words: list[str]) -> None:
    group, place = words[0], words[1] if len(words) > 1 else "/in/world.json"
    importlib.import_module(f"tests.hostile.sandboxed.{group}")
    world: kit.World = json.loads(Path(place).read_text())
    outside = len(words) > 1
    for attack in kit.ATTACKS[group]:
        if not outside or attack.outside == "anyone" or (attack.outside == "root" and os.geteuid() == 0):
            sys.stdout.write(json.dumps({"attack": attack.name} | tried(attack, world)) + "\n")
            sys.stdout.flush()


def tried(attack: kit.Attack, world: kit.World) -> dict[str, object]:
    """How it ended: `got` what it gained, `held` by what, `died` of which signal, or `broken`, when the attack itself is no good."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.write(writing, json.dumps(attempt(attack, world)).encode())
        os._exit(0)
    os.close(writing)
    said, end = b"", time.monotonic() + _TIME_S
    while time.monotonic() < end and select.select([reading], [], [], end - time.monotonic())[0]:
        piece = os.read(reading, 65536)
        if not piece:
            break
        said += piece
    os.close(reading)
    if time.monotonic() >= end:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if said:
        return dict(json.loads(said))
    how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"status {status}"
    return {"how": "died" if attack.dies else "broken", "seen": how}


def attempt(attack: kit.Attack, world: kit.World) -> dict[str, object]:
    try:
        return {"how": "got", "seen": str(attack.run(world))[:300]}
    except (OSError, kit.Held) as no:
        return {"how": "held", "seen": str(no)[:300]}
    except BaseException as fault:
        return {"how": "broken", "seen": f"{type(fault).__name__}: {fault}"[:300]}


if __name__ == "__main__":
    main(sys.argv[1:])
