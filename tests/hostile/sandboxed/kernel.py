"""Attacks on the kernel: every call that has been somebody's way out. The words are chosen so that a call let through does nothing.

As root outside each of them succeeds or fails for its nonsense words; inside it must be refused before they are looked at.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import sys

from tests.hostile.sandboxed.kit import BAD, Held, World, attack, each, first, libc, numbered, syscall

_USER, _MOUNT, _NET, _TIME = 0x10000000, 0x00020000, 0x40000000, 0x80
_FLAGS = (_USER, _MOUNT, _NET, 0x20000000, 0x08000000, 0x04000000, 0x02000000)  # and pid, ipc, uts, cgroup


@attack("a namespace of one's own by unshare, one kind after the other", "root")
def unshare(_world: World) -> object:
    return each(lambda flag: syscall("unshare", flag), (*_FLAGS, _TIME))


@attack("a process in new namespaces by clone", "root")
def clone(_world: World) -> object:
    def born(flags: int) -> str:
        pid = syscall("clone", flags | int(signal.SIGCHLD), 0, 0, 0, 0)
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return f"born with {flags:#x}"

    return each(born, (*_FLAGS, _USER | _NET | _MOUNT))


@attack("the same by clone3, whose flags a filter cannot see", "root")
def clone3(_world: World) -> object:
    def born(flags: int) -> str:
        words = (ctypes.c_uint64 * 11)(flags, 0, 0, 0, int(signal.SIGCHLD))
        pid = syscall("clone3", words, ctypes.sizeof(words))
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return "born"

    return each(born, _FLAGS)


@attack("into a namespace by setns, one's own even", "root")
def setns(_world: World) -> object:
    places = [f"/proc/{pid}/ns/{name}" for name in ("net", "uts", "ipc", "mnt", "user") for pid in ("self", "1")]
    return each(lambda place: syscall("setns", os.open(place, os.O_RDONLY), 0), places)


@attack("programs in the kernel: bpf", "root")
def bpf(_world: World) -> int:
    return syscall("bpf", 0, ctypes.create_string_buffer((2).to_bytes(4, "little") + (4).to_bytes(4, "little") * 3 + bytes(100)), 112)


@attack("performance counters: perf_event_open", "root")
def perf(_world: World) -> int:
    words = ctypes.create_string_buffer((1).to_bytes(4, "little") + (112).to_bytes(4, "little") + bytes(104))
    return syscall("perf_event_open", words, 0, -1, -1, 0)


@attack("faults handled in user space: userfaultfd", "root")
def userfaultfd(_world: World) -> int:
    return syscall("userfaultfd", 1)


@attack("io_uring, which does what a filter refuses", "anyone")
def io_uring(_world: World) -> object:
    room = ctypes.create_string_buffer(120)
    return first([
        lambda: syscall("io_uring_setup", 1, room), lambda: syscall("io_uring_enter", -1, 0, 0, 0, 0),
        lambda: syscall("io_uring_register", -1, 0, 0, 0),
    ])  # fmt: skip


@attack("the kernel's keyrings", "anyone")
def keyrings(_world: World) -> object:
    return first([
        lambda: syscall("keyctl", 0, -3, 0), lambda: syscall("request_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"sublet"), 0, 0),
        lambda: syscall("add_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"sublet"), ctypes.c_char_p(b"x"), 1, -2),
    ])  # fmt: skip


@attack("another kernel: kexec", "root")
def kexec(_world: World) -> object:
    return first([lambda: syscall("kexec_load", 0, 1 << 20, 0, 0), lambda: numbered(320, -1, -1, 0, 0, 0)])


@attack("a module for the kernel, loaded or taken out", "root")
def modules(_world: World) -> object:
    calls = {"init_module": (BAD, 8, BAD), "finit_module": (-1, BAD, 0), "delete_module": (BAD, 0x800)}
    return each(lambda name: syscall(name, *calls[name]), calls)


@attack("the machine restarted (with words that no kernel takes)", "root")
def reboot(_world: World) -> int:
    return syscall("reboot", 0, 0, 0, 0)


@attack("swap taken into use", "root")
def swap(_world: World) -> int:
    return syscall("swapon", BAD, 0)


@attack("the clock set", "root")
def clock(_world: World) -> object:
    return first([lambda: syscall("settimeofday", BAD, 0), lambda: syscall("clock_settime", 0, BAD), lambda: syscall("adjtimex", BAD)])


@attack("the machine renamed", "root")
def rename(_world: World) -> object:
    return first([lambda: syscall("sethostname", BAD, 5), lambda: syscall("setdomainname", BAD, 5)])


@attack("watching everybody's files: fanotify", "root")
def fanotify(_world: World) -> int:
    return syscall("fanotify_init", 0, 0)


@attack("the owner's 128 inotify instances used up, so that the desktop has none", "anyone")
def inotify(_world: World) -> object:
    return first([lambda: syscall("inotify_init1", 0), lambda: syscall("inotify_init")])


@attack("the owner's share of pipe memory used up, so that the desktop's pipes are tiny", "anyone")
def wide_pipes(_world: World) -> object:
    reading, _writing = os.pipe()
    number = 72 if os.uname().machine == "x86_64" else 25
    return first([lambda: fcntl.fcntl(reading, 1031, 1 << 20), lambda: numbered(number, reading, (1 << 32) | 1031, 1 << 20)])


@attack("an older kind of memory: personality with code in data", "anyone")
def personality(_world: World) -> object:
    return first([lambda: syscall("personality", 0xFFFFFFFF), lambda: syscall("personality", 0x0400000 | 0x0040000)])


@attack("the processor's ports: iopl and ioperm", "root")
def ports(_world: World) -> object:
    return first([lambda: syscall("iopl", 0), lambda: syscall("ioperm", 0x80, 1, 0)])


@attack("the kernel's log", "root")
def log(_world: World) -> int:
    return syscall("syslog", 10, 0, 0)


@attack("old and rare calls: quotas, accounting, cookies, hang-ups, module lists", "root")
def rare(_world: World) -> object:
    return first([
        lambda: syscall("quotactl", 0x80000100, BAD, 0, BAD), lambda: syscall("acct", BAD), lambda: syscall("lookup_dcookie", 0, BAD, 1),
        lambda: syscall("quotactl_fd", -1, 0x80000100, 0, BAD),
    ])  # fmt: skip


@attack("other processes compared and advised: kcmp, process_madvise", "anyone")
def compare(_world: World) -> object:
    me = os.getpid()
    return first([
        lambda: syscall("kcmp", me, me, 2, 0, 0), lambda: syscall("process_madvise", os.pidfd_open(me), BAD, 0, 4, 0),
    ])  # fmt: skip


@attack("a listener for other processes' system calls: seccomp's user notification", "anyone")
def notification(_world: World) -> int:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    allow = ctypes.create_string_buffer(bytes((6, 0, 0, 0, 0, 0, 255, 127)))
    libc.prctl(38, 1, 0, 0, 0)
    return syscall("seccomp", 1, 8, ctypes.byref(Program(1, ctypes.addressof(allow))))


@attack("past the filter by the x32 ABI: the same call, its number with bit 30 set", "", dies=True)
def x32(_world: World) -> object:
    if os.uname().machine != "x86_64":
        raise Held("there is no such ABI on this processor")
    return each(lambda number, words: numbered(0x40000000 | number, *words), (521, 41, 272), ((0, 0, 0, 0), (2, 1, 0), (_USER,)))


@attack("past the filter by the 32-bit ABI: int 0x80, socket and ptrace by their old numbers", "", dies=True)
def ia32(_world: World) -> str:
    if os.uname().machine != "x86_64":
        raise Held("there is no such instruction on this processor")
    result = _old_call(359, 2, 1)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return f"socket {result}"


def _old_call(number: int, first_word: int, second_word: int) -> int:
    """int 0x80 with a number and two words."""
    code = b"\x53" + b"\xb8" + number.to_bytes(4, "little") + b"\xbb" + first_word.to_bytes(4, "little")
    code += b"\xb9" + second_word.to_bytes(4, "little") + b"\x31\xd2\xcd\x80\x5b\xc3"
    room = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    room.write(code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(room))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(place)())


@attack("page zero mapped, for a kernel that follows a null pointer")
def page_zero(_world: World) -> str:
    got = syscall("mmap", 0, 4096, 3, 0x32, -1, 0)
    return f"mapped at {got:#x}"


@attack("memory hidden from the kernel itself, which cannot be counted by looking")
def secret_memory(_world: World) -> str:
    descriptor = syscall("memfd_secret", 0)
    os.ftruncate(descriptor, 1 << 30)
    return "a gigabyte"


@attack("another task's words, left in memory that is handed out uncleaned")
def stale_memory(_world: World) -> str:
    room = mmap.mmap(-1, 8 << 20)
    left = [name for name, place in (("memory", None), ("/tmp", "/tmp/.sublet-stale")) if _dirty(room, place)]
    if not left:
        raise Held("all zero")
    return ", ".join(left)


def _dirty(room: mmap.mmap, place: str | None) -> bool:
    if place is None:
        return any(room[at] for at in range(0, len(room), 512))
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, 1 << 20)
    found = any(os.read(descriptor, 1 << 20))
    os.close(descriptor)
    os.unlink(place)
    return found


@attack("every call number there is that this list forgot: which of the dangerous ones are not refused by the filter", "anyone")
def forgotten(_world: World) -> str:
    """With words of nonsense, the refusal of the filter is told from the kernel's own by its error."""
    if os.uname().machine != "x86_64" or sys.maxsize < 2**32:
        raise Held("the list is for x86-64")
    let_through = []
    for number in (*_DANGEROUS,):
        try:
            numbered(number, -1, BAD, BAD, BAD, BAD, BAD)
        except OSError as no:
            if no.errno in (errno.EPERM, errno.ENOSYS):
                continue
        let_through.append(number)
    if not let_through:
        raise Held("all refused")
    return f"numbers {let_through}"


@attack("calls of newer kernels, which no list of names knows yet: mounts, attributes, namespaces", "anyone")
def unheard_of(_world: World) -> str:
    known = []
    for number in range(463, 490):
        try:
            numbered(number, -1, BAD, BAD, BAD, BAD, BAD)
        except OSError as no:
            if no.errno == errno.ENOSYS:
                continue
        known.append(number)
    if not known:
        raise Held("there are none")
    return f"numbers {known}"


_DANGEROUS = (101, 155, 161, 165, 166, 175, 176, 246, 248, 249, 250, 298, 300, 303, 304, 310, 311, 312, 313, 320, 321, 323, 425, 426, 427,
              428, 429, 430, 431, 432, 433, 438, 440, 442, 443)  # fmt: skip
