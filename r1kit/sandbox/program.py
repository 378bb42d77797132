"""The part of a run that happens in the fork: compile, run, call, and write what comes out as plain data.

Handed over as source text; it imports the standard library alone. It shares its process with the program, which may do
with it as it likes: nothing here is trusted by anybody, and what it writes is at most a candidate value.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import types
from typing import Any

RESULT_FD = 3
MAX_DEPTH = 60
_encode_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class Results:
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


def run(text: str, calls: tuple[str, ...], script: bool, results: Results) -> int:
    try:
        code = compile(text, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        results.tell({"syntax": _described(error)})
        return 0
    results.tell({"parsed": True})
    module = types.ModuleType("__main__" if script else "program")
    sys.modules["__main__"] = sys.modules[module.__name__] = module
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as a started interpreter has them
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # long numbers may be printed; processor time has a limit of its own
    status = 0
    try:
        exec(code, module.__dict__)
    except SystemExit as leave:
        status = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        if not script and status:
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
    import threading

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
