"""What every attack is written with: how one is named, how it says that it was stopped, and system calls by their numbers.

An attack is a function that gets the `World` and returns what it gained; an OSError or `Held` is how it was stopped. It runs
in a process of its own, inside the sandbox (`runner`), and outside as its own control where that does no harm. Standard
library only: nothing else is promised inside.
"""

import ctypes
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

BAD = 1  # an address at which nothing lies


class World(TypedDict):
    """The owner's machine as an attacker would like to know it: addresses, places, numbers. Written by `tests.hostile.world`."""

    host: str
    tcp: int
    tcp6: int
    udp: int
    udp6: int
    unix: str
    datagrams: str
    packets: str
    abstract: str
    sockets: dict[str, str]
    x_number: int
    files: dict[str, str]
    folders: dict[str, str]
    word: str
    pid: int
    line: int
    secret_at: int
    secret: str
    namespaces: dict[str, int]
    input: str
    ram_mb: int
    processes: int
    file_mb: int
    tmp_mb: int


class Held(Exception):
    """The attack was stopped; the text says by what."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. `outside`: who may run the same as a control, "anyone", "root", or nobody where it would do harm or tell nothing."""

    name: str
    tries: str
    run: Callable[[World], object]
    outside: str
    dies: bool  # the kernel may end the attacker for it


ATTACKS: dict[str, list[Attack]] = {}
"""Every attack, by the group that shares a sandbox."""

Run = Callable[[World], object]


def attack(tries: str, outside: str = "", *, dies: bool = False) -> Callable[[Run], Run]:
    """Name a function as an attack of its module's group."""

    def note(run: Run) -> Run:
        group = run.__module__.rsplit(".", 1)[-1]
        ATTACKS.setdefault(group, []).append(Attack(run.__name__, tries, run, outside, dies))
        return run

    return note


libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

_X86 = {
    "mmap": 9, "ioctl": 16, "socket": 41, "clone": 56, "fork": 57, "ptrace": 101, "personality": 135, "pivot_root": 155, "adjtimex": 159,
    "acct": 163, "settimeofday": 164, "swapon": 167, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "lookup_dcookie": 212, "clock_settime": 227, "kexec_load": 246,
    "add_key": 248, "request_key": 249, "keyctl": 250, "inotify_init": 253, "unshare": 272, "inotify_init1": 294,
    "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "seccomp": 317, "bpf": 321, "userfaultfd": 323,
    "syslog": 103, "mount": 165, "umount2": 166, "chroot": 161, "mknod": 133, "mknodat": 259, "vhangup": 153, "capset": 126,
    "memfd_secret": 447, "ustat": 136, "sysfs": 139, "modify_ldt": 154, "shmget": 29, "migrate_pages": 256, "move_pages": 279,
}  # fmt: skip
_ARM = {
    "mmap": 222, "ioctl": 29, "socket": 198, "clone": 220, "ptrace": 117, "personality": 92, "pivot_root": 41, "adjtimex": 171, "acct": 89,
    "settimeofday": 170, "swapon": 224, "reboot": 142, "sethostname": 161, "setdomainname": 162, "init_module": 105,
    "delete_module": 106, "quotactl": 60, "lookup_dcookie": 18, "clock_settime": 112, "kexec_load": 104, "add_key": 217,
    "request_key": 218, "keyctl": 219, "unshare": 97, "inotify_init1": 26, "perf_event_open": 241, "fanotify_init": 262,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "finit_module": 273, "seccomp": 277, "bpf": 280, "userfaultfd": 282, "syslog": 116, "mount": 40, "umount2": 39, "chroot": 51,
    "mknodat": 33, "vhangup": 58, "capset": 91, "memfd_secret": 447, "shmget": 194, "migrate_pages": 238, "move_pages": 239,
}  # fmt: skip
_ANYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "process_mrelease": 448,
}  # fmt: skip
_NUMBERS = (_X86 if os.uname().machine == "x86_64" else _ARM) | _ANYWHERE


def syscall(name: str, *words: object) -> int:
    """Make the call by its number. Raises OSError; Held where this processor has no such call."""
    if name not in _NUMBERS:
        raise Held("there is no such call on this processor")
    return numbered(_NUMBERS[name], *words)


def numbered(number: int, *words: object) -> int:
    """Make a call of which only the number is known. Raises OSError."""
    arguments = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    return checked(int(libc.syscall(ctypes.c_long(number), *arguments)))


def checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def each(way: Callable[..., object], *words: Iterable[object]) -> object:
    """The first word, or row of words, with which `way` gains something. Raises Held with all the refusals."""
    return first([partial(way, *row) for row in zip(*words, strict=True)])


def first(ways: list[Callable[[], object]]) -> object:
    """What the first way that works gains. Raises Held with all the refusals."""
    refused = []
    for way in ways:
        try:
            return way()
        except (OSError, Held) as no:
            refused.append(str(no))
    raise Held(", ".join(sorted(set(refused)))[:300])
