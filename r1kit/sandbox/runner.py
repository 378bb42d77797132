"""The code inside the walls: a warm interpreter, process 1 of its namespace, that forks once a program.

It is handed over as source text and imports the standard library alone. It never sees a program or what one gives:
the fork reads its own job, and results pass through one buffer that is wiped, so nothing is left for the next program.
It never sees an expected value either. Its parent, outside, trusts it for how a run ended and nothing else.

In, on descriptor 0: the size of a seccomp filter and the filter; then, a run at a time, ``JOB`` and a JSON job.
Out, on descriptor 1: frames of a letter, a size and a payload: H ready, O standard output, R results, E the end.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import struct
import sys
import threading
import time
import types
from typing import Any, NoReturn

JOB = struct.Struct("<IdIQQQII")
"""Job bytes, wall seconds, CPU seconds, memory, output and value bytes, threads, open files."""
FRAME = struct.Struct("<cI")
END = struct.Struct("<iBdd?")
"""Wait status, reason, CPU seconds, wall seconds, whether the writable place was touched."""
ITSELF, TIMEOUT, OUTPUT, VALUES, FILES = range(5)
WRITABLE = "/tmp"
DISK_BYTES = 16 << 20
MAX_FILES = 2048
CHUNK = 1 << 16
LOOK_SECONDS = 0.05
STACK_BYTES = 64 << 20
MAX_DEPTH = 60
WARM = """abc array ast bisect bz2 calendar cmath collections collections.abc copy dataclasses datetime decimal enum
fractions functools hashlib heapq io itertools json math numbers operator queue random re statistics string struct
textwrap time traceback typing unicodedata zlib""".split()  # noqa: SIM905
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 4, 22, 38, 2
RESULT_FD = 3
_encode_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


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
        reason = _watch(pid, {out: b"O", results: b"R"}, {b"O": limits[4], b"R": limits[5]}, started, limits[1], buffer)
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
    sys.path[:] = [path for path in sys.path if path]
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
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
        left = started + patience - time.monotonic()
        ready = {descriptor for descriptor, _ in poller.poll(1000 * max(0.0, min(left, LOOK_SECONDS)))}
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
    """The fork: read the job, give up every right, run it, leave."""
    size, _, cpu, memory, _, value_bytes, threads, files = limits
    job = json.loads(_read(size))
    given = nothing
    if job["stdin"] is not None:
        given = os.memfd_create("stdin")
        with open(given, "wb", closefd=False) as file:
            file.write(job["stdin"].encode("utf-8", "surrogatepass"))
        os.lseek(given, 0, os.SEEK_SET)
    os.dup2(results, 60)
    os.dup2(given, 0)
    os.dup2(out, 1)
    os.dup2(nothing, 2)
    os.dup2(60, RESULT_FD)
    os.closerange(RESULT_FD + 1, 256)
    for name, value in {
        "AS": memory, "CPU": cpu, "FSIZE": DISK_BYTES, "NOFILE": files, "NPROC": threads + 1, "CORE": 0,
        "MEMLOCK": 0, "MSGQUEUE": 0, "STACK": STACK_BYTES,
    }.items():  # fmt: skip
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (value, value + 1 if name == "CPU" else value))
    if program.length and libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        os._exit(99)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed(0)  # the same program gets the same numbers whenever and wherever it runs; a fork seeds anew
    sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", errors="surrogatepass", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    status = 1
    try:
        status = _run(job["program"], job["calls"], job["stdin"] is not None, _Results(value_bytes))
    finally:
        os._exit(status)


class _Results:
    """JSON lines on the results pipe, bounded in all."""

    def __init__(self, budget: int) -> None:
        self.budget = budget - 4096
        """What is left for values, a little kept back for how the run went."""

    def tell(self, message: dict[str, Any]) -> None:
        self._write(_encode_json(message).encode() + b"\n")

    def value(self, value: Any) -> None:
        try:
            line = _encode_json({"value": _plain(value, 0, [self.budget])}).encode() + b"\n"
        except _Unfit as error:
            line = _encode_json({"raised": str(error), "kind": error.args[1]}).encode() + b"\n"
        if len(line) > self.budget:
            line = b'{"raised":"its value is too large","kind":"too_large"}\n'
        self.budget -= len(line)
        self._write(line)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(RESULT_FD, line) :]


class _Unfit(Exception):
    """A value that may not cross: why, and ``not_plain`` or ``too_large``."""

    def __str__(self) -> str:
        return str(self.args[0])


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    """A value as JSON; what JSON lacks is an object with one key: t tuple, s set, d dict, c complex, b bytes, i int."""
    left[0] -= 2
    if depth > MAX_DEPTH:
        raise _Unfit("its value is nested too deep or endless", "not_plain")
    if left[0] < 0:
        raise _Unfit("its value is too large", "too_large")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        value = int(value)
        return value if -(1 << 63) < value < 1 << 63 else {"i": hex(value)}
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        left[0] -= len(value)
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        left[0] -= len(value)
        return {"b": bytes(value).hex()}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, dict):
        pairs = [[_plain(key, depth + 1, left), _plain(item, depth + 1, left)] for key, item in dict.items(value)]
        return {"d": pairs}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_plain(item, depth + 1, left) for item in value]
        return items if isinstance(value, list) else {"t" if isinstance(value, tuple) else "s": items}
    raise _Unfit(f"its value is a {type(value).__name__}, not plain data", "not_plain")


def _run(text: str, calls: list[str], script: bool, results: _Results) -> int:
    try:
        code = compile(text, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        results.tell({"syntax": _described(error)})
        return 0
    results.tell({"parsed": True})
    module = types.ModuleType("__main__" if script else "program")
    sys.modules["__main__"] = sys.modules[module.__name__] = module
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        if not script:
            results.tell({"raised": "it left by sys.exit before its tests", "kind": "error"})
            return 0
    except BaseException as error:
        results.tell({"raised": _described(error), "kind": _kind(error)})
        return 0
    if script:
        _finish_script()
        results.tell({"ran": True})
        return status & 255
    results.tell({"ran": True})
    compiled: dict[str, types.CodeType] = {}
    for call in calls:
        try:
            if call not in compiled:
                compiled[call] = compile(call, "<test>", "eval", dont_inherit=True)
            results.value(eval(compiled[call], module.__dict__))
        except BaseException as error:
            results.tell({"raised": _described(error), "kind": _kind(error)})
    return 0


def _finish_script() -> None:
    """What an interpreter does at the end of a script: wait for threads, exit functions, the rest of the output."""
    import atexit

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()


def _kind(error: BaseException) -> str:
    return "memory" if isinstance(error, MemoryError) else "error"


def _described(error: BaseException) -> str:
    """``line 3: NameError: name 'x' is not defined``."""
    line, trace = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "<program>" else line
        trace = trace.tb_next
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"line {line}: " if line else ""
    return f"{where}{type(error).__name__}: {str(said)[:300]}"[:400]


if __name__ == "__main__":
    serve()
