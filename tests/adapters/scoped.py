"""What an ordinary user's sandbox is like in a scope of systemd's: run by `test_supervisor_limits` as such a user.

There is no systemd in a test, so a script stands in for `systemd-run`: it notes its words and runs the command, in no scope.
"""

import os
import select
import sys
from pathlib import Path

from desktop_app.adapters.supervisor import cage, limits, selftest
from desktop_app.adapters.supervisor.sandbox import Bounds, Sandbox

_STAND_IN = """#!/bin/sh
echo "$@" > {noted}
while [ "$1" != "--" ]; do shift; done
shift
exec "$@"
"""
_LOOK = "print(open('/proc/1/environ').read() + open('/proc/self/environ').read(), flush=True)\n"


def main(home: Path, wanted: str) -> None:
    """`wanted`: what to print, the words of the scope, the environment inside, or how the self-test went."""
    stand_in, noted, look = home / "systemd-run", home / "noted", home / "look.py"
    stand_in.write_text(_STAND_IN.format(noted=noted))
    stand_in.chmod(0o755)
    look.write_text(_LOOK)
    os.environ |= {"XDG_RUNTIME_DIR": "/the-owners-runtime", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/the-owners-bus"}
    limits._scope_command = lambda: (str(stand_in), "--user", "--scope")  # type: ignore[assignment]
    if wanted == "toothless":
        cage.Cage.memory_bytes = lambda self: 0  # type: ignore[method-assign]
    if wanted in ("tested", "toothless"):
        tested = selftest.run(lambda work: work())
        print(tested.level, [check.name for check in tested.checks if not check.held])
        return
    made = cage.spawn(Sandbox((), Bounds(ram_mb=321, processes=45), script=look))
    select.select([made.outer_fd], [], [], 20)
    print(noted.read_text() if wanted == "words" else os.read(made.log, 65536).decode())
    made.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
