"""The part of a run that happens in the fork: compile, run, call, and write what comes out as plain data.

Handed over as source text; it imports the standard library alone. It shares its process with the program, which may do
with it as it likes: nothing here is trusted by anybody, and what it writes is at most a candidate value.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import sys
import types
from contextlib import suppress
from typing import Any

from r1kit.sandbox.plain import Unfit, decode, encode

RESULT_FD, ASK_FD = 3, 4
STREAMS = {
    f"{folder}{name}": number
    for number, stream in enumerate(("stdin", "stdout", "stderr"))
    for folder, name in (("/dev/", stream), ("/dev/fd/", number))
}
"""Paths of the three streams -> descriptor; elsewhere they lead through ``/proc``, which is not behind the walls."""
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
            line = _encode_json({"value": encode(value, [self.budget])}).encode() + b"\n"
        except Unfit as error:
            line = _encode_json({"raised": str(error), "kind": error.args[1]}).encode() + b"\n"
        if len(line) > self.budget:
            line = b'{"raised":"its value is too large","kind":"too_large"}\n'
        self.budget -= len(line)
        self._write(line)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(RESULT_FD, line) :]


def run(text: str, calls: tuple[str, ...], script: bool, results: Results, asked: bool = False) -> int:
    """Load the program and evaluate the calls, or, where it is ``asked``, answer what its tests ask (``tester.py``)."""
    try:
        code = compile(text, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        results.tell({"syntax": described(error)})
        return 0
    results.tell({"parsed": True})
    module = types.ModuleType("__main__" if script else "program")
    sys.modules["__main__"] = sys.modules[module.__name__] = module
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as a started interpreter has them
    _name_streams()
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
        results.tell({"raised": described(error), "kind": kind_of(error)})
        return 0
    if script:
        _finish_script()
        results.tell({"ran": True})
        return status & 255
    results.tell({"ran": True})
    if asked:
        answer(module, results)
    compiled: dict[str, types.CodeType] = {}
    for call in calls:
        try:
            if call not in compiled:
                compiled[call] = compile(call, "<test>", "eval", dont_inherit=True)
            results.value(eval(compiled[call], module.__dict__))
        except BaseException as error:
            results.tell({"raised": described(error), "kind": kind_of(error)})
    return 0


def _name_streams() -> None:
    """Let ``open("/dev/stdin")`` and the like give the program's own streams."""
    real_open, real_os_open = builtins.open, os.open

    def opened(file: Any, *args: Any, **named: Any) -> Any:
        number = _stream(file)
        return real_open(file if number is None else os.dup(number), *args, **named)

    def os_opened(path: Any, *args: Any, **named: Any) -> int:
        number = _stream(path)
        return real_os_open(path, *args, **named) if number is None else os.dup(number)

    builtins.open = io.open = opened
    os.open = os_opened


def _stream(path: Any) -> int | None:
    return STREAMS.get(os.fsdecode(path)) if isinstance(path, (str, bytes, os.PathLike)) else None


def answer(module: types.ModuleType, results: Results) -> None:
    """Answer the tests' process until it leaves: call, get, item, list, str of a name or of an object kept here."""
    kept: list[Any] = []

    def keep(value: Any) -> int:
        kept.append(value)
        return len(kept) - 1

    def of(number: Any) -> Any:
        return kept[number] if isinstance(number, int) else getattr(module, number)

    with open(ASK_FD, encoding="utf-8", closefd=False) as requests:
        for line in requests:
            try:
                what, target, given, names = json.loads(line)
                values = [decode(value, of) for value in given]
                at = len(values) - len(names)
                value = _done(what, of(target), values[:at], dict(zip(names, values[at:], strict=True)))
                told = {"value": encode(value, [results.budget], keep)}
                after = [encode(one, [results.budget], keep) for one in values[:at]]
                told["changed"] = [[n, one] for n, one in enumerate(after) if one != given[n]]
            except BaseException as error:
                types_ = [kind.__name__ for kind in type(error).__mro__]
                told = {"raised": described(error), "types": types_, "text": str(error)[:300]}
                with suppress(Unfit):
                    told["args"] = encode(list(error.args), [results.budget], keep)
            results.tell(told)


def _done(what: str, target: Any, values: list[Any], named: dict[str, Any]) -> Any:
    if what == "call":
        return target(*values, **named)
    if what == "get":
        return getattr(target, values[0])
    if what == "item":
        return target[values[0]]
    return list(target) if what == "list" else str(target)


def _finish_script() -> None:
    """What an interpreter does at the end of a script: wait for threads, exit functions, the rest of the output."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()


def kind_of(error: BaseException) -> str:
    return "memory" if isinstance(error, MemoryError) else "error"


def described(error: BaseException) -> str:
    """``line 3: NameError: name 'x' is not defined``."""
    line, trace = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None, error.__traceback__
    while trace is not None:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "<program>" else line
        trace = trace.tb_next
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"line {line}: " if line else ""
    return f"{where}{type(error).__name__}: {str(said)[:300]}"[:400]
