r"""Expressions of whole numbers as Countdown players write them: read, worked out in exact fractions, written again.

The usual precedence, brackets, unary signs; ``*`` may be written ``×``, ``·``, ``x``, ``\times`` or ``\cdot``, ``/``
as ``÷``, ``\div`` or ``\frac{a}{b}``, and square brackets are brackets. Not read: powers, decimals, ``//``, two
numbers side by side, numbers with a leading zero. Nothing is evaluated as code, and no float occurs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

__all__ = [
    "LONGEST",
    "Step",
    "Tree",
    "canonical",
    "equation_holds",
    "keeps",
    "numbers_of",
    "read",
    "read_answer",
    "value_of",
    "written",
]

LONGEST = 300
"""Characters of an expression that is looked at."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation."""

    op: str
    """``+``, ``-``, ``*`` or ``/``."""
    left: Tree
    """0 where a minus sign has nothing before it, which ``signed`` tells from a written 0."""
    right: Tree
    signed: bool = False


Tree: TypeAlias = "int | Step"

_SPELLINGS = {
    "\\times": "*", "\\cdot": "*", "\\ast": "*", "\\div": "/", "\\left": "", "\\right": "", "\\,": " ", "\\;": " ",
    "\\!": "", "\\quad": " ", "\\displaystyle": "", "×": "*", "·": "*", "∙": "*", "⋅": "*", "＊": "*", "✕": "*",
    "✖": "*", "⨯": "*", "∗": "*", "•": "*", "x": "*", "X": "*", "÷": "/", "∕": "/", "／": "/", "⁄": "/", "➗": "/",
    "➕": "+", "➖": "-",
    "−": "-", "–": "-", "－": "-", "＋": "+", "（": "(", "）": ")", "［": "[", "］": "]", "＝": "=",
}  # fmt: skip
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_MARKS = re.compile(r"\\(?:boxed|fbox|text|mathrm|mathbf)\s*\{([^{}]*)\}|\A\s*\*\*(.+?)\*\*\s*\Z|[$`]|\\[()\[\]]")
_SAID = re.compile(r"\s*(?:the )?(?:final )?(?:answer|expression|solution)(?: is:?|:)\s+", re.IGNORECASE)
_WORD = re.compile(r"\s*(0|[1-9][0-9]*|[-+*/()\[\]])", re.ASCII)
_CLOSING = {"(": ")", "[": "]"}


def _plain(text: str) -> str:
    """Signs in their plain spelling, fractions with ``/``."""
    while (inside := _FRACTION.sub(r"((\1)/(\2))", text)) != text:
        text = inside
    for spelling, sign in _SPELLINGS.items():
        text = text.replace(spelling, sign)
    return text


def read(text: str) -> Tree | None:
    """The expression, and nothing beside it; None if it is not one."""
    text = _plain(text[: LONGEST + 1]).strip()
    if len(text) > LONGEST:
        return None
    words: list[str] = []
    place = 0
    while place < len(text):
        found = _WORD.match(text, place)
        if found is None or (found[1].isdigit() and words and words[-1].isdigit()):
            return None
        words.append(found[1])
        place = found.end()
    try:
        reader = _Reader(words)
        tree = reader.sum()
    except (_Unread, RecursionError):
        return None
    return tree if reader.place == len(words) else None


def read_answer(text: str) -> Tree | None:
    """An answer's expression: ``Answer:`` before it, bold, dollars, backticks, boxes and a last full stop do not count.

    Of a chain, ``(12 - 5) * 12 = 7 * 12 = 84``, the side with most numbers, the first of several; all sides must be
    worth the same, so that a side more is no guess more. None: no expression, or a chain that does not hold.
    """
    text = text[: 2 * LONGEST]
    if said := _SAID.match(text):
        text = text[said.end() :]
    while (inside := _FRACTION.sub(r"((\1)/(\2))", _MARKS.sub(_unmarked, text))) != text:
        text = inside
    sides: list[Tree] = []
    for side in _plain(text).rstrip(" \n\t.,;。").strip().split("="):
        tree = read(side)
        if tree is None or (sides and value_of(tree) != value_of(sides[0])):
            return None
        sides.append(tree)
    return max(sides, key=lambda tree: sum(1 for _ in numbers_of(tree)))


def equation_holds(text: str) -> bool | None:
    """Whether both sides of the one ``=`` in a text are worth the same; None: they are no two expressions."""
    left, equals, right = _plain(text[: 2 * LONGEST]).strip().removesuffix(".").partition("=")
    first, second = read(left), read(right)
    if not equals or first is None or second is None:
        return None
    return value_of(first) == value_of(second)


def _unmarked(found: re.Match[str]) -> str:
    return found[1] or found[2] or ""


def keeps(tree: Tree, numbers: Sequence[int], ops: Collection[str], use_all: bool = True) -> bool:
    """Whether it uses these operators alone and each number once; without ``use_all`` some may be left over."""
    used, given = Counter(numbers_of(tree)), Counter(numbers)
    return operators_of(tree) <= set(ops) and (used == given if use_all else used <= given)


class _Unread(Exception):
    """Not an expression."""


class _Reader:
    """sum = product {+- product}; product = signed {*/ signed}; signed = [+-] signed | number | bracketed sum."""

    def __init__(self, words: list[str]) -> None:
        self.words, self.place = words, 0

    def next(self) -> str:
        return self.words[self.place] if self.place < len(self.words) else ""

    def take(self) -> str:
        self.place += 1
        return self.words[self.place - 1]

    def sum(self) -> Tree:
        tree = self.product()
        while self.next() in ("+", "-"):
            tree = Step(self.take(), tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.signed()
        while self.next() in ("*", "/"):
            tree = Step(self.take(), tree, self.signed())
        return tree

    def signed(self) -> Tree:
        word = self.next()
        if word.isdigit():
            return int(self.take())
        if word in ("+", "-"):
            self.take()
            return Step("-", 0, self.signed(), signed=True) if word == "-" else self.signed()
        if word in _CLOSING:
            self.take()
            tree = self.sum()
            if self.next() == _CLOSING[word]:
                self.take()
                return tree
        raise _Unread


def value_of(tree: Tree, whole: bool = False) -> Fraction | None:
    """The exact value; None where something is divided by 0, or by what does not divide it if ``whole`` is asked."""
    if isinstance(tree, int):
        return Fraction(tree)
    left, right = value_of(tree.left, whole), value_of(tree.right, whole)
    if left is None or right is None:
        return None
    if tree.op == "/":
        made = left / right if right else None
        return None if made is None or (whole and made.denominator != 1) else made
    return left + right if tree.op == "+" else left - right if tree.op == "-" else left * right


def numbers_of(tree: Tree) -> Iterator[int]:
    """The numbers from left to right."""
    if isinstance(tree, int):
        yield tree
    else:
        if not tree.signed:
            yield from numbers_of(tree.left)
        yield from numbers_of(tree.right)


def operators_of(tree: Tree) -> set[str]:
    """The operators; a sign before a number is none."""
    if isinstance(tree, int):
        return set()
    own = set() if tree.signed else {tree.op}
    return own | operators_of(tree.left) | operators_of(tree.right)


def written(tree: Tree) -> str:
    """With spaces, in round brackets where they are needed: ``( 12 - 5 ) * 12``."""
    if isinstance(tree, int):
        return str(tree)
    right = _inside(tree.right, tree.op in "*/" or (tree.op == "-"), tree.op in "*/")
    if tree.signed:
        return f"- {_inside(tree.right, True, True)}"
    return f"{_inside(tree.left, tree.op in '*/', False)} {tree.op} {right}"


def _inside(tree: Tree, sums: bool, products: bool) -> str:
    """In brackets if it is a sum (a product) and those need them."""
    if isinstance(tree, int):
        return str(tree)
    needs = tree.signed or (sums if tree.op in "+-" else products)
    return f"( {written(tree)} )" if needs else written(tree)


def canonical(tree: Tree) -> Tree:
    """One tree for expressions that differ in order and brackets only.

    What is added comes first, largest value first, then what is subtracted; products likewise: ``5 + 12 - 3``,
    ``12 - 3 + 5`` and ``12 - (3 - 5)`` are ``12 + 5 - 3``.
    """
    if isinstance(tree, int):
        return tree
    parts = sorted(_parts(tree, "+-" if tree.op in "+-" else "*/", False), key=_place)
    more = "+" if tree.op in "+-" else "*"
    less = "-" if more == "+" else "/"
    (inverse, made), *rest = parts
    if inverse:
        made = Step("-", 0, made, signed=True) if more == "+" else Step("/", 1, made)
    for inverse, part in rest:
        made = Step(less if inverse else more, made, part)
    return made


def _parts(tree: Tree, ops: str, inverse: bool) -> Iterator[tuple[bool, Tree]]:
    """(subtracted or divided by, canonical part) of a chain of sums, or of products."""
    if isinstance(tree, int) or tree.op not in ops:
        yield inverse, canonical(tree)
        return
    if not tree.signed:
        yield from _parts(tree.left, ops, inverse)
    yield from _parts(tree.right, ops, inverse != (tree.op in "-/"))


def _place(part: tuple[bool, Tree]) -> tuple[bool, Fraction, str]:
    inverse, tree = part
    return inverse, -(value_of(tree) or Fraction(0)), written(tree)
