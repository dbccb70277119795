"""The real worker, which also prints every second how much processor time commits and the whole work took so far.

Run inside the sandbox in the worker's place by `overhead`.
"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from desktop_app.worker import main, snapshot

if TYPE_CHECKING:
    import torch

_SAID_S = 1.0

commit, may_begin = snapshot.Arena.commit, snapshot.Arena.may_begin
ready: "Callable[[snapshot.Arena, int], None]" = snapshot.Arena.__init__
spent, begun, said = 0.0, 0.0, 0.0


def counted(self: snapshot.Arena, state: "Mapping[str, torch.Tensor]", step: int, rows: int | None = None) -> snapshot.Commit:
    global spent
    before = time.thread_time()
    done = commit(self, state, step, rows)
    spent += time.thread_time() - before
    return done


def asked(self: snapshot.Arena, step: int) -> bool:
    """Before every step."""
    global said
    now = time.perf_counter()
    if now - said >= _SAID_S:
        said = now
        print(f"commits {spent:.6f} of {time.thread_time() - begun:.6f}", flush=True)
    return may_begin(self, step)


def opened(self: snapshot.Arena, descriptor: int) -> None:
    """The data is loaded: from here on there are only steps and commits."""
    global begun
    ready(self, descriptor)
    begun = time.thread_time()


snapshot.Arena.commit = counted  # type: ignore[method-assign]
snapshot.Arena.may_begin = asked  # type: ignore[method-assign]
snapshot.Arena.__init__ = opened  # type: ignore[method-assign]
sys.exit(main.main(sys.argv[1:]))
