"""What arrow hands over otherwise than it was meant: numbers of 32 and 16 bits as they were written, 0.1 and not the
0.10000000149011612 that the same bits are in 64; texts that a writer kept as bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy

__all__ = ["as_tables"]

_NARROW: Mapping[str, Callable[[float], Any]] = {"float": numpy.float32, "halffloat": numpy.float16}
"""Arrow's name of a type -> what spells its numbers."""
_Spell = Callable[[Any], Any]


def as_tables(batch: Any) -> list[dict[str, Any]]:
    """The rows of an arrow batch or table, each narrow number in its shortest spelling, bytes that are UTF-8 as text,
    nested ones too."""
    rows = batch.to_pylist()
    spell = _of_fields(batch.schema)
    return [spell(row) for row in rows] if spell else rows


def _of_fields(fields: Any) -> _Spell | None:
    found = {field.name: spell for field in fields if (spell := _of_type(field.type)) is not None}
    if not found:
        return None
    return lambda row: row | {name: _unless_null(found[name], row[name]) for name in found}


def _of_type(kind: Any) -> _Spell | None:
    """How values of an arrow type are spelled; None where neither a narrow number nor bytes are in them."""
    import pyarrow.types as types  # type: ignore[import-untyped]

    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return _read

    if narrow := _NARROW.get(str(kind)):
        return lambda value: float(str(narrow(value)))
    if types.is_struct(kind):
        return _of_fields(kind)
    if types.is_map(kind):
        spell = _of_type(kind.item_type)
        return spell and partial(_pairs, spell)
    spell = _of_type(kind.value_type) if hasattr(kind, "value_type") else None
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return spell
    return spell and partial(_list, spell)


def _read(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _pairs(spell: _Spell, pairs: Any) -> list[tuple[Any, Any]]:
    return [(key, _unless_null(spell, value)) for key, value in pairs]


def _list(spell: _Spell, values: Any) -> list[Any]:
    return [_unless_null(spell, value) for value in values]


def _unless_null(spell: _Spell, value: Any) -> Any:
    return None if value is None else spell(value)
