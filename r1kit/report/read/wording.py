"""Numbers and JSON values as a person writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["about", "amount", "bracket", "duration", "plainly", "roughly", "settable", "share", "short", "signed"]


def share(value: float | None, digits: int = 3) -> str:
    """A share without its leading zero: .902; 1 as 1.000; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def short(value: float | None) -> str:
    """A quantity of any size, in three or four digits: 66.8, 1240, 0.0031."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1e15:
        return f"{value:.2e}"
    if abs(value) >= 10000:
        return f"{value:,.0f}"
    return f"{value:.{4 if abs(value) >= 1000 else 3}g}"


def signed(value: float, digits: int = 3) -> str:
    """A difference of shares: ``+.791``, ``−.130``; without a sign where the digits show none."""
    text = share(abs(value), digits)
    return text if not float(f"{abs(value):.{digits}f}") else f"{'+' if value > 0 else '−'}{text}"


def bracket(ends: tuple[float, float] | None) -> str:
    """An interval after a value: `` [.88, .92]``, or nothing."""
    return "" if ends is None else f" [{share(ends[0], 2)}, {share(ends[1], 2)}]"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 50 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def about(seconds: float) -> str:
    """A duration that is only reckoned, in steps that its error allows: ``under 5 s``, ``40 s``, ``12 min``,
    ``3 h 10 min``."""
    if seconds < 5:
        return "under 5 s"
    if seconds < 57.5:
        return f"{round(seconds / 5) * 5} s"
    if seconds < 3570:
        return f"{max(1, round(seconds / 60))} min"
    tens = round(seconds / 600)
    return f"{tens // 6} h {tens % 6 * 10:02d} min" if tens < 600 else f"{tens // 6} h"


def roughly(seconds: float) -> str:
    """The same in a sentence: ``about 40 s``, ``under 5 s``."""
    told = about(seconds)
    return told if told.startswith("under") else f"about {told}"


def amount(value: float) -> str:
    """``1.24 M``, ``3.1e12`` as ``3.10 T``; a dash for nothing."""
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}" if value else "–"


def settable(value: Any) -> str:
    """A JSON value as a recipe and ``--set`` write it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {settable(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(settable, value))}]"
    return json.dumps(value, ensure_ascii=False)


def plainly(value: Any) -> str:
    """A JSON value on one line: shares as .12, lists and objects with commas."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return share(value) if 0.001 <= value < 1 else short(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10000 else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plainly(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plainly(item) for item in value)
    return str(value)
