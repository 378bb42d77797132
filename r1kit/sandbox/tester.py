"""The half of a run that holds tests which are more than a call with a value to expect, such as loops of asserts.

It runs behind the walls, in a process that never runs the program: what the tests call are stand-ins, which ask the
program's process over a pipe (``program.answer``). Only plain data comes back, of exactly its types, so no object of
the program's makes a comparison come out as it likes, and what the program patches is patched elsewhere. Anything else
that the program gives stays there; its stand-in can be called, indexed and looped over, but compared with nothing.

Handed over as source text; it imports the standard library beside it alone.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

from r1kit.sandbox.plain import decode, encode
from r1kit.sandbox.program import Results, described, kind_of

ASK_FD, ANSWER_FD = 4, 5
LARGEST = 16
"""Times what all values of a run may take, in bytes that the program sends: stand-ins ask for more than results do."""
_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, (Exception, SystemExit))
    and kind not in (StopIteration, StopAsyncIteration)
}
"""What a program may raise in the tests' process. Not what ends a loop over ``map(f, ...)`` there without a word."""


class Gone(BaseException):
    """The program's process has ended, or broken the protocol."""


class Link:
    """The pipe to the program."""

    def __init__(self, budget: int) -> None:
        self.left = budget * LARGEST
        self.rest = b""
        self.gone = False
        self.errors = dict(_EXCEPTIONS)
        """By name, with those that the tests define or import."""

    def receive(self) -> dict[str, Any]:
        """One message."""
        while b"\n" not in self.rest:
            chunk = os.read(ANSWER_FD, 1 << 16)
            self.left -= len(chunk)
            if not chunk or self.left < 0:
                raise self._gone("it ended before its tests were over" if not chunk else "it sent too much")
            self.rest += chunk
        line, _, self.rest = self.rest.partition(b"\n")
        try:
            message = json.loads(line)
        except (ValueError, RecursionError, MemoryError):
            message = None
        if not isinstance(message, dict):
            raise self._gone("what it sent is no message")
        return message

    def _gone(self, why: str) -> Gone:
        self.gone = True
        return Gone(why)

    def ask(self, what: str, of: Any, *args: Any, **kwargs: Any) -> Any:
        """What the program says: plain data, or a stand-in; raises what it raised, as the nearest built-in error."""
        given = [encode(value, [self.left], _number) for value in (*args, *kwargs.values())]
        line = json.dumps([what, of, given, list(kwargs)]).encode() + b"\n"
        try:
            while line:
                line = line[os.write(ASK_FD, line) :]
        except BrokenPipeError:
            raise self._gone("it ended before its tests were over") from None
        message = self.receive()
        for place, after in message.get("changed") or []:
            _change(args[place], decode(after, self.stand_in))
        if "value" in message:
            try:
                return decode(message["value"], self.stand_in)
            except (ValueError, TypeError, OverflowError):
                raise TypeError("what it gave is not plain data") from None
        raise self._error(message)

    def _error(self, message: dict[str, Any]) -> BaseException:
        """The same built-in error; for one of the program's own a class of its name, under all that it is."""
        text, names = str(message.get("text", "")), message.get("types")
        names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        kinds = tuple(self.errors[name] for name in names if name in self.errors)
        try:
            given = decode(message.get("args", [text]), self.stand_in)
            if names[0] in _EXCEPTIONS:
                return kinds[0](*given)
            made: BaseException = type(names[0], kinds, {"__str__": lambda _: text})(*given)
            return made
        except (TypeError, ValueError, OverflowError, IndexError):  # not as Python's own would tell it
            return RuntimeError(text)

    def stand_in(self, number: Any) -> StandIn:
        return StandIn(self, int(number))


def _number(value: Any) -> Any:
    if isinstance(value, StandIn):
        return object.__getattribute__(value, "_of")
    raise TypeError(f"the tests give it a {type(value).__name__}, which cannot cross to the program")


def _change(argument: Any, after: Any) -> None:
    """Do to an argument what the program did to its copy."""
    if isinstance(argument, list) and isinstance(after, list):
        argument[:] = after
    elif isinstance(argument, (dict, set)) and type(argument) is type(after):
        argument.clear()
        argument.update(after)


class StandIn:
    """Something of the program's, by its name or its number."""

    def __init__(self, link: Link, of: Any) -> None:
        self._link, self._of = link, of

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.ask("call", self._of, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.ask("get", self._of, name)

    def __getitem__(self, key: Any) -> Any:
        return self._link.ask("item", self._of, key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._link.ask("list", self._of))

    def __len__(self) -> int:
        return len(self._link.ask("list", self._of))

    def __str__(self) -> str:
        return str(self._link.ask("str", self._of))

    def _compared(self, *_: Any) -> Any:
        raise TypeError("it gave what is not plain data, which is compared with nothing")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __hash__ = _compared  # type: ignore[assignment]


def test(job: tuple[str, tuple[str, ...], tuple[str, ...]], results: Results) -> None:
    """Run each test and say what came of it; the program's own first messages are passed on."""
    setup, tests, names = job
    link = Link(results.budget)
    try:
        if not _began(link, results):
            return
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        try:
            exec(compile(setup, "<setup>", "exec", dont_inherit=True), module.__dict__)
            link.errors |= {
                name: kind
                for name, kind in vars(module).items()
                if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, StopIteration)
            }
            module.__dict__.update({name: StandIn(link, name) for name in names})
        except BaseException as error:
            results.tell({"raised": f"what the question gives fails: {described(error)}", "kind": "error"})
            return
        results.tell({"ran": True})
        for text in tests:
            _one(text, module.__dict__, results, link)
    except Gone as error:
        results.tell({"raised": str(error), "kind": "error"})


def _began(link: Link, results: Results) -> bool:
    """Whether the program is loaded; if not, why not is passed on."""
    first = link.receive()
    if first.get("parsed") is not True:
        results.tell({"syntax": str(first.get("syntax"))[:400]})
        return False
    results.tell({"parsed": True})
    second = link.receive()
    if second.get("ran") is not True:
        results.tell(
            {"raised": str(second.get("raised"))[:400], "kind": "memory" if second.get("kind") == "memory" else "error"}
        )
        return False
    return True


def _one(text: str, names: dict[str, Any], results: Results, link: Link) -> None:
    try:
        try:
            exec(compile(text, "<test>", "exec", dont_inherit=True), names)
        finally:
            if link.gone:  # whatever the test caught
                raise Gone("it ended before its tests were over")
    except AssertionError as error:
        said = str(error)[:200]
        results.tell({"raised": "the assert fails" + (f": {said}" if said else ""), "kind": "wrong"})
    except Gone:
        raise
    except BaseException as error:
        failed = type(error).__name__ == "Failed"  # of plain_pytest.py
        results.tell({"raised": described(error), "kind": "wrong" if failed else kind_of(error)})
    else:
        results.value(True)
