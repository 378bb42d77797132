r"""The grammar of formulas: tokens to a tree.

Numbers side by side are never added or multiplied (``7 8`` is no formula), but for mixed numbers (``2 1/4``); letters
side by side are multiplied. ``1/2x`` is half of x. ``f(x)`` and ``g(x)`` are calls, ``x(x+1)`` is a product.
"""

from __future__ import annotations

import re
from functools import lru_cache

from r1kit.answers.cursor import DEEPEST
from r1kit.answers.nodes import Node, UnreadError, is_number, number
from r1kit.answers.primaries import Primaries
from r1kit.answers.tokens import tokens
from r1kit.answers.value import Evaluation

__all__ = ["read_formula"]

_MATRICES = frozenset(("matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array", "vmatrix"))
_MATRIX = re.compile(
    r"[(\[]?\s*\\begin\{(?P<name>\w+)\}(?:\s*\{[clr|\s]*\})?(?P<body>.*?)\\end\{(?P=name)\}\s*[)\]]?", re.DOTALL
)


@lru_cache(maxsize=8192)
def read_formula(text: str) -> Node:
    """The tree of a whole text.

    Raises:
        UnreadError: it is no formula.
        TooBigError: it holds a literal too large to be written out.
    """
    matrix = _MATRIX.search(text) if "\\begin" in text else None
    if matrix:
        return _with_matrix(text, matrix)
    parser = _Parser(tokens(text))
    try:
        tree = parser.sum()
    except RecursionError:  # only where the caller left little of the stack
        raise UnreadError("too deep") from None
    if parser.here is not None:
        raise UnreadError(parser.here.text)
    return tree


def _with_matrix(text: str, found: re.Match[str]) -> Node:
    """A matrix, alone or with a factor before it."""
    if found.end() != len(text) or found["name"] not in _MATRICES:
        raise UnreadError(text)
    rows = [
        row for row in re.split(r"\\\\(?:\s*\[[^\]]*\])?|\\cr", found["body"].replace(r"\hline", "")) if row.strip()
    ]
    cells = [tuple(read_formula(cell.strip()) for cell in row.split("&")) for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        raise UnreadError(text)
    before = text[: found.start()].strip().removesuffix("\\cdot").strip()
    is_determinant = found["name"] == "vmatrix"
    if before and not is_determinant:
        factor = number(-1) if before == "-" else read_formula(before)
        cells = [tuple(_times(factor, cell) for cell in row) for row in cells]
    tree = Node("matrix", tuple(Node("row", row) for row in cells))
    if not is_determinant:
        return tree
    tree = Node("function", (tree,), name="determinant")
    return tree if not before else Node("neg", (tree,)) if before == "-" else Node("mul", (read_formula(before), tree))


class _Parser(Primaries):
    # ---- sums and products -----------------------------------------------------------------------------------------

    def sum(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UnreadError("brackets in brackets")
        terms = [self._signed()]
        while self._at("+", "-"):
            minus = self._take().text == "-"
            if self._at("+", "-"):
                raise UnreadError("two signs")
            term = self._product()
            terms.append(Node("neg", (term,)) if minus else term)
        self._depth -= 1
        return terms[0] if len(terms) == 1 else Node("add", tuple(terms))

    def _signed(self) -> Node:
        if self._at("+", "-"):
            minus = self._take().text == "-"
            if self._at("+", "-"):
                raise UnreadError("two signs")
            term = self._product()
            return Node("neg", (term,)) if minus else term
        return self._product()

    def _product(self) -> Node:
        left = self._factor()
        while True:
            if self._at("*", "cdot"):
                self._take()
                right = self._with_sign()
                left = _scientific(left, right) or Node("mul", (left, right))
            elif self._at("/"):
                self._take()
                left = Node("div", (left, self._with_sign()))
            elif self._begins():
                left = self._beside(left)
            else:
                return left

    def _with_sign(self) -> Node:
        if self._at("-"):
            self._take()
            return Node("neg", (self._factor(),))
        return self._factor()

    def _beside(self, left: Node) -> Node:
        """A factor with no sign before it: a product, or the fraction of a mixed number."""
        token, before = self.here, self._line[self._place - 1]
        assert token is not None
        if token.kind == "number":
            above = self._ahead()
            if _is_whole(left) and token.spaced and above is not None and above.text == "/":
                return self._postfixed(self._mixed(left, self._plain_fraction()))
            raised = before.kind == "letter" and self._place > 1 and self._line[self._place - 2].text == "^"
            if not (
                raised or before.text in (")", "}", "]", "!") or (before.kind == "command" and before.text == "pi")
            ):
                raise UnreadError("numbers side by side")
            return Node("mul", (left, self._factor()))
        if left.kind == "number" and token.text == "frac":
            right = self._primary()
            if all(part.kind == "number" for part in right.parts):
                return self._postfixed(self._mixed(left, right))
            right = self._raised(right)
        else:
            right = self._factor()
        if left.kind in ("number", "mixed") and right.kind in ("number", "mixed") and token.text not in ("(", "["):
            raise UnreadError("numbers side by side")
        return Node("mul", (left, right))

    def _plain_fraction(self) -> Node:
        above = self._take()
        self._take("/")
        below = self._take()
        if below.kind != "number":
            raise UnreadError("numbers side by side")
        return Node("div", (number(above.value), number(below.value)))

    def _mixed(self, whole: Node, part: Node) -> Node:
        above, below = (piece.value for piece in part.parts)
        if not (_is_whole(whole) and above.denominator == below.denominator == 1 and 0 < above < below):
            raise UnreadError("numbers side by side")
        return Node("mixed", (whole, part))

    def _begins(self) -> bool:
        """Whether a factor begins here."""
        token = self.here
        if token is None:
            return False
        if token.kind in ("number", "letter"):
            return True
        if token.kind == "sign":
            return token.text in ("(", "[", "{") or (token.text == "|" and self._bars == 0)
        return token.text not in ("cdot", "rfloor", "rceil", "rangle", "choose")

    # ---- factors ---------------------------------------------------------------------------------------------------

    def _factor(self) -> Node:
        return self._raised(self._primary())

    def _raised(self, base: Node) -> Node:
        """With what stands behind it: a factorial sign, a power."""
        base = self._postfixed(base)
        if self._at("^"):
            self._take()
            if self._at("{") and (inner := self._ahead()) is not None and inner.text in ("circ", "prime"):
                raise UnreadError(inner.text)
            base = self._postfixed(Node("pow", (base, self._exponent())))
        return base

    def _exponent(self) -> Node:
        minus = self._at("-", "+") and self._take().text == "-"
        inner = self._primary()
        if self._at("^"):
            self._take()
            inner = Node("pow", (inner, self._exponent()))
        return Node("neg", (inner,)) if minus else inner

    def _postfixed(self, base: Node) -> Node:
        while True:
            after = self._ahead()
            if self._at("!"):
                self._take()
                base = Node("factorial", (base,))
            elif self._at("%"):
                self._take()
                base = Node("percent", (base,))
            elif self._at("^") and after is not None and after.text == "{" and self._is_degree():
                self._place += 4
                base = Node("degree", (base,))
            else:
                return base

    def _is_degree(self) -> bool:
        inner, end = self._ahead(2), self._ahead(3)
        return inner is not None and inner.text == "circ" and end is not None and end.text == "}"


def _times(factor: Node, cell: Node) -> Node:
    """A cell of a matrix with a factor before it; numbers are multiplied out, since no one left them to be."""
    product = Node("mul", (factor, cell))
    return number(Evaluation({}, 15, True)(product)) if is_number(factor) and is_number(cell) else product


def _is_whole(node: Node) -> bool:
    return node.kind == "number" and node.value.denominator == 1


def _scientific(left: Node, right: Node) -> Node | None:
    """A number times a power of ten."""
    if left.kind == "neg":
        inner = _scientific(left.parts[0], right)
        return inner and Node("neg", (inner,))
    is_power = right.kind == "pow" and right.parts[0] == number(10)
    if left.kind != "number" or not is_power:
        return None
    exponent = right.parts[1]
    plain = exponent.kind == "number" or (exponent.kind == "neg" and exponent.parts[0].kind == "number")
    return Node("scientific", (left, right)) if plain else None
