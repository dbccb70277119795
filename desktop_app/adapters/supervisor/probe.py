# ruff: noqa: S108
"""Tries from inside the sandbox what a stranger's task must not be able to do, and prints one JSON line per attempt.

Run by `selftest` as the only program of a sandbox, so it imports only the standard library; argv[1] is JSON that says what
to look for: addresses on which the agent listens, folders of the owner's, a word from the agent's environment, the limits.
The last attempt is on memory, at which the kernel or the watchdog should end everything.
"""

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

MB = 1 << 20
_CLONE_NEWUSER = 0x10000000
_PTRACE_TRACEME = 0
_libc = ctypes.CDLL(None, use_errno=True)


class Spec(TypedDict):
    """What to look for; ports on the host's loopback, paths and names there, and limits in MiB."""

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
    ram_mb: int
    processes: int
    file_mb: int
    tmp_mb: int


def tell(name: str, held: bool, seen: object) -> None:
    sys.stdout.write(json.dumps({"name": name, "held": held, "seen": str(seen)[:200]}) + "\n")
    sys.stdout.flush()


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
        ("no_tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", spec["tcp"])),
        ("no_udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", spec["udp"])),
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
    tell("no_core_dumps", resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, resource.getrlimit(resource.RLIMIT_CORE))
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
    time.sleep(2)
    tell("bounded_memory", False, f"{len(held) // MB} MB were given")


def main() -> None:
    spec: Spec = json.loads(sys.argv[1])
    for part in (network, files, processes, limits, memory):
        part(spec)


if __name__ == "__main__":
    main()
