"""JSON of a model, read strictly and checked by a schema."""

from __future__ import annotations

import json
import random
import re
from importlib.util import find_spec
from typing import Any

import pytest

from r1kit.answers.structured import DEPTH, NotJson, Schema, holds, read_json, same_json
from r1kit.errors import InputError

needs_jsonschema = pytest.mark.skipif(find_spec("jsonschema") is None, reason="jsonschema is not installed")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"answer": 24} ', {"answer": 24}),
        ('```json\n{"answer": 24}\n```', {"answer": 24}),
        ("```\n[1, 2]\n```", [1, 2]),
        ('"]]]]}"', "]]]]}"),
        ('"\\"[["', '"[['),
        ("[" * DEPTH + "]" * DEPTH, json.loads("[" * DEPTH + "]" * DEPTH)),
        ("null", None),
        ('{"a": {"a": 1}}', {"a": {"a": 1}}),
    ],
)
def test_what_is_json(text: str, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "Expecting value at character 1"),
        ('{"answer": 24', "Expecting"),
        ('{"answer": 24,}', "property name|trailing comma"),
        ("{answer: 24}", "property name"),
        ("{'answer': 24}", "property name"),
        ('The answer is {"answer": 24}', "Expecting value"),
        ('{"answer": 24} {"answer": 25}', "Extra data"),
        ('{"answer": 24, "answer": 25}', "has the key 'answer' twice"),
        ("{" + "".join(f'"{i}":1,' for i in range(11_000)) + '"twice":1,"twice":1}', "has the key 'twice' twice"),
        ('{"answer": NaN}', "NaN is no JSON"),
        ("[-Infinity]", "Infinity is no JSON"),
        ('{"answer": 1e999}', "too large"),
        ("9" * 5000, "a number of 5000 characters"),
        ("0." + "9" * 5000, "too large or too long"),
        ("[" * (DEPTH + 1) + "]" * (DEPTH + 1), "brackets inside one another"),
        ("[" * 60_000, "brackets inside one another"),
        ('{"a":' * 20_000, "brackets inside one another|longer"),
        ('"' + "x" * 100_001 + '"', "longer than"),
        ('"a\nb"', "control character"),
    ],
)
def test_what_is_not(text: str, why: str) -> None:
    with pytest.raises(NotJson, match=why):
        read_json(text)


def test_any_text_is_read_or_refused() -> None:
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(rng.choice('{}[]",:0123456789eE+-.\\ntrufalsN\ud800 ') for _ in range(rng.randrange(30)))
        try:
            value = read_json(text)
        except NotJson:
            continue
        assert json.loads(text.strip()) == value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True), (True, 1, False), (0, False, False), ([1], [True], False), ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"b": 1}, False), ("1", 1, False), (None, False, False), ([1, 2], [2, 1], False), (None, None, True),
        (10**30, 1e30, 10**30 == 1e30),
    ],
)  # fmt: skip
def test_equal_as_json(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same
    assert same_json(other, one) is same


def test_what_is_expected_names_keys() -> None:
    assert holds({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}})
    assert not holds({"a": {"b": 1}}, {"a": {"b": True}})
    assert not holds({"a": [1, 2]}, {"a": [1]})
    assert not holds([1], {"a": 1})


@needs_jsonschema
def test_a_schema_says_what_is_wrong() -> None:
    schema = Schema.of({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}, "s")
    assert schema.fault({"answer": 24}) == ""
    assert schema.fault({"answer": 24.0}) == ""
    assert "is not of type 'integer'" in schema.fault({"answer": True})
    assert "'answer' is a required property" in schema.fault({})
    assert "['answer']: " in schema.fault({"answer": "24"})


@needs_jsonschema
@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ([1], "a schema is an object"),
        ("{", "the schema is no JSON"),
        ({"type": "integr"}, "no JSON schema: 'integr'"),
        ({"$ref": "http://example.com/s.json"}, "its own parts alone"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "its own parts alone"),
        ({"$ref": "#/$defs/part"}, "which it does not have"),
        ({"$ref": "#"}, "without end"),
        ({"$schema": "http://json-schema.org/draft-99/schema"}, "names no draft that is known; leave it out"),
        ({"pattern": "("}, "no JSON schema|is not a 'regex'"),
    ],
)
def test_a_schema_that_cannot_be_used_is_one_line(schema: Any, why: str) -> None:
    with pytest.raises(InputError, match=rf"^f\.jsonl:1: .*({why})"):
        Schema.of(schema, "f.jsonl:1")


@needs_jsonschema
@pytest.mark.parametrize(
    ("schema", "part", "why"),
    [
        ({"required": ["a", "b"]}, {"b": 1}, ""),
        ({"type": "array"}, {"b": 1}, "is not of type 'array'"),
        ({"properties": {"a": {"type": "string"}}}, {"a": 1}, r"\['a'\]: 1 is not of type 'string'"),
        ({"properties": {"a": {"enum": [1, 2]}}}, {"a": 3}, r"\['a'\]: 3 is not one of"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, "'b' was unexpected"),
        ({"properties": {"a": {"required": ["c"]}}}, {"a": {"d": 1}}, ""),
        ({"if": {"required": ["a"]}, "else": {"properties": {"b": {"type": "string"}}}}, {"b": 1}, ""),
        ({"anyOf": [{"required": ["a"]}, {"required": ["c"]}]}, {"b": 1}, ""),
    ],
)
def test_what_no_further_key_mends(schema: Any, part: Any, why: str) -> None:
    found = Schema.of(schema, "f.jsonl:1").never(part)
    assert re.search(why, found) if why else not found
