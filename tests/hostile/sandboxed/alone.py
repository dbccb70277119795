"""Programs that need a sandbox to themselves: they end it, leave something for the next, or are to be found by another.

argv[1] names the function; what it prints is what it gained. Each has a cap of its own. Started by `inside`.
"""

import mmap
import os
import signal
import socket
import sys
import time
from pathlib import Path

_MB = 1 << 20
_ROOM = ("/tmp", "/dev/shm")


def shared_memory(cap_mb: int) -> str:
    """Shared memory, mapped and touched: limits on private memory do not see it."""
    room = mmap.mmap(-1, cap_mb * _MB)
    for at in range(0, len(room), _MB):
        room[at : at + _MB] = b"x" * _MB
    hold()
    return f"{cap_mb} MB"


def unmapped_memory(cap_mb: int) -> str:
    """Files in memory that are never mapped: no process' own figures show them."""
    held = []
    for _ in range(cap_mb // 8):
        held.append(os.memfd_create("room"))
        for _ in range(8):
            os.write(held[-1], b"x" * _MB)
    hold()
    return f"{cap_mb} MB"


def plant(_cap_mb: int) -> str:
    """Everything that might start with the next program, or that it might find."""
    planted = []
    text = "raise SystemExit('planted')\n"
    names = ("sitecustomize.py", "usercustomize.py", "json.py", "evil.pth", ".bashrc", ".pythonrc", ".config/x", "core")
    here = Path(__file__).parent
    searched = [entry for entry in sys.path if entry]
    for folder in dict.fromkeys((*_ROOM, "/app", str(here), "/in", *searched, "/usr/lib/python3/dist-packages", "/etc", "/proc/self/cwd")):
        for name in names:
            try:
                place = Path(folder) / name
                place.parent.mkdir(exist_ok=True)
                place.write_text(text)
            except OSError:
                continue
            planted.append(str(place))
    for loaded in ("/etc/ld.so.preload", "/etc/ld.so.cache", "/dev/shm/sem.x", "/dev/mqueue/x"):
        try:
            Path(loaded).write_text("/tmp/evil.so")
        except OSError:
            continue
        planted.append(loaded)
    return f"planted {len(planted)}"


def look(_cap_mb: int) -> str:
    """What an earlier program left."""
    found = [str(place) for folder in _ROOM for place in Path(folder).iterdir()]
    found += [name for name in ("sitecustomize", "usercustomize") if name in sys.modules]
    found += [name for name in ("LD_PRELOAD", "PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME") if name in os.environ]
    found += [line.split()[-1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return f"found {found}" if found else "nothing"


def detached(_cap_mb: int) -> str:
    """A family that leaves its session, its group and its parents, and does not listen to signals."""
    for _ in range(4):
        if os.fork() == 0:
            os.setsid()
            for number in range(1, 32):
                if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.setsid()
                if os.fork():
                    os._exit(0)
            forever()
    forever()
    return ""


def meet(_cap_mb: int) -> str:
    """Opens doors for another sandbox, or another task, to be found by."""
    ends = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for end, address in zip(ends, ("\0sublet-meeting", "/tmp/meeting"), strict=True):
        end.bind(address)
        end.listen()
    Path("/dev/shm/meeting").write_text("here")
    print("ready", flush=True)
    forever()
    return ""


def seek(_cap_mb: int) -> str:
    """Looks for the other."""
    found = [place for place in ("/tmp/meeting", "/dev/shm/meeting") if Path(place).exists()]
    for address in ("\0sublet-meeting", "/tmp/meeting"):
        with socket.socket(socket.AF_UNIX) as one:
            if one.connect_ex(address) == 0:
                found.append(repr(address))
    found += [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in (1, os.getpid())]
    return f"found {found}" if found else "nothing"


def identify(_cap_mb: int) -> str:
    """Numbers by which the machine and its owner are known elsewhere, in what the kernel tells of its devices."""
    found = []
    for folder, _, names in os.walk("/sys/devices"):
        for name in {"address", "serial", "product_uuid", "product_serial", "board_serial", "uniq", "serial_number"} & set(names):
            try:
                told = (Path(folder) / name).read_text().strip()
            except (OSError, UnicodeDecodeError):
                continue
            if told.strip("0:. "):
                found.append(f"{folder}/{name}")
    return f"found {sorted(found)[:5]}" if found else "nothing"


def hold() -> None:
    """For twenty seconds in which this machine runs: what looks for it now and then must come to look."""
    for _ in range(200):
        time.sleep(0.1)


def forever() -> None:
    while True:
        time.sleep(60)


PROGRAMS = {one.__name__: one for one in (shared_memory, unmapped_memory, plant, look, detached, meet, seek, identify)}

if __name__ == "__main__":
    print(PROGRAMS[sys.argv[1]](int(sys.argv[2])), flush=True)
