"""The Job Object's calls, in their order and with their bytes, against a recording stand-in for kernel32, which exists on Windows only."""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pytest

from desktop_app.adapters.supervisor import job_object as job
from desktop_app.core.errors import AppError
from desktop_app.wire.bundle import catalogue

ORDER = job.Order(
    ("C:\\Program Files\\Sublet\\python.exe", "-I", 'say "hello"'),
    {"SYSTEMROOT": "C:\\Windows", "A": "1"},
    "C:\\work",
    40,
    (40, 41, 42),
    512,
)
JOB, PROCESS, THREAD, SECTION, READER, WRITER = 101, 102, 103, 104, 105, 106


@dataclass
class Kernel:
    """Answers as Windows does, remembers every call; the one called `fails` says no with error 5."""

    fails: str = ""
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    running: set[int] = field(default_factory=set)
    told: dict[int, bytes] = field(default_factory=dict)
    created: dict[str, Any] = field(default_factory=dict)
    memory: Any = None

    def __call__(self, name: str, *arguments: Any) -> int:
        self.calls.append((name, arguments))
        if name == self.fails:
            return 0xFFFFFFFF if name == "ResumeThread" else 0
        return int(getattr(self, name, lambda *_: 1)(*arguments))

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def GetLastError(self) -> int:
        return 5

    def opened(self, handle: int) -> int:
        self.open.add(handle)
        return handle

    def CreateJobObjectW(self, security: None, name: None) -> int:
        return self.opened(JOB)

    def SetInformationJobObject(self, handle: int, what: int, value: Any, size: int) -> int:
        self.told[what] = ctypes.string_at(ctypes.addressof(value._obj), size)
        return 1

    def InitializeProcThreadAttributeList(self, room: Any, count: int, _: int, size: Any) -> int:
        size._obj.value = 48
        return 0 if room is None else 1

    def UpdateProcThreadAttribute(self, room: Any, _: int, what: int, value: Any, size: int, *__: None) -> int:
        self.created["lent"] = (what, list(value), size)
        return 1

    def CreateProcessW(self, *arguments: Any) -> int:
        _, line, _, _, inherit, flags, block, folder, startup, started = arguments
        self.created |= {"line": line.value, "inherit": inherit, "flags": flags, "block": block[:], "folder": folder}
        self.created["startup"] = job.Startup.from_buffer_copy(startup._obj)
        started._obj.process, started._obj.thread, started._obj.pid = self.opened(PROCESS), self.opened(THREAD), 4711
        self.running.add(PROCESS)
        return 1

    def ResumeThread(self, thread: int) -> int:
        return 1

    def WaitForSingleObject(self, handle: int, milliseconds: int) -> int:
        return 0x102 if handle in self.running else 0

    def TerminateJobObject(self, handle: int, status: int) -> int:
        self.running.clear()
        return 1

    def TerminateProcess(self, handle: int, status: int) -> int:
        self.running.discard(handle)
        return 1

    def CloseHandle(self, handle: int) -> int:
        self.open.remove(handle)
        return 1

    def CreateFileMappingW(self, file: int, security: Any, protect: int, high: int, low: int, name: None) -> int:
        assert (file, security._obj.inherit, security._obj.size, protect, name) == (2**64 - 1, 1, 24, 4, None)
        self.memory = ctypes.create_string_buffer((high << 32) + low)
        return self.opened(SECTION)

    def MapViewOfFile(self, handle: int, *_: int) -> int:
        return ctypes.addressof(self.memory)

    def CreatePipe(self, reader: Any, writer: Any, security: None, size: int) -> int:
        reader._obj.value, writer._obj.value = self.opened(READER), self.opened(WRITER)
        return 1


def test_the_structures_are_as_large_as_windows_says() -> None:
    sizes = {job.BasicLimits: 64, job.ExtendedLimits: 144, job.Startup: 112, job.Started: 24, job.Security: 24}
    assert {kind: ctypes.sizeof(kind) for kind in sizes} == sizes
    assert job.Startup.flags.offset == 60
    assert job.Startup.attributes.offset == 104


def test_the_worker_runs_only_when_it_is_bounded() -> None:
    kernel = Kernel()
    started = job.Job(kernel, ORDER)
    assert kernel.names() == [
        "CreateJobObjectW", "SetInformationJobObject", "SetInformationJobObject",
        "InitializeProcThreadAttributeList", "InitializeProcThreadAttributeList", "UpdateProcThreadAttribute",
        "CreateProcessW", "DeleteProcThreadAttributeList", "AssignProcessToJobObject", "ResumeThread",
    ]  # fmt: skip
    assert kernel.calls[-2][1] == (JOB, PROCESS)
    assert kernel.calls[-1][1] == (THREAD,)
    assert started.pid == 4711
    assert kernel.created["flags"] & 0x4, "CREATE_SUSPENDED"
    assert not kernel.created["flags"] & 0x01000000, "CREATE_BREAKAWAY_FROM_JOB"


def test_its_bounds_are_told_to_windows() -> None:
    kernel = Kernel()
    job.Job(kernel, ORDER)
    limits = job.ExtendedLimits.from_buffer_copy(kernel.told[9])
    flags = limits.basic.flags
    for name, bit in {"KILL_ON_JOB_CLOSE": 0x2000, "JOB_MEMORY": 0x200, "ACTIVE_PROCESS": 0x8, "DIE_ON_UNHANDLED_EXCEPTION": 0x400}.items():
        assert flags & bit, name
    assert not flags & (0x800 | 0x1000), "BREAKAWAY_OK, SILENT_BREAKAWAY_OK"
    assert (limits.job_memory, limits.process_memory, limits.basic.processes) == (512 << 20, 512 << 20, 1)
    assert kernel.told[4] == (0xFF).to_bytes(4, "little")


def test_it_inherits_just_what_it_is_lent() -> None:
    kernel = Kernel()
    job.Job(kernel, ORDER)
    assert kernel.created["lent"] == (0x20002, [40, 41, 42], 24)
    assert kernel.created["inherit"] == 1
    startup = kernel.created["startup"]
    assert (startup.size, startup.flags, startup.input, startup.output, startup.error) == (112, 0x100, None, 40, 40)


def test_its_environment_and_command_are_its_own() -> None:
    kernel = Kernel()
    job.Job(kernel, ORDER)
    assert kernel.created["block"] == "A=1\0SYSTEMROOT=C:\\Windows\0\0"
    assert kernel.created["line"] == '"C:\\Program Files\\Sublet\\python.exe" -I "say \\"hello\\""'
    assert kernel.created["folder"] == "C:\\work"


def test_the_end_of_a_job_is_waited_for_and_leaves_nothing() -> None:
    kernel = Kernel()
    started = job.Job(kernel, ORDER)
    assert not started.wait_gone(0.2)
    assert kernel.calls[-1] == ("WaitForSingleObject", (PROCESS, 200))
    started.kill()
    assert kernel.calls[-1] == ("TerminateJobObject", (JOB, 1))
    assert started.wait_gone(0.2)
    started.close()
    started.close()
    assert not kernel.open


@pytest.mark.parametrize(
    "call",
    [
        "CreateJobObjectW", "SetInformationJobObject", "InitializeProcThreadAttributeList", "UpdateProcThreadAttribute",
        "CreateProcessW", "AssignProcessToJobObject", "ResumeThread",
    ],
)  # fmt: skip
def test_whatever_windows_refuses_nothing_runs_and_nothing_is_left(call: str) -> None:
    kernel = Kernel(fails=call)
    with pytest.raises(AppError, match=rf"could not be shut in.*{call} \(error 5\)"):
        job.Job(kernel, ORDER)
    assert not kernel.running
    assert not kernel.open
    assert kernel.names().count("InitializeProcThreadAttributeList") in (0, 2)
    room = "UpdateProcThreadAttribute" in kernel.names()
    assert room is ("DeleteProcThreadAttributeList" in kernel.names())


def test_the_section_is_memory_with_two_ends() -> None:
    kernel = Kernel()
    section = job.Section(kernel, 8192)
    section.write(8190, b"ab")
    assert section.read(8188, 4) == b"\0\0ab"
    assert kernel.memory.raw[8190:] == b"ab"
    for at, length in ((-1, 1), (8191, 2), (8193, 0), (0, -1), (2**63, 2**63)):
        with pytest.raises(ValueError, match="outside"):
            section.read(at, length)
    with pytest.raises(ValueError, match="outside"):
        section.write(8191, b"ab")
    section.close()
    assert not kernel.open
    with pytest.raises(AppError):
        job.Section(refusing := Kernel(fails="MapViewOfFile"), 4096)
    assert not refusing.open


@pytest.mark.parametrize(("lend_reader", "lent"), [(True, READER), (False, WRITER)])
def test_of_a_pipe_only_the_workers_end_is_lent(lend_reader: bool, lent: int) -> None:
    kernel = Kernel()
    assert job.pipe(kernel, lend_reader=lend_reader) == (READER, WRITER)
    assert [arguments for name, arguments in kernel.calls if name == "SetHandleInformation"] == [(lent, 1, 1)]
    with pytest.raises(AppError):
        job.pipe(refusing := Kernel(fails="SetHandleInformation"), lend_reader=lend_reader)
    assert not refusing.open


def test_it_takes_the_owners_word_and_a_kind_of_the_catalogue() -> None:
    kind = next(iter(catalogue()))
    assert job.refusal(kind, consented=True) is None
    assert "not agreed" in str(job.refusal(kind, consented=False))
    assert "catalogue" in str(job.refusal("run.python/1", consented=True))
