"""The supervisor: a stranger's task in a sandbox, watched, and the device back at once when its owner wants it.

One adapter in a folder, since the outside thing is one: the worker process. `api` is the agent's side and `once` the
renter's and the pool's; below them `session` (one run), `hosted` (one worker), `cage` and `sandbox` (its walls), `arena` (its
state). On systems where no sandbox is written yet, the same names say so.
"""

import sys

if sys.platform == "linux":
    from desktop_app.adapters.supervisor.api import Supervisor, Tuning
    from desktop_app.adapters.supervisor.once import run_sandboxed
else:
    from desktop_app.adapters.supervisor.elsewhere import Supervisor, Tuning, run_sandboxed

__all__ = ["Supervisor", "Tuning", "run_sandboxed"]
