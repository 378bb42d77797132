"""The settings of a user's class or function, read off its fields, annotations or keyword arguments."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cache, partial
from typing import Any

from r1kit.errors import InputError
from r1kit.registry import short

__all__ = ["fields_of_call", "is_task_class", "maker", "settings_class", "settings_from"]

_CLASS_VAR = re.compile(r"(typing\.)?ClassVar\b")

_PLAIN = (int, float, str, bool)


def is_task_class(cls: type) -> bool:
    """Whether a class has what a task cannot do without."""
    return all(callable(getattr(cls, name, None)) for name in ("train", "held_out"))


@cache
def settings_class(cls: type, reference: str) -> type:
    """A frozen dataclass of the class's settings: its ``Config``, or what its fields or arguments say.

    Raises:
        InputError: an argument without a name.
    """
    own = getattr(cls, "Config", None)
    if isinstance(own, type) and dataclasses.is_dataclass(own):
        return own
    if has_fields(cls):
        return settings_from(cls.__name__, _fields(as_dataclass(cls)))
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return settings_from(cls.__name__, {})
    return settings_from(cls.__name__, fields_of_call(cls.__init__, reference, skip=("self", "name")))  # type: ignore[misc]


def maker(cls: type, *, named: bool = True) -> Callable[[str, Any], Any]:
    """(task's name, settings) -> an object of the user's class."""
    own = getattr(cls, "Config", None)
    if isinstance(own, type) and dataclasses.is_dataclass(own):
        return (lambda name, config: cls(name, config)) if named else (lambda _, config: cls(config))
    if has_fields(cls):
        return lambda _, config: as_dataclass(cls)(**_shallow(config))
    wants_name = cls.__init__ is not object.__init__ and "name" in inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    return lambda name, config: cls(**({"name": name} if wants_name else {}), **_shallow(config))


def has_fields(cls: type) -> bool:
    """Whether its settings are fields: it is a dataclass, or has annotated defaults and no ``__init__`` of its own."""
    plain = cls.__init__ is object.__init__ and bool(_annotations(cls))  # type: ignore[misc]
    return dataclasses.is_dataclass(cls) or plain


@cache
def as_dataclass(cls: type) -> type:
    """The class itself, or one like it whose annotations are fields."""
    if dataclasses.is_dataclass(cls):
        return cls
    annotations = _annotations(cls)
    defaults = {name: getattr(cls, name) for name in annotations if hasattr(cls, name)}
    space = {
        "__annotations__": annotations,
        "__module__": cls.__module__,
        **{name: dataclasses.field(default_factory=partial(copy, value)) for name, value in defaults.items()},
    }
    return dataclasses.dataclass(kw_only=True)(type(cls.__name__, (cls,), space))


def _annotations(cls: type) -> dict[str, Any]:
    """Its own and those of the classes that it is made from."""
    every = {name: kind for base in reversed(cls.__mro__) for name, kind in inspect.get_annotations(base).items()}
    return {name: kind for name, kind in every.items() if not _CLASS_VAR.match(str(kind))}  # those are no settings


def settings_from(name: str, fields: Mapping[str, tuple[Any, Any]]) -> type:
    """A frozen dataclass: setting -> (type, default; ``dataclasses.MISSING`` where it must be set)."""
    made: list[Any] = []
    for field, (kind, default) in fields.items():
        if default is dataclasses.MISSING:
            made.append((field, kind))
        else:
            made.append((field, kind, dataclasses.field(default_factory=partial(copy, default))))
    return dataclasses.make_dataclass(f"{name}Settings", made, frozen=True, kw_only=True)


def _fields(cls: type) -> dict[str, tuple[Any, Any]]:
    hints = _hints(cls)
    return {
        field.name: (
            _kind(hints.get(field.name, Any)),
            field.default if field.default_factory is dataclasses.MISSING else field.default_factory(),
        )
        for field in dataclasses.fields(cls)
        if field.init
    }


def fields_of_call(call: Any, reference: str, skip: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """Of a function's keyword arguments.

    Raises:
        InputError: an argument that has no name.
    """
    hints = _hints(call)
    found: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(call).parameters.items():
        if name in skip or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise InputError(f"{short(reference)} takes {name!r} by its place; settings are keyword arguments")
        default = dataclasses.MISSING if parameter.default is parameter.empty else parameter.default
        guessed = type(default) if isinstance(default, _PLAIN) else Any
        found[name] = (_kind(hints.get(name, guessed)), default)
    return found


def _hints(thing: Any) -> dict[str, Any]:
    """Type hints, or none where they cannot be resolved."""
    try:
        return typing.get_type_hints(thing)
    except Exception:  # names under TYPE_CHECKING and the like: the settings are then taken as they come
        return {}


def _kind(hint: Any) -> Any:
    """A hint that a recipe's table can be read by; anything else is taken as it comes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN or dataclasses.is_dataclass(hint):
        return hint
    if origin is typing.Literal:
        return hint
    if origin in (list, tuple) and arguments and arguments[0] in _PLAIN:
        return Sequence[arguments[0]]  # type: ignore[valid-type]
    if origin is dict and arguments[0] is str and arguments[1] in _PLAIN:
        return Mapping[str, arguments[1]]  # type: ignore[valid-type]
    return Any


def _shallow(config: Any) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
