"""Attacks by appetite: memory, processes, room on disk, descriptors. Each has a cap of its own, well below what could hurt a machine."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import threading
import time
from pathlib import Path

from tests.hostile.sandboxed.kit import Held, World, attack, libc

_MB = 1 << 20


@attack("more processes than may be: forks up to a cap of its own")
def forks(world: World) -> str:
    children: list[int] = []
    cap = 2 * world["processes"]
    try:
        while len(children) < cap:
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    except OSError as no:
        raise Held(f"{no} after {len(children)}") from None
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return f"{cap} processes"


@attack("more threads than may be, up to a cap of its own")
def threads(world: World) -> str:
    stop, count = threading.Event(), 0
    threading.stack_size(64 << 10)
    try:
        for _ in range(2 * world["processes"]):
            threading.Thread(target=stop.wait, daemon=True).start()
            count += 1
    except RuntimeError as no:
        raise Held(f"{no} after {count}") from None
    finally:
        stop.set()
    return f"{count} threads"


@attack("a file longer than may be")
def long_file(world: World) -> str:
    place = Path("/tmp/.sublet-long")
    try:
        with place.open("wb", buffering=0) as file:
            os.ftruncate(file.fileno(), (world["file_mb"] + 1) * _MB)
    finally:
        place.unlink()
    return "made"


@attack("the two small places filled, up to four times their size", dies=False)
def fill_places(world: World) -> str:
    told = []
    for folder in ("/tmp", "/dev/shm"):
        written = _fill(Path(folder), 4 * world["tmp_mb"], world["file_mb"])
        if written > world["tmp_mb"]:
            return f"{written} MB in {folder}"
        told.append(f"{folder} full at {written} MB")
    raise Held(", ".join(told))


def _fill(folder: Path, cap: int, each: int) -> int:
    places: list[Path] = []
    written = 0
    try:
        while written < cap:
            places.append(folder / f".sublet-fill-{len(places)}")
            with places[-1].open("wb", buffering=0) as file:
                for _ in range(each):
                    written += file.write(bytes(_MB)) == _MB
    except OSError:
        return written
    finally:
        for place in places:
            place.unlink(missing_ok=True)
    return written


@attack("private memory, four times what may be", dies=True)
def private_memory(world: World) -> str:
    room = mmap.mmap(-1, 4 * world["ram_mb"] * _MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(room), 4096):
        room[at] = 1
    return f"{len(room) // _MB} MB"


@attack("descriptors by the thousand")
def many_descriptors(_world: World) -> str:
    taken: list[int] = []
    try:
        taken.extend(os.dup(0) for _ in range(4096))
    except OSError as no:
        raise Held(f"{no} after {len(taken)}") from None
    finally:
        for descriptor in taken:
            os.close(descriptor)
    return f"{len(taken)} of them"


@attack("the owner's share of descriptors in flight: as many as an ordinary program may ever have, sent and never taken")
def descriptors_in_flight(_world: World) -> str:
    ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(8)]
    one, sent = os.open("/dev/null", os.O_RDONLY), 0
    try:
        while sent < 1_024:
            for here, _there in ends:
                socket.send_fds(here, [b"x"], [one] * 100, socket.MSG_DONTWAIT)
                sent += 100
    except OSError as no:
        if sent < 700:  # an ordinary program may have 1,024
            raise Held(f"{no} after {sent}") from None
    return f"{sent} in flight"


@attack("signals queued by the ten thousand, which are counted against the owner")
def queued_signals(_world: World) -> str:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
    count, cap = 0, 20_000
    while count < cap and libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), ctypes.c_void_p(0)) == 0:
        count += 1
    if count < cap:
        raise Held(f"no more after {count}")
    return f"{count} queued"


@attack("queues for messages, which are counted against the owner")
def message_queues(_world: World) -> str:
    room = resource.getrlimit(resource.RLIMIT_MSGQUEUE)[1]
    if room == 0:
        raise Held("no room for one")
    return f"{room} bytes of room"


@attack("memory locked, beyond an eighth of what may be had")
def locked_memory(world: World) -> str:
    size = world["ram_mb"] * _MB
    room = mmap.mmap(-1, size)
    if libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(room))), ctypes.c_size_t(size)) == 0:
        return "locked"
    raise Held(os.strerror(ctypes.get_errno()))


@attack("a dump of memory left on the disk by a crash")
def core_dump(_world: World) -> str:
    pid = os.fork()
    if pid == 0:
        os.chdir("/tmp")
        os.kill(os.getpid(), signal.SIGSEGV)
    _, status = os.waitpid(pid, 0)
    left = [place.name for place in Path("/tmp").iterdir() if "core" in place.name]
    if not os.WCOREDUMP(status) and not left:
        raise Held("none was made")
    return str(left)


@attack("dumps for the program that collects them: the limit of one byte, which stops it, lowered to none, which does not", "anyone")
def feed_dumps(_world: World) -> str:
    if resource.getrlimit(resource.RLIMIT_CORE)[0] not in (0, 1):
        return "there is no limit"
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ValueError as no:
        raise Held(str(no)) from None
    return "it is none now"


@attack("a processor all to itself: it may run, but only behind everything else")
def niceness(_world: World) -> str:
    nice, policy = os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)
    if nice >= 10 and policy in (os.SCHED_OTHER, os.SCHED_BATCH, os.SCHED_IDLE):
        raise Held(f"nice {nice}, policy {policy}")
    return f"nice {nice}, policy {policy}"
