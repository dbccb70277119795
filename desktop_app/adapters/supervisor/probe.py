# ruff: noqa: S108
"""Tries from inside the sandbox what a stranger's task must not be able to do, and writes one JSON line per attempt.

Run in two ways, both with the standard library alone. `selftest` runs it as the only program of a sandbox, at every start of
the agent; argv[1] is JSON that says what to look for: addresses on which the agent listens, folders of the owner's, a word
from the agent's environment, the limits. The last attempt there is on memory, at which the kernel or the watchdog should end
everything. And before each task the prologue of `sandbox` calls `before_task` in the very process that becomes the worker,
before it has read a byte of a stranger's; `walls` reads what it says.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

MB = 1 << 20
_CLONE_NEWUSER = 0x10000000
_PTRACE_TRACEME = 0
_HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}
_NOFILE_MOST = 512
_libc = ctypes.CDLL(None, use_errno=True)
_out = [1]  # the descriptor to tell it to


class Spec(TypedDict):
    """What to look for; an address of the host's loopback and ports there, paths and names there, and limits in MiB."""

    host: str
    tcp: int
    udp: int
    unix: str
    abstract: str
    home: str
    canary: str
    runtime: str
    keys: str
    variables: list[str]
    word: str
    namespaces: dict[str, int]
    devices: list[str]
    descriptors: list[int]
    data_mb: int
    ram_mb: int
    processes: int
    file_mb: int
    tmp_mb: int


def tell(name: str, held: bool, seen: object) -> None:
    os.write(_out[0], json.dumps({"name": name, "held": held, "seen": str(seen)[:200]}).encode() + b"\n")


def refusal(action: Callable[[], object]) -> OSError | None:
    """The error that `action` met, None when it was let through."""
    try:
        action()
    except OSError as error:
        return error
    return None


def reach(family: int, kind: int, address: "tuple[str, int] | str") -> None:
    with socket.socket(family, kind) as one:
        one.settimeout(0.2)
        one.connect(address)
        one.send(b"sublet")


def network(spec: Spec) -> None:
    devices = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    routes = Path("/proc/net/route").read_text().splitlines()[1:]
    tell("no_network", devices in ([], ["lo"]) and not routes, f"{devices}, {len(routes)} routes")
    ways: list[tuple[str, int, int, tuple[str, int] | str]] = [
        ("no_tcp", socket.AF_INET, socket.SOCK_STREAM, (spec["host"], spec["tcp"])),
        ("no_udp", socket.AF_INET, socket.SOCK_DGRAM, (spec["host"], spec["udp"])),
        ("no_unix_socket", socket.AF_UNIX, socket.SOCK_STREAM, spec["unix"]),
        ("no_abstract_socket", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + spec["abstract"]),
    ]
    for name, family, kind, address in ways:
        seen = refusal(lambda way=(family, kind, address): reach(*way))  # type: ignore[misc]
        tell(name, seen is not None, seen or "reached")


def files(spec: Spec) -> None:
    for name, place in (("home", spec["home"]), ("canary", spec["canary"]), ("runtime", spec["runtime"]), ("keys", spec["keys"])):
        seen = refusal(lambda place=place: Path(place).stat())  # type: ignore[misc]
        tell(f"no_{name}", seen is not None, seen or "it is there")
    writable = [place for place in folders() if writes(place)]
    tell("read_only", {str(place) for place in writable} <= {"/tmp", "/dev/shm"}, writable)
    sizes = [(str(place), size_mb(place)) for place in writable]
    tell("little_room", all(size <= spec["tmp_mb"] for _, size in sizes), sizes)


def folders() -> list[Path]:
    """Every folder at the top, every mount, and the folders of ours."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = {Path("/"), Path("/app/desktop_app"), *map(Path, mounts), *Path("/").iterdir()}
    return sorted(place for place in found if place.is_dir() and "proc" not in place.parts)


def writes(folder: Path) -> bool:
    place = folder / ".sublet-probe"
    try:
        place.touch(exist_ok=False)
    except OSError:
        return False
    place.unlink()
    return True


def size_mb(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_blocks * found.f_frsize // MB


def processes(spec: Spec) -> None:
    pids = [place for place in Path("/proc").iterdir() if place.name.isdigit()]
    tell("no_other_processes", len(pids) <= 3, f"{len(pids)} processes")
    leaked = [place.name for place in pids if contains(place / "environ", spec["word"])]
    foreign = sorted(set(os.environ) - set(spec["variables"]))
    tell("no_environment", not leaked and not foreign, leaked + foreign)
    tell("no_namespaces", fails(lambda: int(_libc.unshare(_CLONE_NEWUSER))), "unshare(CLONE_NEWUSER)")
    tell("no_ptrace", fails(lambda: int(_libc.ptrace(_PTRACE_TRACEME, 0, 0, 0))), "ptrace(PTRACE_TRACEME)")
    held = privileges()
    tell("no_privileges", not held, held)
    shared = [name for name, number in spec["namespaces"].items() if Path("/proc/self/ns", name).stat().st_ino == number]
    tell("own_namespaces", not shared, shared)


def nodes(spec: Spec) -> None:
    """The devices that show, and the descriptors that were left open, besides the ones that must."""
    found = {place.name for place in Path("/dev").iterdir() if not place.is_symlink() and not stat.S_ISDIR(place.stat().st_mode)}
    foreign = sorted(found - _HARMLESS - set(spec["devices"]))
    tell("no_devices", not foreign, foreign)
    opened = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - the last is the one that lists
    foreign_open = sorted(number for number in opened if number > 2 and number not in spec["descriptors"] and is_open(number))
    tell("no_descriptors", not foreign_open, foreign_open)


def is_open(number: int) -> bool:
    return refusal(lambda: os.fstat(number)) is None


def contains(place: Path, word: str) -> bool:
    try:
        return word.encode() in place.read_bytes()
    except OSError:
        return False


def fails(call: Callable[[], int]) -> bool:
    return call() == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSPC, errno.EACCES)


def privileges() -> list[str]:
    """Capabilities held or ever to be had, and a missing seccomp filter."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    held = [name for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb") if int(fields[name], 16)]
    return held + [name for name, wanted in (("NoNewPrivs", "1"), ("Seccomp", "2")) if fields[name] != wanted]


def limits(spec: Spec) -> None:
    children, seen = fork_until(spec["processes"])
    tell("few_processes", len(children) < spec["processes"], f"{len(children)}, {seen}")
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)
    refused = refusal(lambda: write_much(spec["file_mb"] + 1))
    tell("small_files", refused is not None and refused.errno == errno.EFBIG, refused or "written")
    tell("no_core_dumps", resource.getrlimit(resource.RLIMIT_CORE) == (1, 1), resource.getrlimit(resource.RLIMIT_CORE))
    refused = refusal(lambda: mmap.mmap(-1, 4 * spec["ram_mb"] * MB, flags=mmap.MAP_PRIVATE).close())
    tell("bounded_private_memory", refused is not None, refused or "given")


def fork_until(count: int) -> tuple[list[int], object]:
    children: list[int] = []
    try:
        while len(children) <= count:
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
    except OSError as error:
        return children, error
    return children, "no end"


def write_much(megabytes: int) -> None:
    place = Path("/tmp/.sublet-much")
    try:
        with place.open("wb", buffering=0) as file:
            for _ in range(megabytes):
                file.write(bytes(MB))
    finally:
        place.unlink()


def memory(spec: Spec) -> None:
    """Shared memory escapes the resource limits: only the kernel's groups, or the watchdog, end this."""
    tell("memory_begins", True, "")
    held = mmap.mmap(-1, 4 * spec["ram_mb"] * MB)
    for at in range(0, len(held), MB):
        held[at : at + MB] = b"x" * MB
    for _ in range(50):  # not one long sleep, which would be over when a machine that stood still for as long goes on
        time.sleep(0.1)
    tell("bounded_memory", False, f"{len(held) // MB} MB were given")


def bounds(spec: Spec) -> None:
    """The limits as they stand, where trying each would take too long: `limits` tried them at the start."""
    wanted = {
        resource.RLIMIT_NPROC: spec["processes"], resource.RLIMIT_FSIZE: spec["file_mb"] * MB, resource.RLIMIT_DATA: spec["data_mb"] * MB,
        resource.RLIMIT_CORE: 1, resource.RLIMIT_NOFILE: _NOFILE_MOST, resource.RLIMIT_MSGQUEUE: 0,
    }  # fmt: skip
    loose = [which for which, most in wanted.items() if not 0 <= resource.getrlimit(which)[1] <= most]
    tell("bounded", not loose, loose)


def before_task(spec_fd: int, report_fd: int) -> None:
    """Everything that can be tried in a few milliseconds; both descriptors are closed afterwards."""
    with os.fdopen(spec_fd, "rb") as file:
        spec: Spec = json.loads(file.read())
    _out[0] = report_fd
    for part in (network, files, processes, nodes, bounds):
        part(spec)
    os.close(report_fd)


def main() -> None:
    spec: Spec = json.loads(sys.argv[1])
    for part in (network, files, processes, nodes, limits, memory):
        part(spec)


if __name__ == "__main__":
    main()
