"""JSON that a model wrote: read strictly, checked by a schema, compared by value. Nothing here trusts its text.

What is refused as JSON: NaN and infinity, numbers that become infinite, more than ``DIGITS`` digits, a key that an
object has twice, more than ``DEPTH`` brackets inside one another, more than ``LONGEST`` characters, anything before or
after the value but one fence around it. A schema may not refer outside itself, so that no verdict asks a network.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from r1kit.errors import InputError, MissingError

__all__ = ["DEPTH", "DIGITS", "LONGEST", "NotJson", "Schema", "holds", "read_json", "same_json"]

LONGEST = 100_000
"""Characters of an answer."""
DEPTH = 64
DIGITS = 300
_FENCED = re.compile(r"```[ \t]*(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class NotJson(ValueError):
    """Why a text is no JSON, in a few words."""


def read_json(text: str) -> Any:
    """The value that a text holds, a fence of Markdown around it aside.

    Raises:
        NotJson: it holds none, or one that is not plain.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise NotJson(f"longer than {LONGEST} characters")
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    if _depth(text) > DEPTH:
        raise NotJson(f"more than {DEPTH} brackets inside one another")
    try:
        return json.loads(text, parse_int=_int, parse_float=_float, parse_constant=_constant, object_pairs_hook=_object)
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg.removesuffix(' at')} at character {error.pos + 1}") from None
    except (ValueError, RecursionError) as error:
        raise NotJson(type(error).__name__) from None


def _depth(text: str) -> int:
    """Brackets inside one another at most, those within strings left out."""
    depth = most = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            most = max(most, depth)
        elif character in "]}":
            depth -= 1
    return most


def _int(text: str) -> int:
    if len(text) > DIGITS:
        raise NotJson(f"a number of {len(text)} characters")
    return int(text)


def _float(text: str) -> float:
    if len(text) > DIGITS or not math.isfinite(value := float(text)):
        raise NotJson(f"a number that is too large or too long: {text[:20]}")
    return value


def _constant(name: str) -> Any:
    raise NotJson(f"{name} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise NotJson(f"an object has the key {twice[:40]!r} twice")
    return found


def same_json(one: Any, other: Any) -> bool:
    """Whether two values are equal as JSON: 1 is 1.0, and True is no 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return type(one) is type(other) and bool(one == other)


def holds(value: Any, expected: Any) -> bool:
    """Whether a value is what is expected: of an object, at any level, the keys that are named; the rest whole."""
    if isinstance(expected, Mapping):
        return isinstance(value, dict) and all(
            name in value and holds(value[name], inner) for name, inner in expected.items()
        )
    return same_json(value, expected)


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON Schema that was looked at; of draft 2020-12 unless its ``$schema`` says another."""

    _validator: Any

    @classmethod
    def of(cls, table: Any, where: str) -> Schema:
        """From an object, or from its text.

        Raises:
            InputError: it is no schema, refers outside itself or to itself without end; ``where`` begins the line.
            MissingError: jsonschema is not installed.
        """
        try:
            import jsonschema
            from referencing import Registry
            from referencing.exceptions import Unresolvable
        except ImportError:
            raise MissingError(
                "JSON schemas are checked by the package jsonschema, which is not installed: pip install jsonschema"
            ) from None
        if isinstance(table, str):
            try:
                table = json.loads(table)
            except (ValueError, RecursionError):
                raise InputError(f"{where}: the schema is no JSON") from None
        if not isinstance(table, dict):
            raise InputError(f"{where}: a schema is an object, such as {{'type': 'object', 'required': ['answer']}}")
        newest = jsonschema.Draft202012Validator
        kind = jsonschema.validators.validator_for(table, default=None if "$schema" in table else newest)
        if kind is None:
            raise InputError(
                f"{where}: $schema = {str(table['$schema'])[:100]!r} names no draft that is known; leave it out for "
                f"draft 2020-12, {newest.META_SCHEMA['$id']}"
            )
        try:
            kind.check_schema(table)
            for reference in _references(table):
                if not reference.startswith("#"):
                    raise InputError(
                        f"{where}: the schema refers to {reference!r}; a schema may refer to its own parts alone, as "
                        f"in '#/$defs/part'"
                    )
            validator = kind(table, registry=Registry())
            for probe in ("null", "{}", "[]"):
                validator.is_valid(json.loads(probe))
        except jsonschema.SchemaError as error:
            raise InputError(f"{where}: no JSON schema: {' '.join(error.message.split())[:200]}") from None
        except Unresolvable as error:
            raise InputError(f"{where}: the schema refers to {error.ref!r}, which it does not have") from None
        except RecursionError:
            raise InputError(f"{where}: the schema is nested too deep, or refers to itself without end") from None
        return cls(validator)

    def fault(self, value: Any) -> str:
        """Why a value does not satisfy it, in one line; empty where it does."""
        error = next(iter(self._validator.iter_errors(value)), None)
        if error is None:
            return ""
        return _spelled(error)

    def never(self, part: Any) -> str:
        """Why no object that holds ``part`` satisfies it, whatever other keys it has; empty where one might."""
        for error in self._validator.iter_errors(part):
            fixed = error.validator in ("type", "additionalProperties") or not isinstance(error.instance, dict | list)
            if fixed and not {"then", "else", "dependentSchemas"} & set(error.absolute_schema_path):
                return _spelled(error)
        return ""


def _spelled(error: Any) -> str:
    at = "".join(f"[{part!r}]" for part in error.absolute_path)
    return " ".join(f"{at + ': ' if at else ''}{error.message}".split())[:200]


def _references(table: Any) -> Iterator[str]:
    """What the parts of a schema refer to."""
    todo = [table]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield from (one[name] for name in _REFERENCES if isinstance(one.get(name), str))
            todo += one.values()
        elif isinstance(one, list):
            todo += one
