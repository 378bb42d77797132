"""Problems with inputs and outputs, in the layouts of the field; a line is read by the columns that it has.

===========================================================  =========================================================
columns with the tests                                       known from
===========================================================  =========================================================
``tests``, ``test_cases``, ``official_tests``                our own, DeepCoder, codeforces: a list of tests
``input_output``                                             APPS, TACO: ``inputs``, ``outputs``, ``fn_name``
``public_tests``, ``private_tests``, ``generated_tests``     CodeContests: ``input`` and ``output`` lists
``public_test_cases``, ``private_test_cases``, ``metadata``  LiveCodeBench: a list of tests, plain or packed
``verification_info``                                        open-r1: ``test_cases``
``reward_model``                                             verl: ``ground_truth`` as in APPS
``test_cases``, ``test``, ``unit_tests``                     AceCode, KodCode, OpenCodeInstruct: asserts, or what
                                                             pytest would run
===========================================================  =========================================================

A test is ``{"stdin", "stdout"}``, ``{"call", "expect"}`` or ``{"input", "output"}``; the last is a call where it or its
line names a function, whose ``input`` is then the list of arguments, or text with one argument a line.

Not covered: checkers of problems with several right outputs, interactive problems, and arguments that are objects.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from r1kit.data.chats import question_in
from r1kit.errors import InputError
from r1kit.files import Line, brief
from r1kit.records import Message
from r1kit.sandbox import AssertTest, CallTest, Case, StdinTest, parse_case
from r1kit.sandbox.extract import asked_by
from r1kit.tasks.code.files.asserts import written_cases

__all__ = ["SOURCES", "opened_tests", "question_of", "starter_of", "tests_of"]

SOURCES = (
    "tests", "test_cases", "official_tests", "input_output", "public_tests", "private_tests", "generated_tests",
    "public_test_cases", "private_test_cases", "verification_info", "reward_model", "test", "unit_tests",
)  # fmt: skip
QUESTIONS = (
    "prompt", "question", "question_content", "problem", "problem_statement", "description", "instruction", "text",
    "input",
)  # fmt: skip
_INPUT, _OUTPUT = ("input", "inputs", "stdin"), ("output", "outputs", "stdout", "expected_output", "expected")
_ASSERTS = re.compile(r"^\s*(?:assert\b|(?:with\s+)?(?:self\.assert|pytest\.raises\b))", re.MULTILINE)
_NAMES = ("fn_name", "func_name", "entry_point")
_PARTS = ("test_cases", "ground_truth", "tests", "input_output")
"""Where a table keeps its tests, if it holds no inputs itself."""


def question_of(line: Line) -> tuple[str, tuple[Message, ...] | None]:
    """(the question, what stands before it where it is a chat). Raises InputError as ``question_in`` does."""
    return question_in(line, QUESTIONS)


def starter_of(line: Line) -> str:
    """Code that an answer begins with; empty where there is none."""
    return line.text("starter_code", default="").strip("\n")


def tests_of(line: Line) -> tuple[tuple[Case, ...], str]:
    """(tests, the function that they call; empty for programs that read and print).

    Raises:
        InputError: no tests, or some that cannot be used.
    """
    given = [key for key in SOURCES if line.table.get(key) not in (None, "", [], {})]
    if not given:
        empty = [key for key in SOURCES if line.table.get(key) is not None]
        if empty:
            raise InputError(f"{line.where}: {empty[0]!r} must be a list of tests, got {brief(line.table[empty[0]])}")
        raise line.lacks("'tests'", "tests")
    named = _function(line)
    cases: list[Case] = []
    for key in given:
        try:
            value = line.table[key]
            if (written := _written_tests(value)) is not None:
                cases += written
                continue
            for place, entry in enumerate(_entries(opened_tests(value))):
                cases.append(_case(entry, named, f"{line.where}: {key}[{place}]"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{line.where}: {key!r} cannot be used: {error}") from None
        except SyntaxError as error:
            raise InputError(f"{line.where}: {key!r} cannot be used: {error.msg}") from None
    if not cases:
        raise InputError(f"{line.where}: {given[0]!r} holds no test")
    if len({isinstance(case, StdinTest) for case in cases}) > 1:
        raise InputError(f"{line.where}: tests are all calls or all standard input, not both")
    names = set(asked_by(cases).names)
    return tuple(_unwrapped(cases)), names.pop() if len(names) == 1 else ""


def _written_tests(value: Any) -> list[CallTest | AssertTest] | None:
    """Tests that are Python: a program of them, or a list of asserts; None for anything else."""
    if isinstance(value, Mapping):
        return _written_tests(next((value[key] for key in _PARTS if value.get(key) is not None), None))
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) for text in texts):
        return None
    if not any(_ASSERTS.search(text) for text in texts):
        return _written_tests(opened_tests(value)) if isinstance(value, str) and value.lstrip()[:2] == '["' else None
    return [case for text in texts for case in written_cases(text)]


def _function(line: Line) -> str:
    """The name that a line gives for all of its tests."""
    metadata = line.table.get("metadata")
    try:
        metadata = opened_tests(metadata)
    except ValueError:
        metadata = None
    for table in (metadata, line.table):
        if isinstance(table, Mapping):
            for key in _NAMES:
                if isinstance(name := table.get(key), str) and name.strip():
                    return name.strip()
    return ""


def _entries(value: Any) -> Iterator[Mapping[str, Any]]:
    """Each test as a table.

    Raises:
        ValueError: that is no list of tests.
    """
    if isinstance(value, Mapping):
        inputs, outputs = _first(value, _INPUT), _first(value, _OUTPUT)
        name = {key: value[key] for key in _NAMES if value.get(key)}
        if isinstance(inputs, (list, tuple)) and isinstance(outputs, (list, tuple)):
            if len(inputs) != len(outputs):
                raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs")
            yield from ({**name, "input": one, "output": other} for one, other in zip(inputs, outputs, strict=True))
        elif part := next((key for key in _PARTS if value.get(key) is not None), ""):
            yield from ({**name, **entry} for entry in _entries(opened_tests(value[part])))
        else:
            raise ValueError(f"no inputs and outputs in it; it has {', '.join(map(str, value)) or 'nothing'}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            if not isinstance(entry, Mapping):
                raise ValueError(f"a test is an object, got {brief(entry)}")
            yield entry
    else:
        raise ValueError(f"must be a list of tests, got {brief(value)}")


def _first(table: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((table[key] for key in keys if table.get(key) is not None), None)


def _case(entry: Mapping[str, Any], named: str, where: str) -> Case:
    given, expected = _first(entry, _INPUT), _first(entry, _OUTPUT)
    if "call" in entry or "stdin" in entry or given is None or expected is None:
        return parse_case(entry, where)
    kind = str(entry.get("type") or entry.get("testtype") or "")
    name = next((str(entry[key]) for key in _NAMES if entry.get(key)), named)
    if name and not kind.startswith("stdin"):
        arguments, value = _arguments(given), _value(expected) if isinstance(given, str) else expected
        return CallTest(f"{name}({', '.join(map(_written, arguments))})", value)
    return StdinTest(_lines(given), _lines(expected))


def _arguments(given: Any) -> list[Any]:
    """A list of arguments as it is; text has one a line, as JSON, and is one argument where it is none."""
    if not isinstance(given, str):
        return list(given) if isinstance(given, (list, tuple)) else [given]
    return [_value(part) for part in given.split("\n") if part.strip()]


def _value(text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text


def _written(value: Any) -> str:
    """A JSON value as Python."""
    return repr(value).replace("nan", "float('nan')") if value != value else repr(value)


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _unwrapped(cases: list[Case]) -> list[Case]:
    """APPS and TACO write most returned values as a list of one, and some as they are: where every value of a problem
    is such a list, what it holds is as right."""
    calls = [case for case in cases if isinstance(case, CallTest)]
    if not calls or not all(isinstance(case.expect, list) and len(case.expect) == 1 for case in calls):
        return cases
    return [CallTest(case.call, case.expect, others=(case.expect[0],)) for case in calls]


LARGEST = 256 << 20
"""Bytes, unpacked."""
_HARMLESS = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}
_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


def opened_tests(value: Any) -> Any:
    """The value itself, or what its text holds.

    Raises:
        ValueError: it is neither JSON nor packed JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        reason = f"not JSON ({error})"
    try:
        packed = base64.b64decode(value, validate=True)
        unpacking = zlib.decompressobj()
        unpacked = unpacking.decompress(packed, LARGEST)
        if unpacking.unconsumed_tail:
            raise ValueError(f"more than {LARGEST >> 20} MB unpacked")
    except (binascii.Error, zlib.error):
        raise ValueError(reason) from None
    return json.loads(_pickled_text(unpacked) if unpacked[:1] == b"\x80" else unpacked.decode("utf-8"))


def _pickled_text(pickled: bytes) -> str:
    """The one text that a pickle holds. Nothing is unpickled: its operations are read, and any that could do more than
    hold a text is refused."""
    texts = []
    if not pickled.endswith(b"."):
        raise ValueError("not a pickle: it is cut")
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name in _TEXTS:
                texts.append(argument)
            elif operation.name not in _HARMLESS:
                raise ValueError(f"a pickle of more than one text ({operation.name}); it is not opened")
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"not a pickle: {error}") from None
    if len(texts) != 1:
        raise ValueError("a pickle that holds no text; it is not opened")
    return str(texts[0])
