"""What a formula is made of: numbers, symbols, brackets, fractions, roots, functions, sums with bounds."""

from __future__ import annotations

import re
from abc import abstractmethod
from fractions import Fraction

from r1kit.answers.cursor import DEEPEST, Cursor
from r1kit.answers.nodes import Node, UnreadError, number
from r1kit.answers.tokens import Token
from r1kit.answers.words import FUNCTIONS, GREEK, NUMBERS, words

__all__ = ["Primaries"]

_CONSTANTS = {"e": "e", "i": "i", "pi": "pi"}
_DECORATIONS = frozenset(
    words("mathbb mathcal mathfrak mathscr vec overline hat bar tilde widehat overrightarrow mathbf mathit")
)
_CLOSING = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}


class Primaries(Cursor):
    """Reads one primary; what stands between them is the grammar's (``formula.py``)."""

    @abstractmethod
    def sum(self) -> Node: ...

    @abstractmethod
    def _product(self) -> Node: ...

    @abstractmethod
    def _with_sign(self) -> Node: ...

    @abstractmethod
    def _beside(self, left: Node) -> Node: ...

    @abstractmethod
    def _begins(self) -> bool: ...

    @abstractmethod
    def _exponent(self) -> Node: ...

    def _primary(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UnreadError("functions of functions")
        found = self._one()
        self._depth -= 1
        return found

    def _one(self) -> Node:
        token = self._take()
        if token.kind == "number":
            if self._at("_"):
                return Node("based", (number(self._base()),), name=token.text)
            return number(token.value)
        if token.kind == "letter":
            return self._symbol(token.text, token)
        if token.kind == "sign":
            return self._bracketed(token.text)
        return self._command(token.text)

    def _base(self) -> int:
        """The base of ``63_8``, ``63_{8}``, ``63_{eight}``."""
        told = self._subscript()
        base = int(told) if told.isdigit() and len(told) < 3 else NUMBERS.get(told.lower(), 0)
        if not 2 <= base <= 36:
            raise UnreadError(told)
        return base

    def _subscript(self) -> str:
        """The text after ``_``."""
        self._take("_")
        if not self._at("{"):
            return self._take().text
        depth, told = 0, ""
        while True:
            token = self._take()
            depth += (token.text == "{") - (token.text == "}")
            if depth == 0:
                return re.sub(r"^(\d+)\+([A-Za-z])$", r"\2+\1", told)
            if token.text not in ("{", "}"):
                told += token.text

    def _symbol(self, name: str, token: Token | None = None) -> Node:
        """A letter with its subscript and primes; pi, e and i alone are constants, f(x) is a call."""
        after = self.here
        if self._at("_"):
            name += f"_{self._subscript()}"
        elif token is not None and after is not None and after.kind == "number" and not after.spaced:
            name += f"_{self._take().text}"
        if name[:2] in ("C_", "A_") and name[2:].isdigit() and self._at("^"):
            return self._chosen(name)
        while self._at("'", "''"):
            name += self._take().text
        if name in _CONSTANTS:
            return Node("constant", name=_CONSTANTS[name])
        after = self.here
        if name[0] in "fgP" and self._at("(") and after is not None and not after.spaced:
            self._take()
            return Node("call", (self._until(")"),), name=name)
        if name == "C" and self._at("("):
            return Node("binomial", self._pair("(", ")"))
        return Node("symbol", name=name)

    def _chosen(self, name: str) -> Node:
        """``C_5^2`` chooses, ``A_5^2`` chooses and orders; where no more are chosen than there are."""
        self._take("^")
        count, below = int(name[2:]), self._exponent()
        if below.kind != "number" or below.value.denominator != 1 or below.value > count:
            return Node("pow", (Node("symbol", name=name), below))
        if name[0] == "C":
            return Node("binomial", (number(count), below))
        return Node("div", tuple(Node("factorial", (number(each),)) for each in (count, count - below.value)))

    def _bracketed(self, sign: str) -> Node:
        if sign == "|":
            self._bars += 1
            inner = self.sum()
            self._bars -= 1
            self._take("|")
            return Node("function", (inner,), name="abs")
        if sign not in ("(", "[", "{"):
            raise UnreadError(sign)
        bars, self._bars = self._bars, 0
        inner = self.sum()
        if sign == "{" and self._at("choose"):
            self._take()
            inner = Node("binomial", (inner, self.sum()))
        self._take(_CLOSING[sign])
        self._bars = bars
        return inner

    def _until(self, end: str) -> Node:
        inner = self.sum()
        self._take(end)
        return inner

    def _pair(self, start: str, end: str) -> tuple[Node, ...]:
        """Arguments between brackets, with commas between them."""
        self._take(start)
        found = [self.sum()]
        while self._at(","):
            self._take()
            found.append(self.sum())
        self._take(end)
        return tuple(found)

    def _argument(self) -> Node:
        """Of ``\\frac`` and its like: a group, one digit of a number, or one token."""
        token = self.here
        if token is not None and token.kind == "number" and token.text.isdigit() and len(token.text) > 1:
            self._line[self._place] = Token("number", token.text[1:], False, Fraction(int(token.text[1:])))
            return number(int(token.text[0]))
        if self._at("{"):
            self._take()
            return self._until("}")
        return self._primary()

    def _command(self, name: str) -> Node:
        if name == "frac":
            above = self._argument()
            return Node("div", (above, self._argument()))
        if name == "binom":
            above = self._argument()
            return Node("binomial", (above, self._argument()))
        if name == "sqrt":
            return self._root()
        if name == "cbrt":
            return Node("root", (self._argument_of_root(), number(3)))
        if name == "infty":
            return Node("infinity")
        if name in ("lfloor", "lceil"):
            return Node("function", (self._until("r" + name[1:]),), name=name[1:])
        if name in ("sum", "prod"):
            return self._series(name)
        if name in FUNCTIONS or (name in ("floor", "ceil") and self._at("(")):
            return self._function(name)
        if name in GREEK:
            return self._symbol(name)
        if name in _DECORATIONS:
            return self._decorated(name)
        raise UnreadError(name)

    def _decorated(self, name: str) -> Node:
        """``\\mathbb{R}``, ``\\vec{v}``, ``\\overline{AB}``: one symbol."""
        told = ""
        if self._at("{"):
            self._take()
            while not self._at("}"):
                told += self._take().text
            self._take()
        else:
            told = self._take().text
        return self._symbol(told if name in ("mathbf", "mathit") else f"{name} {told}")

    def _root(self) -> Node:
        degree = number(2)
        if self._at("["):
            self._take()
            degree = self._until("]")
        return Node("root", (self._argument_of_root(), degree))

    def _argument_of_root(self) -> Node:
        """``{2}``, ``(2)``, and a whole number: ``\\sqrt12`` is the root of twelve."""
        token = self.here
        whole = self._at("(") or (token is not None and token.kind == "number")
        return self._primary() if whole else self._argument()

    def _series(self, name: str) -> Node:
        """``\\sum_{i=1}^{10} i``."""
        self._take("_")
        self._take("{")
        index = self._take()
        self._take("=")
        start = self._until("}")
        self._take("^")
        end = self._argument()
        if index.kind != "letter":
            raise UnreadError(index.text)
        constant = Node("constant", name="i") if index.text == "i" else None
        body = self._product()
        if constant is not None:
            body = _renamed(body, constant, Node("symbol", name="i"))
        return Node(name, (start, end, body), name=index.text)

    def _function(self, name: str) -> Node:
        base, power = None, None
        if self._at("_"):
            base = self._log_base() if name == "log" else None
            if base is None:
                raise UnreadError(name)
        if self._at("^"):
            self._take()
            power = self._exponent()
        if self._at("("):
            arguments = self._pair("(", ")")
        elif self._at("{", "\\{"):
            sign = self._take().text
            self._place -= 1
            arguments = self._pair(sign, _CLOSING[sign])
        else:
            arguments = (self._bare_argument(),)
        if power == Node("neg", (number(1),)) and name in ("sin", "cos", "tan", "cot", "sec", "csc"):
            return Node("function", arguments, name=f"arc{name}")
        if base is not None:
            arguments = (*arguments, base)
        found = Node("function", arguments, name={"lg": "log"}.get(name, name))
        return found if power is None else Node("pow", (found, power))

    def _log_base(self) -> Node:
        """``\\log_2 5``, ``\\log_{2} 5``; ``\\log_25`` is as TeX sets it, the logarithm of 5 to the base 2."""
        self._take("_")
        after = self._ahead()
        return self._argument() if after is None else self._primary()

    def _bare_argument(self) -> Node:
        """``2x`` of ``\\sin 2x``: factors side by side up to the next function or sign."""
        argument = self._with_sign()
        while self._begins() and not self._at(*FUNCTIONS) and not self._at("(", "[", "|"):
            argument = self._beside(argument)
        return argument


def _renamed(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    return Node(node.kind, tuple(_renamed(part, old, new) for part in node.parts), node.name, node.value)
