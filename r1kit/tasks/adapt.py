"""What a user's reference names, made one of ours: a task or corpus class that has a ``Config``."""

from __future__ import annotations

import inspect
from typing import Any

from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.registry import short
from r1kit.tasks.corpus import Corpus
from r1kit.tasks.user import UserTask, calling, spelled
from r1kit.tasks.user_prompts import from_function
from r1kit.tasks.user_settings import is_task_class, maker, settings_class

__all__ = ["adapted", "adapted_corpus"]

METHODS = {"train": ("index",), "held_out": ("split", "limit"), "grade": ("prompt", "answer")}


def adapted(thing: Any, reference: str) -> Any:
    """A class of ours around the user's class or function: it has a ``Config`` and is built as ``cls(name, config)``.

    Raises:
        InputError: it is neither, or lacks a method.
    """
    if not callable(thing):
        raise InputError(f"{short(reference)} is no task; write a class, or a function that yields prompts")
    if not isinstance(thing, type):
        return from_function(thing, reference)
    if not is_task_class(thing):
        lacking = [name for name in ("train", "held_out") if not callable(getattr(thing, name, None))]
        raise InputError(
            f"{short(reference)} has no {' and no '.join(lacking)}; a task has train(self, index), "
            f"held_out(self, split, limit) and grade(self, prompt, answer)"
        )
    for method, parameters in METHODS.items():
        _check_signature(thing, method, parameters, reference)
    config, make = settings_class(thing, reference), maker(thing)

    class Adapted(UserTask):
        Config = config

        def __init__(self, name: str, config: Any) -> None:
            own = calling(reference, lambda: make(name, config))
            super().__init__(name, own, reference)

    return Adapted


def _check_signature(cls: type, method: str, parameters: tuple[str, ...], reference: str) -> None:
    """Raise InputError unless the method, where there is one, can be called with these parameters by their places."""
    found = inspect.getattr_static(cls, method, None)
    if found is None or isinstance(found, (staticmethod, classmethod)):
        return
    try:
        inspect.signature(getattr(cls, method)).bind(None, *parameters)
    except TypeError:
        given = ", ".join(inspect.signature(getattr(cls, method)).parameters)
        wanted = ", ".join(("self", *parameters))
        raise InputError(f"{short(reference)}.{method} takes ({given}); write {method}({wanted})") from None


def adapted_corpus(thing: Any, reference: str) -> Any:
    """A class of ours around a user's corpus: a class with ``document`` and ``vocabulary``.

    Raises:
        InputError: it lacks one of them.
    """
    lacking = [name for name in ("document", "vocabulary") if not callable(getattr(thing, name, None))]
    if not isinstance(thing, type) or lacking:
        raise InputError(
            f"{short(reference)} is no corpus; write a class with document(self, index) -> str and "
            f"vocabulary(self) -> list of words"
        )
    config, make = settings_class(thing, reference), maker(thing, named=False)

    class Adapted(Corpus):
        Config = config

        def __init__(self, config: Any) -> None:
            self._own = calling(reference, lambda: make("", config))

        def document(self, index: int) -> str:
            given = calling(reference, lambda: self._own.document(index))
            if not isinstance(given, str) or not given.strip():
                raise InputError(f"{short(reference)}.document({index}) gave {spelled(given)}; it must be text")
            return given

        def vocabulary(self) -> list[str]:
            given = list(dict.fromkeys(calling(reference, lambda: list(self._own.vocabulary()))))
            if not given or not all(isinstance(word, str) for word in given):
                raise InputError(f"{short(reference)}.vocabulary gave {spelled(given)}; it must be a list of words")
            return given

        def shows(self, prompt: Prompt) -> bool:
            return callable(getattr(self._own, "shows", None)) and bool(
                calling(reference, lambda: self._own.shows(prompt))
            )

    return Adapted
