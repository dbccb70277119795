"""Attacks on other processes: those of the owner, the supervisor, and the sandbox' own process 1, which the die-with-parent hangs on."""

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.hostile.sandboxed.kit import Held, World, attack, checked, each, first, libc, syscall


@attack("a list of the machine's processes", "anyone")
def listing(_world: World) -> str:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    if len(pids) <= 4:  # process 1, the program, this attack
        raise Held(f"{len(pids)} of the sandbox' own")
    return f"{len(pids)} processes"


@attack("the environment of the agent", "anyone")
def environment(world: World) -> str:
    if os.environ.get("SUBLET_TEST_WORD") == world["word"]:
        return "inherited"
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        if world["word"].encode() in Path(f"/proc/{pid}/environ").read_bytes():
            return f"in process {pid}"
    raise Held("its word is nowhere")


@attack("the owner's name and folders, out of the environment and command lines", "anyone")
def names(world: World) -> str:
    home = world["folders"]["home"].encode()
    seen = [*map(os.fsencode, os.environ.values()), *map(os.fsencode, sys.argv)]
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        seen += [Path(f"/proc/{pid}/cmdline").read_bytes(), Path(f"/proc/{pid}/environ").read_bytes()]
    found = [one for one in seen if home.rsplit(b"/", 1)[0] in one]
    if not found:
        raise Held("not there")
    return repr(found[0][:100])


class _Piece(ctypes.Structure):
    _fields_ = (("at", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _remote(call: str, pid: int, at: int, room: "ctypes.Array[ctypes.c_char]") -> bytes:
    here, there = _Piece(ctypes.addressof(room), len(room)), _Piece(at, len(room))
    syscall(call, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return room.raw


@attack("the supervisor's memory, read", "root")
def read_supervisor(world: World) -> object:
    room = ctypes.create_string_buffer(len(world["secret"]))

    def from_file() -> bytes:
        with Path(f"/proc/{world['pid']}/mem").open("rb") as file:
            file.seek(world["secret_at"])
            return file.read(len(world["secret"]))

    found = first([lambda: _remote("process_vm_readv", world["pid"], world["secret_at"], room), from_file])
    if found != world["secret"].encode():
        raise Held("something else lies there")
    return found


@attack("any other process' memory by the system call, this one's parent's too", "root")
def read_parent(_world: World) -> object:
    room = ctypes.create_string_buffer(b"x" * 8)
    return first([
        lambda: _remote("process_vm_readv", os.getppid(), ctypes.addressof(room), room),
        lambda: _remote("process_vm_writev", os.getppid(), ctypes.addressof(room), room),
        lambda: _remote("process_vm_readv", 1, ctypes.addressof(room), room),
    ])  # fmt: skip


@attack("ptrace: attach to process 1, to the parent, to oneself", "root")
def ptrace(_world: World) -> object:
    return first([
        lambda: syscall("ptrace", 0x4206, os.getppid(), 0, 0), lambda: syscall("ptrace", 16, os.getppid(), 0, 0),
        lambda: syscall("ptrace", 0x4206, 1, 0, 0), lambda: syscall("ptrace", 0, 0, 0, 0),
    ])  # fmt: skip


@attack("a signal to the supervisor, whose number is known", "anyone")
def kill_supervisor(world: World) -> object:
    return first([lambda: os.kill(world["pid"], 0), lambda: os.pidfd_open(world["pid"])])


@attack("a descriptor of the supervisor's, through a handle on it", "root")
def steal_descriptor(world: World) -> int:
    return syscall("pidfd_getfd", os.pidfd_open(world["pid"]), 0, 0)


@attack("a descriptor of the parent's or of process 1", "root")
def steal_nearby(_world: World) -> object:
    return each(lambda pid: syscall("pidfd_getfd", os.pidfd_open(pid), 0, 0), (os.getppid(), 1))


@attack("the supervisor by the other end of the worker's own socket: its number, a handle on it, its namespaces", "anyone")
def peer(world: World) -> object:
    with socket.socket(fileno=os.dup(world["line"])) as line:
        number = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        handle = struct.unpack("i", line.getsockopt(socket.SOL_SOCKET, 77, 4))[0]  # SO_PEERPIDFD
    ways: list[Callable[[], object]] = [partial(signal.pidfd_send_signal, handle, 0), partial(syscall, "pidfd_getfd", handle, 0, 0)]
    ways += [partial(fcntl.ioctl, handle, 0xFF00 + kind, 0) for kind in range(1, 11)]  # its namespaces
    if number > 0:
        return f"its number is {number}"
    return first(ways)


@attack("process 1's own descriptors, opened again")
def reopen(_world: World) -> object:
    def opened(place: str) -> str:
        target = os.readlink(place)
        if target.startswith(("pipe:", "/dev/null", "anon_inode:[eventfd]")):
            raise Held("its output, and an event of its own")
        return target

    return each(opened, [f"/proc/1/fd/{name}" for name in os.listdir("/proc/1/fd")])


@attack("an end to process 1, whose end would look like the task's")
def kill_init(_world: World) -> str:
    for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV):
        os.kill(1, number)
    time.sleep(0.2)
    state = Path("/proc/1/stat").read_text().rsplit(")", 1)[1].split()[0]
    if state in "SRD":
        raise Held(f"it lives on, in state {state}")
    return f"it is in state {state}"


@attack("out of reach of the agent's death: PR_SET_PDEATHSIG taken back", "anyone")
def forget_parent(_world: World) -> object:
    return first([lambda: checked(libc.prctl(1, 0, 0, 0, 0)), lambda: checked(libc.prctl(1, 18, 0, 0, 0))])


@attack("process 1 made to forget its parent: its memory opened for writing, and a call put in")
def rewrite_init(_world: World) -> str:
    """The memory can be opened: what is inside may harm itself. What counts is that no code in there may make the call."""
    with Path("/proc/1/mem").open("r+b", buffering=0) as file:
        lines = dict(line.split(":\t", 1) for line in Path("/proc/1/status").read_text().splitlines() if ":\t" in line)
        if lines["Seccomp"] == "2" and lines["NoNewPrivs"] == "1" and not int(lines["CapBnd"], 16) | int(lines["CapEff"], 16):
            raise Held("process 1 has the same filter and no privileges, and the call is refused to all")
        return f"{file.name} is open, and process 1 is freer than we"


@attack("who is root inside, and what privileges there are to be had", "root")
def privileges(_world: World) -> object:
    def granted() -> str:
        lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
        held = [name for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb") if int(lines[name], 16)]
        if held or lines["NoNewPrivs"] != "1":
            return f"{held}, NoNewPrivs {lines['NoNewPrivs']}"
        raise Held("none")

    return first([granted, lambda: os.setresuid(0, 0, 0), lambda: os.setresgid(0, 0, 0), lambda: os.setgroups([0])])


@attack("capabilities, asked for and raised")
def capabilities(_world: World) -> object:
    header, everything = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    return first([lambda: syscall("capset", header, everything), lambda: checked(libc.prctl(47, 2, 21, 0, 0))])


@attack("a program with the set-user-id bit: the system's own, and one of ours")
def setuid_programs(_world: World) -> str:
    own = Path("/tmp/.sublet-setuid")
    own.write_bytes(Path("/usr/bin/id").read_bytes())
    own.chmod(0o6755)
    said = [subprocess.run([str(own), "-u"], capture_output=True, text=True, timeout=5, check=False).stdout.strip()]
    for place in Path("/usr/bin").iterdir():
        if place.is_file() and place.stat().st_mode & 0o4000 and place.name in ("su", "sudo", "pkexec", "mount", "newgrp", "passwd"):
            words = [str(place), "-c", "id -u"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL)
            said.append(done.stdout.strip())
    own.unlink()
    if "0" not in said and all("uid=0" not in one for one in said):
        raise Held(f"they say {said}")
    return f"root: {said}"


@attack("a higher priority: nice, real time, the first place in memory trouble", "root")
def priority(_world: World) -> object:
    def braver() -> str:
        Path("/proc/self/oom_score_adj").write_text("-500")
        return "last to be ended"

    def group() -> str:
        Path("/proc/self/autogroup").write_text("-10")
        return "its group is first"

    return first([
        lambda: os.setpriority(os.PRIO_PROCESS, 0, -5), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        braver, group, lambda: os.nice(-19),
    ])  # fmt: skip


@attack("limits raised above what was set", "root")
def raise_limits(_world: World) -> object:
    def raised(which: int) -> str:
        hard = resource.getrlimit(which)[1]
        if hard == resource.RLIM_INFINITY:
            return f"{which} has no limit"
        try:
            resource.setrlimit(which, (hard + 1, hard + 1))
        except ValueError as no:
            raise Held(str(no)) from None
        return f"{which} raised"

    names = ("NPROC", "FSIZE", "DATA", "NOFILE", "CORE", "SIGPENDING", "MSGQUEUE")
    return each(lambda name: raised(getattr(resource, f"RLIMIT_{name}")), names)


@attack("the owner's shared memory, queues and semaphores of System V", "anyone")
def system_v(world: World) -> str:
    if Path("/proc/self/ns/ipc").stat().st_ino != world["namespaces"]["ipc"]:
        raise Held("its namespace is another")
    return "the same namespace"


@attack("the owner's processes, mounts, users and names: any namespace shared", "anyone")
def namespaces(world: World) -> str:
    kinds = ("pid", "mnt", "user", "uts", "cgroup")
    shared = [name for name in kinds if Path(f"/proc/self/ns/{name}").stat().st_ino == world["namespaces"][name]]
    if not shared:
        raise Held("none is shared")
    return ", ".join(shared)


@attack("the machine's name", "anyone")
def machine_name(_world: World) -> str:
    if os.uname().nodename == "sublet":
        raise Held("it says sublet")
    return os.uname().nodename


@attack("the filter laid off, or another laid over it that allows all")
def filter_off(_world: World) -> str:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    allow = ctypes.create_string_buffer(bytes((6, 0, 0, 0, 0, 0, 255, 127)))  # return SECCOMP_RET_ALLOW
    program = Program(1, ctypes.addressof(allow))
    results = [libc.prctl(22, 0, 0, 0, 0), libc.prctl(38, 0, 0, 0, 0), libc.prctl(22, 2, ctypes.byref(program), 0, 0)]
    syscall("ptrace", 0, 0, 0, 0)
    return f"ptrace works after {results}"


@attack("a program out of memory alone, that might come without the filter")
def program_from_memory(_world: World) -> str:
    descriptor = os.memfd_create("program")
    os.write(descriptor, Path("/usr/bin/cat").read_bytes())
    words = [f"/proc/self/fd/{descriptor}", "/proc/self/status"]
    done = subprocess.run(words, pass_fds=(descriptor,), capture_output=True, text=True, timeout=5, check=False)
    lines = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    if not lines or (lines["Seccomp"], lines["NoNewPrivs"]) == ("2", "1"):
        raise Held("it runs, within the same walls")
    return f"seccomp {lines['Seccomp']}"


@attack("keys typed into a terminal, by the number itself and by one with high bits set", "anyone")
def terminal(_world: World) -> object:
    master, slave = os.openpty()
    key = ctypes.create_string_buffer(b"x")
    os.setsid()
    fcntl.ioctl(slave, 0x540E, 0)  # TIOCSCTTY
    typed = (0x5412, 0x1_0000_5412, -(1 << 32) | 0x5412)  # TIOCSTI
    pasted = ctypes.create_string_buffer(b"\x02" + bytes(20))
    return first([*(partial(syscall, "ioctl", slave, number, key) for number in typed), partial(syscall, "ioctl", master, 0x541C, pasted)])


@attack("the terminal that the supervisor was started from")
def controlling_terminal(_world: World) -> object:
    return first([lambda: os.open("/dev/tty", os.O_RDWR), lambda: os.ttyname(0), lambda: os.ttyname(2)])
