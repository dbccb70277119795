"""The system calls a worker may not make, as the BPF program that bwrap installs.

Everything CUDA and torch need stays allowed (memfd_create among them, without which cuInit fails); what reaches into other
processes, namespaces, mounts, the kernel or the network is refused. Used by `cage`.
"""

import errno
import os
import socket
from typing import TYPE_CHECKING

from desktop_app.adapters.supervisor.advice import install
from desktop_app.core.errors import AppError

if TYPE_CHECKING:
    import pyseccomp

_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "setns", "unshare", "open_by_handle_at", "name_to_handle_at",
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "fanotify_init",
    "add_key", "request_key", "keyctl", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
    "reboot", "swapon", "swapoff", "quotactl", "acct", "syslog", "iopl", "ioperm", "settimeofday", "clock_settime", "adjtimex",
    "personality", "nfsservctl", "vhangup", "lookup_dcookie", "uselib", "mknod", "mknodat", "quotactl_fd", "clock_adjtime", "memfd_secret",
    "modify_ldt", "remap_file_pages", "sysfs", "ustat", "_sysctl", "create_module", "query_module", "get_kernel_syms", "process_mrelease",
    "inotify_init", "inotify_init1",  # a user has 128 instances for everything, so that a task could take the desktop's
)  # fmt: skip
# user, mount, net, pid, ipc, uts, cgroup
_NAMESPACE_FLAGS = (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000)
# TIOCSTI, TIOCLINUX: typing into the terminal of whoever started us
_TERMINAL_PUSHES = (0x5412, 0x541C)
# Numbers that every processor shares, of calls that are younger than this list: as if the kernel had none of them.
_UNHEARD_OF = range(463, 512)
_INT = 0xFFFFFFFF  # the kernel looks at this much of an int, whatever stands above
_PDEATHSIG, _SETPIPE_SZ, _NEW_LISTENER, _RLIMIT_CORE = 1, 1031, 8, 4


def program_fd() -> int:
    """A descriptor with the program in it, read from its beginning. Raises AppError without libseccomp."""
    try:
        import pyseccomp  # here, since without libseccomp even this fails

        rules = _rules(pyseccomp.SyscallFilter(pyseccomp.ALLOW))
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise AppError(
            "The filter for system calls could not be made.",
            f"Install libseccomp and start again: {install('libseccomp2')} ({type(error).__name__})",
        ) from error
    descriptor = os.memfd_create("sublet-seccomp")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        rules.export_bpf(file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _rules(rules: "pyseccomp.SyscallFilter") -> "pyseccomp.SyscallFilter":
    import pyseccomp

    no = pyseccomp.ERRNO(errno.EPERM)
    for name in _REFUSED:
        if _known(name):
            rules.add_rule(no, name)
    for number in _UNHEARD_OF:
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    for flag in _NAMESPACE_FLAGS:
        rules.add_rule(no, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    # Its flags lie behind a pointer, out of a filter's sight; the C library falls back to clone.
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for call in ("socket", "socketpair"):
        rules.add_rule(pyseccomp.ERRNO(errno.EAFNOSUPPORT), call, pyseccomp.Arg(0, pyseccomp.NE, int(socket.AF_UNIX)))
    for request in _TERMINAL_PUSHES:
        rules.add_rule(no, "ioctl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _INT, request))
    # Whoever wrote into process 1 could have it outlive the agent.
    rules.add_rule(no, "prctl", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _INT, _PDEATHSIG))
    # A user's pipes share a room; a few wide ones leave the desktop's with a page each.
    rules.add_rule(no, "fcntl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _INT, _SETPIPE_SZ))
    # The one limit that must not even be lowered (`cage`).
    rules.add_rule(no, "setrlimit", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _INT, _RLIMIT_CORE))
    rules.add_rule(no, "prlimit64", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _INT, _RLIMIT_CORE), pyseccomp.Arg(2, pyseccomp.NE, 0))
    rules.add_rule(no, "seccomp", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _NEW_LISTENER, _NEW_LISTENER))
    return rules


def _known(name: str) -> bool:
    import pyseccomp

    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)) >= 0
    except (ValueError, OSError):
        return False
