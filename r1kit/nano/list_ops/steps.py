"""The steps that a list_ops sentence is made of: how each is said, what Python it is, what it does to a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = [
    "ALL_OPS",
    "ASK",
    "OPS",
    "THEN",
    "Expression",
    "Op",
    "Step",
    "evaluate",
    "expression",
    "extend",
    "parse_question",
    "question",
]

ASK = {"en": "list", "zh": "列表"}
"""First word of a question."""
THEN = {"en": "then", "zh": "再"}
"""Between two steps."""
_PUT = (*range(1, 11), 20, 30, 42)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One kind of step."""

    english: str
    """How a sentence says it; ``N`` is its number."""
    chinese: str
    code: str
    """Python tokens with one space between; ``E`` is the expression of the steps before."""
    run: Callable[[list[int], int], list[int]]
    """What it does to a list, given its number."""
    numbers: tuple[int, ...] = ()
    """Those that problems give it; empty if it takes none."""
    binds: bool = False
    """Binds tighter than ``+``, so that a sum before it needs brackets."""
    sums: bool = False
    """Its expression is a sum."""
    each: bool = False
    """Goes through the numbers one by one; a sentence has one such step at most, so that none is nested in another."""
    slips: tuple[str, ...] = ()
    """Ops that it is easily mistaken for."""


OPS = {
    "asc": Op(
        english="ascending",
        chinese="升序",
        code="sorted ( E )",
        run=lambda values, _: sorted(values),
        slips=("desc", "reverse"),
    ),
    "desc": Op(
        english="descending",
        chinese="降序",
        code="sorted ( E ) [::-1]",
        run=lambda values, _: sorted(values)[::-1],
        slips=("asc", "reverse"),
    ),
    "reverse": Op(
        english="reverse",
        chinese="倒序",
        code="E [::-1]",
        run=lambda values, _: values[::-1],
        binds=True,
        slips=("asc", "desc"),
    ),
    "first": Op(
        english="first N",
        chinese="前 N",
        code="E [: N ]",
        run=lambda values, number: values[:number],
        numbers=(1, 2),
        binds=True,
        slips=("last", "drop"),
    ),
    "last": Op(
        english="last N",
        chinese="后 N",
        code="E [- N :]",
        run=lambda values, number: values[-number:],
        numbers=(1, 2),
        binds=True,
        slips=("first", "drop"),
    ),
    "drop": Op(
        english="drop N",
        chinese="去 N",
        code="E [ N :]",
        run=lambda values, number: values[number:],
        numbers=(1, 2),
        binds=True,
        slips=("first", "last"),
    ),
    "prepend": Op(
        english="prepend N",
        chinese="开头 N",
        code="[ N ] + E",
        run=lambda values, number: [number, *values],
        numbers=_PUT,
        sums=True,
        slips=("append",),
    ),
    "append": Op(
        english="append N",
        chinese="末尾 N",
        code="E + [ N ]",
        run=lambda values, number: [*values, number],
        numbers=_PUT,
        sums=True,
        slips=("prepend",),
    ),
    "add": Op(
        english="add N",
        chinese="加 N",
        code="[ x + N for x in E ]",
        run=lambda values, number: [value + number for value in values],
        numbers=tuple(range(1, 10)),
        each=True,
        slips=("double", "append"),
    ),
    "double": Op(
        english="double",
        chinese="翻倍",
        code="[ x * 2 for x in E ]",
        run=lambda values, _: [value * 2 for value in values],
        each=True,
        slips=("reverse", "asc"),
    ),
    "above": Op(
        english="above N",
        chinese="大于 N",
        code="[ x for x in E if x > N ]",
        run=lambda values, number: [value for value in values if value > number],
        numbers=tuple(range(3, 8)),
        each=True,
        slips=("below",),
    ),
    "below": Op(
        english="below N",
        chinese="小于 N",
        code="[ x for x in E if x < N ]",
        run=lambda values, number: [value for value in values if value < number],
        numbers=tuple(range(3, 8)),
        each=True,
        slips=("above",),
    ),
}
"""By name, in a fixed order."""
ALL_OPS = tuple(OPS)


@dataclass(frozen=True, slots=True)
class Step:
    op: str
    """A key of ``OPS``."""
    number: int = 0
    """0 for an op that takes none."""

    def phrase(self, language: str) -> str:
        """``first 2``, or ``前 2`` where the language is ``zh``."""
        op = OPS[self.op]
        return (op.chinese if language == "zh" else op.english).replace("N", str(self.number))

    def run(self, values: list[int]) -> list[int]:
        return OPS[self.op].run(values, self.number)


@dataclass(frozen=True, slots=True)
class Expression:
    """Python over ``xs``, tokens with one space between."""

    text: str = "xs"
    sums: bool = False
    """Whether its outermost operator is ``+``."""


def extend(before: Expression, step: Step) -> Expression:
    """The expression with one step more; brackets only where Python needs them."""
    op = OPS[step.op]
    inner = f"( {before.text} )" if before.sums and op.binds else before.text
    words = {"E": inner, "N": str(step.number)}
    return Expression(" ".join(words.get(word, word) for word in op.code.split()), op.sums)


def expression(steps: Sequence[Step]) -> str:
    """``[ 42 ] + sorted ( xs )`` for ascending, then prepend 42."""
    made = Expression()
    for step in steps:
        made = extend(made, step)
    return made.text


def evaluate(steps: Sequence[Step], values: Sequence[int]) -> list[int]:
    """What the steps make of a list."""
    made = list(values)
    for step in steps:
        made = step.run(made)
    return made


def question(steps: Sequence[Step], language: str) -> str:
    """``list ascending then prepend 42``, or ``列表 升序 再 开头 42``."""
    return f"{ASK[language]} {f' {THEN[language]} '.join(step.phrase(language) for step in steps)}"


def parse_question(text: str) -> tuple[tuple[Step, ...], str] | None:
    """The steps and the language of a question; None if it is not one. Any numbers are allowed."""
    words = text.split()
    language = next((code for code, word in ASK.items() if words[:1] == [word]), None)
    if language is None:
        return None
    parts = " ".join(words[1:]).split(f" {THEN[language]} ")
    steps = [_parse_step(part.split(), language) for part in parts]
    known = tuple(step for step in steps if step is not None)
    return (known, language) if len(known) == len(steps) else None


def _parse_step(words: list[str], language: str) -> Step | None:
    for name, op in OPS.items():
        said = (op.chinese if language == "zh" else op.english).split()
        if said == words:
            return Step(name)
        if len(said) == len(words) == 2 and said[0] == words[0] and words[1].isascii() and words[1].isdigit():
            return Step(name, int(words[1][:6]))
    return None
