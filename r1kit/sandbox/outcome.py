"""Read what came over the wall: bounded bytes that a program shaped, taken as candidate values and nothing more."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from typing import Any

from r1kit.sandbox.plain import decode
from r1kit.sandbox.protocol import End, Limits, Outcome, Raised, Returned, Run
from r1kit.sandbox.runner import FILES, OUTPUT, TIMEOUT, VALUES

__all__ = ["Ended", "read_outcome"]

KINDS = ("error", "memory", "not_plain", "too_large", "wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the runner says that a run ended."""

    status: int
    """As ``wait`` gives it."""
    reason: int
    cpu_seconds: float
    seconds: float


def read_outcome(run: Run, limits: Limits, ended: Ended, stdout: bytes, results: bytes) -> Outcome:
    """The outcome of one run; whatever is not as it should be counts as missing."""
    messages = _messages(results)
    first = messages[0] if messages else {}
    parsed = first.get("parsed") is True
    rest = messages[1:]
    ran = bool(rest) and rest[0].get("ran") is True
    calls = tuple(_call(message) for message in rest[1 : 1 + run.answers]) if ran else ()
    forced = _forced(limits, ended)
    if forced:
        end, detail = forced
    elif isinstance(first.get("syntax"), str):
        end, detail = "not_python", _clean(first["syntax"])
    elif run.stdin is not None:
        end, detail = _script(ended, rest)
    else:
        end, detail = _module(run, rest, ran, len(calls))
    return Outcome(
        end=end, detail=detail, parsed=parsed, calls=calls, stdout=stdout, cpu_seconds=ended.cpu_seconds,
        seconds=ended.seconds,
    )  # fmt: skip


def _forced(limits: Limits, ended: Ended) -> tuple[End, str] | None:
    """Ends that the program did not choose."""
    if ended.reason == TIMEOUT:
        return "timeout", f"took more than {limits.seconds:g} s"
    if ended.reason == OUTPUT:
        return "output_limit", f"printed more than {limits.output_bytes} bytes"
    if ended.reason == VALUES:
        return "output_limit", f"gave values of more than {limits.value_bytes} bytes"
    if ended.reason == FILES:
        return "output_limit", "made too many files"
    if os.WIFSIGNALED(ended.status):
        number = os.WTERMSIG(ended.status)
        spent = ended.cpu_seconds >= limits.cpu_seconds - 0.05
        if number == signal.SIGXCPU or (number == signal.SIGKILL and spent):
            return "timeout", f"took more than {limits.cpu_seconds} s of processor time"
        return "killed", f"ended by signal {_signal_name(number)}"
    return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)


def _script(ended: Ended, rest: list[dict[str, Any]]) -> tuple[End, str]:
    if rest and "raised" in rest[0]:
        raised = _raised(rest[0])
        return ("memory" if raised.kind == "memory" else "error"), raised.error
    code = os.waitstatus_to_exitcode(ended.status)
    return ("ok", "") if code == 0 else ("error", f"ended with exit code {code}")


def _module(run: Run, rest: list[dict[str, Any]], ran: bool, answered: int) -> tuple[End, str]:
    if rest and "raised" in rest[0]:
        raised = _raised(rest[0])
        return ("memory" if raised.kind == "memory" else "error"), raised.error
    if not ran:
        return "error", "it ended before its tests"
    if answered < run.answers:
        return "error", f"it ended after {answered} of {run.answers} calls"
    return "ok", ""


def _messages(results: bytes) -> list[dict[str, Any]]:
    """Whole lines up to the first that is not a JSON object."""
    found: list[dict[str, Any]] = []
    for line in results.split(b"\n")[:-1]:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError, MemoryError):
            message = None
        if not isinstance(message, dict):
            break
        found.append(message)
    return found


def _call(message: dict[str, Any]) -> Returned | Raised:
    if "value" not in message:
        return _raised(message)
    try:
        return Returned(decode(message["value"]))
    except (ValueError, TypeError, OverflowError):
        return Raised("its value cannot be read", "not_plain")


def _raised(message: dict[str, Any]) -> Raised:
    kind = message.get("kind")
    return Raised(_clean(message.get("raised")), kind if kind in KINDS else "error")


def _clean(text: Any) -> str:
    """One line without control characters: a program must not write to a person's terminal."""
    words = " ".join(text.split()) if isinstance(text, str) else "an error that cannot be read"
    return "".join(letter if letter.isprintable() else "?" for letter in words)[:400]
