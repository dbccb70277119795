"""A worker on Windows: shut into a Job Object, which bounds it and dies with us. The level *contained*, not *isolated*.

UNPROVEN: written from Microsoft's documentation and tested through its calls (tests/adapters/test_supervisor_job_object.py),
not yet run on Windows. Until it was, `elsewhere` starts no task, and nothing calls this.

What it holds: memory, number of processes, the user's windows, clipboard and session, a death with the agent, a prompt end.
What it does not hold: the worker reads what its user may read, and reaches the network. So it is for kinds of the catalogue
only, whose code is ours, and only with the owner's word (`refusal`). The arena is a section of fixed size that the worker
inherits, in place of a sealed memfd; messages go through two pipes, cut into packets by `wire.ipc.Packets`.
"""

import ctypes
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from desktop_app.core.errors import AppError
from desktop_app.wire.bundle import catalogue

Kernel = Callable[..., int]
"""Calls a function of kernel32 by its name; 0 is a failure, except for waits."""

_U16, _U32, _I32, _I64, _SIZE, _POINTER = (
    ctypes.c_uint16, ctypes.c_uint32, ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t, ctypes.c_void_p,
)  # fmt: skip

_EXTENDED_LIMITS, _UI_RESTRICTIONS = 9, 4  # JOBOBJECTINFOCLASS
_LIMITS = 0x2000 | 0x400 | 0x200 | 0x100 | 0x20 | 0x8
"""KILL_ON_JOB_CLOSE, DIE_ON_UNHANDLED_EXCEPTION, JOB_MEMORY, PROCESS_MEMORY, PRIORITY_CLASS, ACTIVE_PROCESS; no BREAKAWAY."""
_EVERY_RESTRICTION = 0xFF  # handles, clipboard both ways, system parameters, display, global atoms, desktops, log-off
_BELOW_NORMAL = 0x4000
_CREATION = 0x4 | 0x400 | 0x80000 | 0x8000000 | _BELOW_NORMAL
"""CREATE_SUSPENDED, UNICODE_ENVIRONMENT, EXTENDED_STARTUPINFO_PRESENT, NO_WINDOW."""
_USE_HANDLES = 0x100  # STARTF_USESTDHANDLES
_HANDLE_LIST = 0x20002  # PROC_THREAD_ATTRIBUTE_HANDLE_LIST
_INHERIT = 1  # HANDLE_FLAG_INHERIT
_READ_WRITE_PAGES, _READ_WRITE_VIEW = 4, 6
_NO_FILE = (1 << 64) - 1  # INVALID_HANDLE_VALUE
_FAILED = 0xFFFFFFFF
_GIVES_HANDLES = frozenset({"CreateJobObjectW", "CreateFileMappingW", "MapViewOfFile"})


class Security(ctypes.Structure):
    """SECURITY_ATTRIBUTES."""

    _fields_ = (("size", _U32), ("descriptor", _POINTER), ("inherit", _I32))


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_time", _I64), ("job_time", _I64), ("flags", _U32), ("least_set", _SIZE), ("most_set", _SIZE), ("processes", _U32),
        ("affinity", _SIZE), ("priority", _U32), ("scheduling", _U32),
    )  # fmt: skip


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("basic", BasicLimits), ("io", ctypes.c_uint64 * 6), ("process_memory", _SIZE), ("job_memory", _SIZE),
        ("peak_process", _SIZE), ("peak_job", _SIZE),
    )  # fmt: skip


class Startup(ctypes.Structure):
    """STARTUPINFOEXW."""

    _fields_ = (
        ("size", _U32), ("reserved", _POINTER), ("desktop", _POINTER), ("title", _POINTER), ("places", _U32 * 7), ("flags", _U32),
        ("show", _U16), ("reserved_size", _U16), ("reserved_2", _POINTER), ("input", _POINTER), ("output", _POINTER),
        ("error", _POINTER), ("attributes", _POINTER),
    )  # fmt: skip


class Started(ctypes.Structure):
    """PROCESS_INFORMATION."""

    _fields_ = (("process", _POINTER), ("thread", _POINTER), ("pid", _U32), ("thread_id", _U32))


@dataclass(frozen=True, slots=True)
class Order:
    """What to start. `lent` are all the handles it gets, `output` (its stdout and stderr) among them; each must be inheritable."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str
    output: int
    lent: tuple[int, ...]
    ram_mb: int
    processes: int = 1


def refusal(kind: str, consented: bool) -> str | None:
    """Why a task of this kind must not run here, or None."""
    if not consented:
        return "the owner has not agreed to tasks that are contained, but not isolated"
    return None if kind in catalogue() else "only kinds of the catalogue run where a task is contained, but not isolated"


class Job:
    """One worker, running from the moment this exists. AppError when Windows refuses; then nothing of it is left."""

    def __init__(self, kernel: Kernel, order: Order) -> None:
        self._kernel = kernel
        self._job = self._process = 0
        self._thread = 0
        self.pid = 0
        try:
            self._job = must(kernel, "CreateJobObjectW", None, None)
            self._bound(order)
            self._create(order)
            must(kernel, "AssignProcessToJobObject", self._job, self._process)
            if kernel("ResumeThread", self._thread) & _FAILED == _FAILED:
                raise _refused(kernel, "ResumeThread")
        except AppError:
            if self._process:  # it may not be in the job yet, whose end would be its own
                kernel("TerminateProcess", self._process, 1)
            self.close()
            raise

    def kill(self) -> None:
        """End all of it at once; may be asked again."""
        self._kernel("TerminateJobObject", self._job, 1)

    def wait_gone(self, seconds: float) -> bool:
        """Wait until the worker has ended; whether it has. With one process allowed, nothing else is in the job."""
        return self._kernel("WaitForSingleObject", self._process, round(1000 * seconds)) == 0

    def close(self) -> None:
        """Let go; the job's last handle ends whatever still is in it."""
        for handle in (self._thread, self._process, self._job):
            if handle:
                self._kernel("CloseHandle", handle)
        self._thread = self._process = self._job = 0

    def _bound(self, order: Order) -> None:
        memory = order.ram_mb << 20
        basic = BasicLimits(flags=_LIMITS, processes=order.processes, priority=_BELOW_NORMAL)
        limits = ExtendedLimits(basic=basic, process_memory=memory, job_memory=memory)
        _tell(self._kernel, self._job, _EXTENDED_LIMITS, limits)
        _tell(self._kernel, self._job, _UI_RESTRICTIONS, _U32(_EVERY_RESTRICTION))

    def _create(self, order: Order) -> None:
        """The process, suspended, with just the handles it is lent."""
        kernel, size = self._kernel, _SIZE()
        kernel("InitializeProcThreadAttributeList", None, 1, 0, ctypes.byref(size))  # fails, and says how much room it wants
        attributes = ctypes.create_string_buffer(size.value)
        must(kernel, "InitializeProcThreadAttributeList", attributes, 1, 0, ctypes.byref(size))
        try:
            lent = (_POINTER * len(order.lent))(*order.lent)
            must(kernel, "UpdateProcThreadAttribute", attributes, 0, _HANDLE_LIST, lent, ctypes.sizeof(lent), None, None)
            startup = Startup(size=ctypes.sizeof(Startup), flags=_USE_HANDLES, output=order.output, error=order.output)
            startup.attributes = ctypes.addressof(attributes)
            line = ctypes.create_unicode_buffer(subprocess.list2cmdline(order.command))
            block = ctypes.create_unicode_buffer("".join(f"{name}={value}\0" for name, value in sorted(order.environment.items())))
            started = Started()
            must(
                kernel, "CreateProcessW", None, line, None, None, 1, _CREATION, block, order.folder,
                ctypes.byref(startup), ctypes.byref(started),
            )  # fmt: skip
        finally:
            kernel("DeleteProcThreadAttributeList", attributes)
        self._process, self._thread, self.pid = started.process, started.thread, started.pid


class Section:
    """The arena's memory: as large as it is for ever, zeroes at first. `handle` is for the worker to inherit."""

    def __init__(self, kernel: Kernel, size: int) -> None:
        self._kernel, self.size = kernel, size
        security = Security(size=ctypes.sizeof(Security), inherit=1)
        self.handle = must(
            kernel, "CreateFileMappingW", _NO_FILE, ctypes.byref(security), _READ_WRITE_PAGES, size >> 32, size & _FAILED, None
        )
        try:
            self._view = must(kernel, "MapViewOfFile", self.handle, _READ_WRITE_VIEW, 0, 0, size)
        except AppError:
            kernel("CloseHandle", self.handle)
            raise

    def read(self, at: int, length: int) -> bytes:
        """A private copy. ValueError outside the section."""
        return ctypes.string_at(self._place(at, length), length)

    def write(self, at: int, data: bytes) -> None:
        """ValueError outside the section."""
        ctypes.memmove(self._place(at, len(data)), data, len(data))

    def close(self) -> None:
        """Let go of the memory."""
        self._kernel("UnmapViewOfFile", self._view)
        self._kernel("CloseHandle", self.handle)

    def _place(self, at: int, length: int) -> int:
        if not 0 <= at <= at + length <= self.size:
            raise ValueError("outside the section")
        return self._view + at


def pipe(kernel: Kernel, *, lend_reader: bool) -> tuple[int, int]:
    """Both ends of a pipe, (reader, writer); only the one that is the worker's can be inherited."""
    ends = (_POINTER(), _POINTER())
    must(kernel, "CreatePipe", ctypes.byref(ends[0]), ctypes.byref(ends[1]), None, 0)
    reader, writer = (end.value or 0 for end in ends)
    try:
        must(kernel, "SetHandleInformation", reader if lend_reader else writer, _INHERIT, _INHERIT)
    except AppError:
        for handle in (reader, writer):
            kernel("CloseHandle", handle)
        raise
    return reader, writer


def must(kernel: Kernel, name: str, *arguments: object) -> int:
    """The call's answer. AppError when it is a failure."""
    answer = kernel(name, *arguments)
    if not answer:
        raise _refused(kernel, name)
    return answer


def _tell(kernel: Kernel, job: int, what: int, value: "ctypes.Structure | ctypes.c_uint32") -> None:
    must(kernel, "SetInformationJobObject", job, what, ctypes.byref(value), ctypes.sizeof(value))


def _refused(kernel: Kernel, name: str) -> AppError:
    advice = f"Windows refused {name} (error {kernel('GetLastError')}). Sharing waits; restarting Windows may help."
    return AppError("A task could not be shut in.", advice)


if sys.platform == "win32":

    def kernel32() -> Kernel:
        """The real one. Numbers travel as wide as a handle: every argument has eight bytes of its own on 64-bit Windows."""
        library = ctypes.WinDLL("kernel32", use_last_error=True)

        def call(name: str, *arguments: object) -> int:
            if name == "GetLastError":
                return ctypes.get_last_error()
            function = getattr(library, name)
            function.restype = _POINTER if name in _GIVES_HANDLES else _I32
            return int(function(*(_POINTER(one) if isinstance(one, int) else one for one in arguments)) or 0)

        return call
