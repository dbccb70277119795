"""Attacks on what lies on the owner's disk: reading what is the owner's, and writing anywhere but in the two small places."""

import ctypes
import json
import os
import stat
import sys
from pathlib import Path

from tests.hostile.sandboxed.kit import BAD, Held, World, attack, each, first, syscall

_WRITABLE = ("/tmp", "/dev/shm")
_NODES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx"}


def _read(place: str) -> str:
    return Path(place).read_bytes()[:100].decode("latin-1") + f" read from {place}"


def _write(place: str) -> str:
    with Path(place).open("r+b") as file:
        file.write(b"x")
    return f"wrote to {place}"


def _create(folder: str) -> str:
    place = Path(folder) / ".sublet-attack"
    place.touch(exist_ok=False)
    place.unlink()
    return f"made a file in {folder}"


@attack("the owner's keys, wallet, cookies and documents, by their paths", "anyone")
def home_files(world: World) -> object:
    return each(_read, world["files"].values())


@attack("a list of the owner's folders", "anyone")
def home_folders(world: World) -> object:
    return each(os.listdir, world["folders"].values())


@attack("the blob of another task", "anyone")
def other_blob(world: World) -> str:
    return _read(world["files"]["blob"])


@attack("the machine's accounts and their passwords", "root")
def shadow(_world: World) -> object:
    return each(_read, [f"/etc/{name}" for name in ("shadow", "gshadow", "passwd", "ssh/ssh_host_ed25519_key", "machine-id", "hosts")])


@attack("the machine's logs, spools and states", "root")
def var(_world: World) -> object:
    return each(os.listdir, ("/var", "/run", "/root", "/home", "/mnt", "/media", "/boot", "/opt", "/srv"))


@attack("the same through process 1's view of the disk", "root")
def through_roots(world: World) -> object:
    roots = ("/proc/1/root", "/proc/1/cwd", "/proc/self/cwd/../..", "/proc/thread-self/root/..", f"/proc/{world['pid']}/root")
    return each(_read, [root + path for root in roots for path in (world["files"]["note"], "/etc/shadow")])


@attack("upwards from every descriptor that was inherited")
def through_descriptors(world: World) -> object:
    def from_here(descriptor: int) -> object:
        above = os.open("../" * 20 + world["files"]["note"].lstrip("/"), os.O_RDONLY, dir_fd=descriptor)
        return os.read(above, 100)

    return each(from_here, range(64))


@attack("a descriptor besides those for input and output, and the worker's own")
def descriptors(world: World) -> str:
    targets = {}
    for number in set(range(3, 1024)) - {world["line"]}:
        try:
            targets[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
    odd = [where for where in targets.values() if not where.startswith("pipe:")]
    if not odd and len(targets) <= 1:  # the pipe to the runner
        raise Held("none")
    return str(targets)


@attack("a file by its handle, past every path (CAP_DAC_READ_SEARCH, the way out of old Docker)", "root")
def by_handle(_world: World) -> object:
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(140))
    mount = ctypes.c_int()
    root = os.open("/", os.O_RDONLY)

    def named() -> int:
        return syscall("name_to_handle_at", root, ctypes.c_char_p(b"usr"), handle, ctypes.byref(mount), 0)

    def opened() -> int:
        words = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + (2).to_bytes(8, "little")  # inode 2: the root of the disk
        return syscall("open_by_handle_at", root, ctypes.create_string_buffer(words), os.O_RDONLY)

    return first([named, opened])


@attack("a write to the system, the interpreter, the packages or our own program", "root")
def system_files(_world: World) -> object:
    packages = [entry for entry in sys.path if entry.endswith("-packages")]
    places = ("/usr", "/usr/bin", "/usr/lib", "/", "/app", "/app/desktop_app", "/etc", "/sys", "/proc", "/proc/sys", "/dev", "/in")
    return each(_create, [*places, str(Path(json.__file__).parent), *packages])


@attack("a write to any folder at all but the two that are given")
def any_folder(_world: World) -> str:
    made = []
    for folder, inside, _ in os.walk("/"):
        if folder.startswith(("/proc/", *_WRITABLE)) or len(Path(folder).parts) > 4:
            inside.clear()
        else:
            try:
                made.append(_create(folder))
            except OSError:
                continue
    if not made:
        raise Held("none takes one")
    return ", ".join(made)


@attack("a change to the task's own input: its bytes, its length, its rights, its times", "anyone")
def own_input(world: World) -> object:
    place = "/in/data" if Path("/in/data").exists() else world["input"]
    again = os.open(place, os.O_RDONLY)
    return first([
        lambda: _write(place), lambda: _write(f"/proc/self/fd/{again}"), lambda: os.truncate(place, 0), lambda: os.chmod(place, 0o777),
        lambda: os.utime(place, (0, 0)), lambda: os.setxattr(place, "user.sublet", b"x"), lambda: os.rename(place, place + "2"),
        lambda: os.unlink(place),
    ])  # fmt: skip


@attack("a second name for the input, or a symbolic one that our own program would follow")
def links(_world: World) -> object:
    os.symlink("/etc/shadow", "/tmp/.sublet-link")
    return first([
        lambda: os.link("/in/data", "/tmp/.sublet-hard"), lambda: os.link("/usr/bin/env", "/tmp/.sublet-hard"),
        lambda: os.symlink("/etc", "/in/link"), lambda: _read("/tmp/.sublet-link"),
    ])  # fmt: skip


@attack("a write over the interpreter, by the name of the running program")
def own_program(_world: World) -> object:
    places = ("/proc/self/exe", "/proc/1/exe", f"/proc/{os.getppid()}/exe")
    return each(_write, places)


@attack("the kernel's settings and its emergency keys", "root")
def kernel_settings(_world: World) -> object:
    def opened(place: str) -> str:
        os.close(os.open(place, os.O_WRONLY))  # opened, not written: outside it would count
        return f"may write {place}"

    places = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe", "/proc/sys/vm/drop_caches",
              "/proc/sys/net/ipv4/ip_forward", "/proc/irq/0/smp_affinity", "/sys/kernel/uevent_helper", "/sys/power/state",
              "/sys/devices/system/cpu/cpu0/online", "/proc/sys/user/max_user_namespaces")  # fmt: skip
    return each(opened, places)


@attack("the kernel's memory, messages and secrets in /proc and /sys", "root")
def kernel_memory(_world: World) -> object:
    def read(place: str) -> str:
        with Path(place).open("rb") as file:
            told = file.read(16)
        if not told:
            raise Held("covered by nothing")
        return f"{told!r} from {place}"

    places = ("/proc/kcore", "/proc/kmsg", "/proc/vmcore", "/proc/slabinfo", "/proc/kpagecount", "/sys/kernel/debug/x",
              "/sys/firmware/efi/efivars", "/sys/class/dmi/id/product_uuid", "/sys/kernel/security/lockdown")  # fmt: skip
    return each(read, places)


@attack("when the owner types, by the counts of the keyboard's interrupts", "anyone")
def interrupts(_world: World) -> str:
    counts = Path("/proc/interrupts").read_bytes() if Path("/proc/interrupts").exists() else b""
    counts += b"".join(line for line in Path("/proc/stat").read_bytes().splitlines() if line.startswith((b"intr", b"softirq")))
    if not counts:
        raise Held("nothing is told")
    return f"{len(counts)} bytes of counts"


@attack("what the owner has: disks, swap files, keyboards, locked files, how the machine was started", "anyone")
def inventory(_world: World) -> str:
    told = [name for name in ("cmdline", "partitions", "diskstats", "swaps", "locks", "bus/input/devices") if _told(f"/proc/{name}")]
    if not told:
        raise Held("nothing is told")
    return ", ".join(told)


def _told(place: str) -> bool:
    try:
        return len(Path(place).read_bytes().splitlines()) > ("swaps" in place)  # a headline
    except OSError:
        return False


@attack("the addresses of the kernel, and what others keep in its keyrings", "root")
def kernel_addresses(_world: World) -> object:
    symbols = [line for line in Path("/proc/kallsyms").read_text().splitlines()[:50] if not line.startswith("0000000000000000")]
    keys = Path("/proc/keys").read_text().splitlines() if Path("/proc/keys").exists() else []
    found = symbols[:1] + [line for line in keys if "keyring" not in line]
    if not found:
        raise Held("all zero, no keys")
    return found


@attack("a device node of one's own: the disk, the memory", "root")
def make_nodes(_world: World) -> object:
    def make(kind: int, major: int, minor: int) -> str:
        place = Path(f"/tmp/.sublet-node-{os.getpid()}")
        os.mknod(place, kind | 0o666, os.makedev(major, minor))
        place.unlink()
        return "made"

    return each(make, (stat.S_IFBLK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFCHR), (8, 1, 254, 195), (0, 1, 0, 0))


@attack("a device besides the harmless seven: disks, memory, cards, input, virtual machines", "anyone")
def devices(_world: World) -> str:
    found = []
    for folder, inside, names in os.walk("/dev"):
        inside[:] = [name for name in inside if not (Path(folder) / name).is_symlink() and name not in ("fd", "pts")]
        for name in names:
            kind = (Path(folder) / name).lstat().st_mode
            if (stat.S_ISCHR(kind) or stat.S_ISBLK(kind)) and name not in _NODES:
                found.append(f"{folder}/{name}")
    if not found:
        raise Held("there is none")
    return ", ".join(found[:10])


@attack("the machine's memory, disk or display, by their usual nodes", "root")
def usual_nodes(_world: World) -> object:
    names = "mem kmsg port kvm fuse sda vda nvme0n1 dri/card0 dri/renderD128 vcs tty0 input/event0 uinput snd/controlC0 video0 hpet"
    names += " nvidia0 nvidiactl nvidia-uvm nvidia-modeset nvidia-caps/nvidia-cap1 loop-control vhost-net userfaultfd rtc0 tpm0"
    return each(lambda name: os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK)), names.split())


def _mount(source: bytes | int, target: bytes, kind: bytes | int, flags: int) -> int:
    words = [ctypes.c_char_p(word) if isinstance(word, bytes) else word for word in (source, target, kind)]
    return syscall("mount", *words, flags, 0)


@attack("a mount: a new tmpfs, the disk, /proc again", "root")
def mounts(_world: World) -> object:
    return first([
        lambda: _mount(b"none", b"/tmp", b"tmpfs", 0), lambda: _mount(b"none", b"/tmp", b"proc", 0),
        lambda: _mount(b"/dev/vda", b"/tmp", b"ext4", 1), lambda: _mount(b"/", b"/tmp", 0, 0x1000),
    ])  # fmt: skip


@attack("the walls made writable: a remount of what is read-only", "root")
def remounts(_world: World) -> object:
    places = (b"/usr", b"/dev", b"/proc/sys", b"/", b"/app")
    return each(lambda place: _mount(0, place, 0, 0x20 | 0x1000), places)


@attack("what lies beneath: /tmp or /proc/sys unmounted")
def unmounts(_world: World) -> object:
    return each(lambda place: syscall("umount2", ctypes.c_char_p(place), 2), (b"/tmp", b"/proc/sys", b"/usr", b"/dev/shm"))


@attack("the newer calls for mounts", "root")
def newer_mounts(_world: World) -> object:
    return first([
        lambda: syscall("fsopen", ctypes.c_char_p(b"tmpfs"), 0), lambda: syscall("open_tree", -100, ctypes.c_char_p(b"/"), 1),
        lambda: syscall("move_mount", -100, BAD, -100, BAD, 0), lambda: syscall("fspick", -100, ctypes.c_char_p(b"/"), 0),
        lambda: syscall("mount_setattr", -100, ctypes.c_char_p(b"/usr"), 0, ctypes.create_string_buffer(32), 32),
    ])  # fmt: skip


@attack("another root: chroot and pivot_root", "root")
def other_root(_world: World) -> object:
    return first([lambda: os.chroot("/tmp"), lambda: syscall("pivot_root", ctypes.c_char_p(b"/tmp"), ctypes.c_char_p(b"/tmp"))])
