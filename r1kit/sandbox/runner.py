"""The code inside the walls: a warm interpreter, process 1 of its namespace, that forks once a program.

It is handed over as source text, with ``program.py``, and imports the standard library beside it alone. It never sees a
program or what one gives: the fork reads its own job, and results pass through one buffer that is wiped, so nothing is
left for the next program. It never sees an expected value either. Its parent, outside, trusts it for how a run ended
and for nothing else.

In, on descriptor 0: the size of a seccomp filter and the filter; then, a run at a time, ``JOB`` and a job.
Out, on descriptor 1: frames of a letter, a size and a payload: H ready, O standard output, R results, E the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import marshal
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any, NoReturn

from r1kit.sandbox import program as program_side
from r1kit.sandbox import tester

JOB = struct.Struct("<IIdIQQQII")
"""Bytes of the job (program, calls, standard input; marshalled) and of its tests, if any, wall seconds, CPU seconds,
memory, output and value bytes, threads, open files."""
FRAME = struct.Struct("<cI")
END = struct.Struct("<iBdd?")
"""Wait status, reason, CPU seconds, wall seconds, whether the writable place was touched."""
ITSELF, TIMEOUT, OUTPUT, VALUES, FILES = range(5)
WRITABLE = "/tmp"
DISK_BYTES = 16 << 20
MAX_FILES = 2048
CHUNK = 1 << 16
LOOK_SECONDS, STOOD_SECONDS = 0.05, 1.0
STACK_BYTES = 64 << 20
KEPT = 60
"""Where descriptors are put while 0, 1, 2 ... may still be in use."""
WARM = """abc array ast bisect bz2 calendar cmath collections collections.abc copy dataclasses datetime decimal enum
fractions functools hashlib heapq io itertools json math numbers operator queue random re statistics string struct
textwrap threading time traceback typing unicodedata zlib""".split()  # noqa: SIM905
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 4, 22, 38, 2


class FilterProgram(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def serve() -> None:
    """Answer jobs until the parent closes its end."""
    if os.getpid() != 1:
        sys.exit("the runner works only as process 1 of a namespace of its own: it kills all others there")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no handler: process 1 is deaf to signals from inside
    os.closerange(3, 256)  # whatever those who started it have left open
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    instructions = _read(struct.unpack("<I", _read(4))[0])
    filter_bytes = ctypes.create_string_buffer(instructions, len(instructions))
    program = FilterProgram(len(instructions) // 8, ctypes.addressof(filter_bytes))
    _warm_up()
    nothing = os.open("/dev/null", os.O_RDWR)
    clean = _fingerprint()
    buffer = memoryview(bytearray(CHUNK))
    _send(b"H", b"")
    while True:
        limits = JOB.unpack(_read(JOB.size))
        out, out_end = os.pipe()
        results, results_end = os.pipe()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            _become_program(limits, libc, program, nothing, out_end, results_end)
        os.close(out_end)
        os.close(results_end)
        reason = _watch(pid, {out: b"O", results: b"R"}, {b"O": limits[5], b"R": limits[6]}, started, limits[2], buffer)
        seconds = time.monotonic() - started
        status, cpu = _bury(pid)
        _send(b"E", END.pack(status, reason, cpu, seconds, _fingerprint() != clean))


def _read(size: int) -> bytes:
    """Exactly ``size`` bytes of descriptor 0; the process ends where the parent has gone."""
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            os._exit(0)
        data += chunk
    return data


def _send(letter: bytes, payload: bytes | memoryview) -> None:
    try:
        rest = memoryview(FRAME.pack(letter, len(payload)))
        while rest:
            rest = rest[os.write(1, rest) :]
        rest = memoryview(payload)
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:
        os._exit(0)


def _warm_up() -> None:
    """Import what programs import, so that a fork has it at once.

    What ``random`` and ``threading`` do in every fork is left out: it takes longer than all the rest of one. There is
    one thread here, so a fork has nothing to put right; and the same program is to get the same random numbers.
    """
    sys.path[:] = [path for path in sys.path if path]
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    for name in (*WARM, *os.environ.pop("R1_WARM", "").split()):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    os.register_at_fork = register
    sys.modules["random"].seed(0)
    # The program's streams, made once: they know a descriptor's number, and a fork puts its own files there.
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogatepass", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    gc.collect()
    gc.freeze()


def _fingerprint() -> tuple[int, ...]:
    """Of the writable place; its change time cannot be set back, so whatever is done there shows."""
    found = os.stat(WRITABLE)
    return (found.st_mode, found.st_nlink, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_atime_ns)


def _watch(
    pid: int, pipes: dict[int, bytes], caps: dict[bytes, int], started: float, patience: float, buffer: memoryview
) -> int:
    """Pass on what the program writes until it ends or breaks a limit, then kill everything; why it ended."""
    poller = select.poll()
    ended = os.pidfd_open(pid)
    poller.register(ended, select.POLLIN)
    poller.register(0, 0)  # only the parent's leaving
    for descriptor in pipes:
        os.set_blocking(descriptor, False)
        poller.register(descriptor, select.POLLIN)
    reason, running = ITSELF, True
    while running and reason == ITSELF:
        looked = time.monotonic()
        left = started + patience - looked
        ready = {descriptor for descriptor, _ in poller.poll(1000 * max(0.0, min(left, LOOK_SECONDS)))}
        stood = time.monotonic() - looked
        patience += stood if stood > STOOD_SECONDS else 0.0  # all here was stopped for a while, or nearly so
        if 0 in ready:
            os._exit(0)  # process 1 takes all the others with it
        for descriptor in ready & set(pipes):
            if not _pass_on(descriptor, pipes[descriptor], caps, buffer):
                poller.unregister(descriptor)
            if caps[pipes[descriptor]] < 0:
                reason = OUTPUT if pipes[descriptor] == b"O" else VALUES
        running = ended not in ready
        if running and reason == ITSELF and started + patience <= time.monotonic():
            reason = TIMEOUT
        elif not ready and _too_many_files():
            reason = FILES
    os.kill(-1, signal.SIGKILL)  # process 1 itself is spared
    os.close(ended)
    for descriptor, letter in pipes.items():
        while _pass_on(descriptor, letter, caps, buffer):
            if caps[letter] < 0:
                reason = reason or (OUTPUT if letter == b"O" else VALUES)
                break
        os.close(descriptor)
    return reason


def _pass_on(descriptor: int, letter: bytes, caps: dict[bytes, int], buffer: memoryview) -> bool:
    """Relay one chunk, wiping the buffer after it; False where no more will come."""
    try:
        size = os.readv(descriptor, [buffer])
    except BlockingIOError:
        return False
    if not size:
        return False
    allowed = min(size, max(0, caps[letter]))
    caps[letter] -= size
    if allowed:
        _send(letter, buffer[:allowed])
    buffer[:size] = bytes(size)
    return True


def _too_many_files() -> bool:
    found = os.statvfs(WRITABLE)
    return found.f_files > 0 and found.f_files - found.f_ffree > MAX_FILES


def _bury(pid: int) -> tuple[int, float]:
    """Wait for every process of the namespace; the program's wait status and its CPU seconds."""
    status, cpu = 0, 0.0
    while True:
        try:
            gone, how, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return status, cpu
        cpu += usage.ru_utime + usage.ru_stime
        status = how if gone == pid else status


def _become_program(
    limits: tuple[Any, ...], libc: ctypes.CDLL, program: FilterProgram, nothing: int, out: int, results: int
) -> NoReturn:
    """The fork: read the job, give up every right, run it, leave. With tests it is two: the program's is read and
    started first, before the other process reads the tests, so that the program's never holds them."""
    size, tests_size, _, _, _, _, value_bytes, _, _ = limits
    if tests_size:
        ask_out, ask_end = os.pipe()
        answer_out, answer_end = os.pipe()
        if os.fork():
            os.close(ask_out)
            os.close(answer_end)
            _become_tests(limits, libc, program, nothing, results, ask_end, answer_out)
        results = answer_end
    text, calls, stdin = marshal.loads(_read(size))
    given = nothing
    if stdin is not None:
        given = os.memfd_create("stdin")
        with open(given, "wb", closefd=False) as file:
            file.write(stdin.encode("utf-8", "surrogatepass"))
        os.lseek(given, 0, os.SEEK_SET)
    descriptors = [given, out, nothing, results, *([ask_out] if tests_size else [])]
    _give_up(descriptors, limits, libc, program)
    status = 1
    try:
        results_pipe = program_side.Results(value_bytes)
        status = program_side.run(text, calls, stdin is not None, results_pipe, bool(tests_size))
    finally:
        os._exit(status)


def _become_tests(
    limits: tuple[Any, ...],
    libc: ctypes.CDLL,
    program: FilterProgram,
    nothing: int,
    results: int,
    ask: int,
    answer: int,
) -> NoReturn:
    select.select([answer], [], [])  # once it says something, the program's process has read its own part of the job
    job = marshal.loads(_read(limits[1]))
    _give_up([nothing, nothing, nothing, results, ask, answer], limits, libc, program)
    status = 1
    try:
        tester.test(job, program_side.Results(limits[6]))
        status = 0
    finally:
        os._exit(status)


def _give_up(descriptors: list[int], limits: tuple[Any, ...], libc: ctypes.CDLL, program: FilterProgram) -> None:
    """Keep the descriptors, as 0, 1, 2 ..., and no other; set the limits; close the door."""
    _, tests_size, _, cpu, memory, _, _, threads, files = limits
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, KEPT + number)
    for number in range(len(descriptors)):
        os.dup2(KEPT + number, number)
    os.closerange(len(descriptors), 256)
    for name, value in {
        "AS": memory, "CPU": cpu, "FSIZE": DISK_BYTES, "NOFILE": files, "NPROC": threads + 1 + bool(tests_size),
        "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0, "STACK": STACK_BYTES,
    }.items():  # fmt: skip
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value + 1 if name == "CPU" else value))
    if program.length and libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        os._exit(99)


if __name__ == "__main__":
    serve()
