"""The first thing a worker's process runs: lower itself, then become bwrap.

Started by `cage` as a bare interpreter (`python -I -S enter.py FD`), so that everything here happens in a process of one
thread, between fork and sandbox. It must import only the standard library. FD holds the `spec` that `cage.spawn` wrote.

As root it becomes an unprivileged user first, because root is exempt from the limit on processes. That user may not be able
to reach the interpreter or the inputs (a root's home is closed), so they are bound to places it can reach, in a mount
namespace that only this process has.
"""

import ctypes
import json
import os
import resource
import signal
import sys

_NEWNS = 0x00020000
_BIND, _REC, _PRIVATE, _NOSUID, _NODEV = 0x1000, 0x4000, 1 << 18, 2, 4
_PDEATHSIG = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IDLE = 3 << 13
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        spec = json.loads(file.read())
    for procs in spec["cgroups"]:
        with open(procs, "w") as file:  # noqa: PTH123 - pathlib costs a third of this program's time
            file.write("0")
    _lower(spec["nice"])
    if spec["uid"] is not None:
        _make_reachable(spec["reach"])
        _become(spec["uid"])
    for name, limit in spec["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    _die_with(spec["parent"])
    arguments = os.memfd_create("sublet-arguments", 0)
    os.write(arguments, b"".join(one.encode() + b"\0" for one in spec["arguments"]))
    os.lseek(arguments, 0, os.SEEK_SET)
    # The arguments name the owner's folders, and a process' command line can be read from inside.
    command = [*spec["prefix"], spec["bwrap"], "--args", str(arguments), "--", *spec["command"]]
    os.execvp(command[0], command)  # noqa: S606


def _make_reachable(places: list[str]) -> None:
    """Bind each place to /tmp/<its number> on a private tmpfs over /tmp."""
    _check(_libc.unshare(_NEWNS))
    _check(_libc.mount(None, b"/", None, _REC | _PRIVATE, None))
    held = [os.open(place, os.O_PATH) for place in places]
    _check(_libc.mount(b"tmpfs", b"/tmp", b"tmpfs", _NOSUID | _NODEV, b"mode=0755,size=64k"))
    for number, descriptor in enumerate(held):
        target, source = f"/tmp/{number}", f"/proc/self/fd/{descriptor}"  # noqa: S108 - a tmpfs of our own
        if os.path.isdir(source):  # noqa: PTH112
            os.mkdir(target)  # noqa: PTH102
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        _check(_libc.mount(source.encode(), target.encode(), None, _BIND | _REC, None))
        os.close(descriptor)


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _lower(nice: int) -> None:
    """The owner's programs come first: processor, disk, and who is ended when memory runs out."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, 1, 0, _IDLE)
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
        file.write("900")


def _die_with(parent: int) -> None:
    _check(_libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.stderr.write(f"sublet: {error}\n")
        os._exit(125)
