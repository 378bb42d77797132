"""A chat template as a program: whether it can be parsed, what it looks at, which day it tells. No torch."""

from __future__ import annotations

import json
import re
from datetime import date

__all__ = ["as_of", "reads", "syntax_fault"]

DIRECTIVES = (*"aAbBcdHIjmMpSUwWxXyY", "-d", "-m")
"""Of ``strftime``, that a day has; the hours of it are 0."""


def as_of(source: str, day: date) -> str:
    """A chat template's source in which ``strftime_now``, which `transformers` gives every template, tells this day."""
    written = "".join(f"|replace('%{each}', {json.dumps(day.strftime(f'%{each}'))})" for each in DIRECTIVES)
    return "{% macro strftime_now(format) %}{{ format" + written + " }}{% endmacro %}{{ '' }}" + source


GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now", "namespace"}
"""Names that every template is given."""


def syntax_fault(source: str) -> str:
    """What is wrong with a template as Jinja; empty where it can be parsed."""
    from jinja2 import Environment, TemplateSyntaxError

    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(_plain(source))
    except TemplateSyntaxError as error:
        return f"{error.message} (line {error.lineno})"
    return ""


def _plain(source: str) -> str:
    """Without the marks of ``transformers``, which are not Jinja's."""
    return re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", source)


def reads(source: str) -> tuple[str, ...]:
    """Names that a template looks up before it sets them, and that are not given to every template."""
    from jinja2 import Environment, TemplateSyntaxError, meta

    plain = _plain(source)
    jinja = Environment(extensions=["jinja2.ext.loopcontrols"])
    try:
        found = meta.find_undeclared_variables(jinja.parse(plain))
    except TemplateSyntaxError:
        return ()
    words = [text for _, kind, text in jinja.lex(plain) if kind in ("name", "operator")]
    own = set()
    for name in found & set(words):
        first = next(at for at, word in enumerate(words) if word == name and words[at - 1 : at] != ["."])
        if words[first - 1 : first] == ["set"]:
            own.add(name)
    return tuple(sorted(name for name in found - GIVEN - own if not name.endswith("_token")))
