"""Plain data as JSON, for crossing from one process to another: both ends of every pipe that a program can write to.

Part of it runs behind the walls, handed over as source text; it imports the standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["MAX_DEPTH", "Unfit", "decode", "encode"]

MAX_DEPTH = 60


class Unfit(Exception):
    """A value that may not cross: why, and ``not_plain`` or ``too_large``."""

    def __str__(self) -> str:
        return str(self.args[0])


def encode(value: Any, left: list[int], held: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """A value as JSON; what JSON lacks is an object with one key: t tuple, s set, d dict, c complex, b bytes, i int.

    Subclasses go as what they are made from, numpy's scalars and arrays as numbers and lists; a ``Decimal`` or
    ``Fraction`` as the number that it equals, where nothing that is not plain data may be held.

    Args:
        value: anything.
        left: one number, about how many bytes it may still take; counted down.
        held: gives the number of an object that is not plain data, which then goes as h; None: it is refused.
        depth: of nesting.

    Raises:
        Unfit: it is not plain data, nested too deep, endless or too large.
    """
    left[0] -= 2
    if depth > MAX_DEPTH:
        raise Unfit("its value is nested too deep or endless", "not_plain")
    if left[0] < 0:
        raise Unfit("its value is too large", "too_large")
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
        pairs = dict.items(value)
        return {"d": [[encode(key, left, held, depth + 1), encode(item, left, held, depth + 1)] for key, item in pairs]}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [encode(item, left, held, depth + 1) for item in value]
        return items if isinstance(value, list) else {"t" if isinstance(value, tuple) else "s": items}
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        if getattr(value, "size", 1) > left[0]:
            raise Unfit("its value is too large", "too_large")
        return encode(value.tolist(), left, held, depth + 1)
    if held is None and type(value).__module__ in ("decimal", "fractions"):
        return encode(_number(value), left, held, depth + 1)
    if held is None:
        raise Unfit(f"its value is a {type(value).__name__}, not plain data", "not_plain")
    return {"h": held(value)}


def _number(value: Any) -> int | float:
    """A whole number, or the nearest float. Raises Unfit for what has none, as an object that only says it is one."""
    try:
        near = float(value)
        return int(value) if near.is_integer() and value == int(value) else near
    except (ValueError, TypeError, ArithmeticError):
        raise Unfit(f"its value is a {type(value).__name__} that is no number", "not_plain") from None


def decode(tagged: Any, found: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """The value that ``encode`` wrote: of exactly the types of plain data, whoever wrote it.

    Args:
        tagged: JSON, as the parser gives it.
        found: gives the object for a number that stands for one; None: there is none.
        depth: of nesting.

    Raises:
        ValueError, TypeError, OverflowError: it is none.
    """
    if depth > MAX_DEPTH + 4:
        raise ValueError("nested too deep")
    if isinstance(tagged, list):
        return [decode(item, found, depth + 1) for item in tagged]
    if not isinstance(tagged, dict):
        return tagged
    ((tag, inner),) = tagged.items()
    if tag == "i":
        return int(inner, 16)
    if tag == "b":
        return bytes.fromhex(inner)
    if tag == "c":
        real, imaginary = inner
        return complex(real, imaginary)
    if tag == "d":
        return {_frozen(decode(key, found, depth + 1)): decode(item, found, depth + 1) for key, item in inner}
    if tag == "h" and found is not None:
        return found(inner)
    items = [decode(item, found, depth + 1) for item in inner]
    if tag == "s":
        return {_frozen(item) for item in items}
    if tag == "t":
        return tuple(items)
    raise ValueError(f"unknown tag {tag!r}")


def _frozen(value: Any) -> Any:
    """A key or a member of a set: sets within it, which a set may hold only frozen, are frozen again."""
    if isinstance(value, set):
        return frozenset(value)
    return tuple(map(_frozen, value)) if isinstance(value, tuple) else value
