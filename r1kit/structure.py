"""TOML tables <-> frozen dataclasses, by their type hints. Whatever does not fit is an InputError that says where."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from typing import Any, Literal, Union, get_args, get_origin

from r1kit.errors import InputError, nearest
from r1kit.maths.settings import PRESETS as LOSS_PRESETS
from r1kit.maths.settings import PolicyLoss

__all__ = ["NotText", "plain", "scalar", "structure"]


class NotText(InputError):
    """A setting that is text was given as a number, a date or true and false."""

    def __init__(self, where: str, value: Any) -> None:
        super().__init__(f"{where} = {value!r}: expected a string")
        self.where = where


PRESETS: dict[type, Mapping[str, Any]] = {PolicyLoss: LOSS_PRESETS}
"""Classes whose table may say ``preset = "NAME"``; its other keys override the preset."""


def structure(cls: type, table: Mapping[str, Any], where: str, base: Any = None) -> Any:
    """Build dataclass ``cls`` from a table; ``where`` is the table's dotted name, for messages, empty at the top.

    What the table leaves out comes from ``base`` where the surrounding table has a default for the whole, so that
    ``optimiser = {lr = 1e-3}`` keeps a stage's own default of the optimiser's kind.
    """
    if hasattr(cls, "from_table"):  # a class that has open keys reads its table itself, and writes it in as_table
        return cls.from_table(table, where)
    hints = typing.get_type_hints(cls)
    table = {**_preset(cls, table, where), **{key: value for key, value in table.items() if key != "preset"}}
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in table:
        if key in getattr(cls, "gone", {}):
            raise InputError(f"{where}.{key} is no setting: {cls.gone[key]}")  # type: ignore[attr-defined]
        if key not in names:
            raise InputError(
                f"{where or 'recipe'}: unknown key {key!r}; known keys are {', '.join(names)}."
                f"{_inner(key, hints) or nearest(key, names)}"
            )
    defaults = {f.name: _default(f) if base is None else getattr(base, f.name) for f in dataclasses.fields(cls)}
    if missing := [n for n in names if n not in table and defaults[n] is dataclasses.MISSING]:
        raise InputError(f"{where or 'recipe'}: {', '.join(missing)} must be set")
    given = {
        key: _value(hints[key], value, f"{where}.{key}" if where else key, defaults[key])
        for key, value in table.items()
    }
    try:
        return cls(**given) if base is None else dataclasses.replace(base, **given)
    except InputError as error:
        raise InputError(_placed(where, str(error))) if type(error) is InputError else error from None


def _inner(key: str, hints: Mapping[str, Any]) -> str:
    """Which of the tables of a table know a key that was written beside them; empty: none."""
    tables = ((name, kind) for name, kind in hints.items() if dataclasses.is_dataclass(kind))
    found = [f"{name}.{key}" for name, kind in tables if key in (f.name for f in dataclasses.fields(kind))]
    return f" There is {' or '.join(found)}." if found else ""


def _placed(where: str, said: str) -> str:
    """What a class says of its own settings, behind the name of the table that they stand in."""
    if not where or where in said:
        return said
    own = where.rpartition(".")[2]
    return where + said.removeprefix(own) if said.startswith((f"{own}:", f"{own}.")) else f"{where}: {said}"


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _preset(cls: type, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What ``preset = "NAME"`` stands for in a table of a class that has presets."""
    if "preset" not in table or cls not in PRESETS:
        return {}
    name = str(table["preset"])
    if name not in PRESETS[cls]:
        raise InputError(
            f"{where}.preset = {name!r}: presets are {', '.join(PRESETS[cls])}.{nearest(name, PRESETS[cls])}"
        )
    return {f.name: getattr(PRESETS[cls][name], f.name) for f in dataclasses.fields(cls)}


def _value(kind: Any, value: Any, where: str, default: Any = None) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        base = default if dataclasses.is_dataclass(default) else None
        return structure(typing.cast(type, kind), value, where, base)
    if dataclasses.is_dataclass(kind) and type(value) is kind:
        return value
    if isinstance(value, str) and hasattr(kind, "from_text"):
        return kind.from_text(value)
    if origin is Literal:
        if value in arguments:
            return value
        raise InputError(
            f"{where} = {value!r}: allowed are {', '.join(map(repr, arguments))}."
            f"{nearest(str(value), map(str, arguments))}"
        )
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where)
    if origin in (tuple, Sequence) and isinstance(value, Sequence) and not isinstance(value, str):
        if origin is tuple and arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise InputError(f"{where} = {value!r}: expected a list of {len(arguments)}, each {_spelled(arguments[0])}")
        return tuple(_value(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if (origin is not None and issubclass(origin, Mapping)) and isinstance(value, Mapping):
        return {str(key): _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _float(value, where)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if kind is str and isinstance(value, (int, float, date, time)):
        raise NotText(where, value)
    unread = isinstance(value, str) and value.startswith(("{", "["))
    told = "; TOML cannot read this text, so it is no more than one: write it as { a = 1, b = 0.5 } or [1, 0.5]"
    raise InputError(f"{where} = {value!r}: expected {_spelled(kind)}{told if unread else ''}")


def _float(value: float, where: str) -> float:
    try:
        found = float(value)
    except OverflowError:
        raise InputError(f"{where} is a whole number beyond any that can be computed with; lower it") from None
    if not math.isfinite(found):
        raise InputError(f"{where} = {found}: must be a finite number")
    return found


def _union(arguments: Iterable[Any], value: Any, where: str) -> Any:
    members = [kind for kind in arguments if kind is not types.NoneType]
    if value is None:
        return None
    for kind in members[:-1]:
        try:
            return _value(kind, value, where)
        except InputError:
            continue
    return _value(members[-1], value, where)


def _spelled(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    origin = get_origin(kind)
    if origin in (tuple, Sequence):
        return f"a list, each {_spelled(get_args(kind)[0])}"
    if origin is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    if dataclasses.is_dataclass(kind) or (origin is not None and origin is not Union):
        return "a table"
    return words.get(kind, str(kind))


def scalar(value: Any) -> Any:
    """A number of numpy's or torch's as Python's; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as dicts and lists, without None (TOML has none) and what does not compare."""
    if hasattr(value, "as_table") and not isinstance(value, type):
        value = value.as_table()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
