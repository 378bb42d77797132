"""The system calls that a program may make, compiled to a kernel filter by libseccomp.

Two filters lie on one another. ``interpreter_filter`` holds for the warm interpreter and its forks: a list of what is
allowed, everything else answers "not there" (ENOSYS). ``program_filter`` is added in each fork before the program
starts: no new process, no other program. A filter can never be taken off again.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from functools import cache

from r1kit.errors import MissingError, R1Error

__all__ = ["interpreter_filter", "program_filter"]

FIX = "libseccomp is missing; run: sudo apt-get install libseccomp2"
ALLOW = 0x7FFF0000
NOT_THERE = 0x00050000 | 38
NOT_PERMITTED = 0x00050000 | 1
EQUAL, MASKED_EQUAL = 4, 7

NAMESPACES = 0x7E020080
"""Every ``CLONE_NEW*`` flag of clone."""
CLONE_THREAD = 0x00010000
AF_UNIX = 1
IOCTLS = {"TCGETS": 0x5401, "TIOCGWINSZ": 0x5413, "FIONREAD": 0x541B, "FIONBIO": 0x5421, "FIOCLEX": 0x5451}

ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek open openat close close_range creat
stat lstat fstat newfstatat fstatat64 statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat
symlink symlinkat truncate ftruncate fallocate chmod fchmod fchmodat utime utimes utimensat futimesat umask fsync
fdatasync flock sendfile copy_file_range dup dup2 dup3 fcntl pipe pipe2 memfd_create
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
timerfd_create timerfd_settime timerfd_gettime sendto recvfrom sendmsg recvmsg shutdown getsockname getpeername
getsockopt setsockopt
brk mmap munmap mremap mprotect madvise membarrier msync
exit exit_group fork vfork execve wait4 waitid pidfd_open kill tkill tgkill getpid gettid getppid getpgrp getpgid
getsid setpgid setsid getuid geteuid getgid getegid getgroups getresuid getresgid
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause
restart_syscall alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun timer_delete
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getrusage getrlimit setrlimit prlimit64
sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler sched_get_priority_max
sched_get_priority_min getpriority getcpu
futex futex_wait futex_wake futex_requeue futex_waitv set_robust_list get_robust_list set_tid_address rseq
arch_prctl prctl uname sysinfo getrandom
""".split()  # noqa: SIM905
"""What CPython and the C library need for computing, files in ``/tmp`` and threads. No network, no mounts, no keys, no
tracing, no other process's memory, no shared memory segments, no io_uring, no BPF."""
NO_PROGRAM = ("fork", "vfork", "execve", "execveat", "pidfd_open", "memfd_create")
NO_PRCTL = (1, 4, 8, 22, 24, 27, 28, 31, 35, 36, 47, 59, 62, 0x59616D61)
"""Settings of ``prctl`` that a program has no use for: death signal, dumpable, capabilities, seccomp, ptracer ..."""


class _Comparison(ctypes.Structure):
    """``struct scmp_arg_cmp``."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Filter:
    """One libseccomp filter in the making; it is freed with the process that made it, once a run."""

    def __init__(self, default: int) -> None:
        self.library = _library()
        self.handle = self.library.seccomp_init(default)
        if not self.handle:
            raise R1Error("libseccomp could not start a filter")

    def add(self, action: int, name: str, *comparisons: tuple[int, int, int, int]) -> None:
        """A rule for one system call; a call that this library or machine does not know cannot be made here."""
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        if number == -1:
            return
        array = (_Comparison * len(comparisons))(*(_Comparison(*each) for each in comparisons))
        code = self.library.seccomp_rule_add_array(self.handle, action, number, len(comparisons), array)
        if code:
            raise R1Error(f"libseccomp refused a rule for {name}: {os.strerror(-code)}")

    def compiled(self) -> bytes:
        with tempfile.TemporaryFile() as file:
            if code := self.library.seccomp_export_bpf(self.handle, file.fileno()):
                raise R1Error(f"libseccomp could not write the filter: {os.strerror(-code)}")
            file.seek(0)
            return file.read()


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise MissingError(FIX) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison),
    ]  # fmt: skip
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


@cache
def interpreter_filter() -> bytes:
    """What holds from the interpreter's start on.

    Raises:
        MissingError: libseccomp is not installed.
    """
    made = _Filter(NOT_THERE)
    for name in ALLOWED:
        made.add(ALLOW, name)
    made.add(ALLOW, "clone", (0, MASKED_EQUAL, NAMESPACES, 0))
    made.add(ALLOW, "socketpair", (0, EQUAL, AF_UNIX, 0))  # asyncio wakes itself through one
    for number in IOCTLS.values():
        made.add(ALLOW, "ioctl", (1, EQUAL, number, 0))
    return made.compiled()


@cache
def program_filter() -> bytes:
    """What is added for the program: threads, but no processes.

    Raises:
        MissingError: libseccomp is not installed.
    """
    made = _Filter(ALLOW)
    for name in NO_PROGRAM:
        made.add(NOT_PERMITTED, name)
    made.add(NOT_PERMITTED, "clone", (0, MASKED_EQUAL, CLONE_THREAD, 0))
    for option in NO_PRCTL:
        made.add(NOT_PERMITTED, "prctl", (0, EQUAL, option, 0))
    return made.compiled()
