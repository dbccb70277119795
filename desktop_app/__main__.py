"""Picks the process this is to be, and imports only that one.

`sublet` alone is the tray; the first word picks another process (agent, worker, pool, …) or a verb of the command line.
Called by the console script and by `python -m desktop_app`.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

Main = Callable[[Sequence[str]], int]

PROCESSES = {
    "tray": "desktop_app.ui.shell",
    "agent": "desktop_app.agent.main",
    "worker": "desktop_app.worker.main",
    "pool": "desktop_app.pool.main",
    "rent": "desktop_app.renter.main",
    "deploy": "desktop_app.deploy",
    "practice": "desktop_app.practice.main",
    "practice-evm": "desktop_app.practice.evm",
    "practice-pool": "desktop_app.practice.office",
    "practice-renter": "desktop_app.practice.renting",
    "tour": "desktop_app.practice.tour",
}
"""Each names a module with `main(arguments) -> exit status`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words.insert(0, "tray")
    module = PROCESSES.get(words[0])
    if module is not None:
        return _run(module, words[1:])
    return _run("desktop_app.cli", words)


def _run(module: str, arguments: Sequence[str]) -> int:
    from desktop_app.core.errors import AppError

    try:
        run: Main = import_module(module).main
        status = run(arguments)
        sys.stdout.flush()
        return status
    except AppError as error:
        print(f"{error.title}\n{error.advice}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
