"""Tests written as Python asserts, judged outside the process that runs the program.

``assert f([1, 2]) == 3`` is the call ``f([1, 2])`` with the value 3 to expect, which is compared outside the sandbox.
An assert in any other form, and a ``check`` function that does more than assert, runs behind the walls in a process of
its own, which has plain data of the program's alone (``sandbox/tester.py``): a program that makes its own equality, or
patches what tests call, changes nothing there.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from r1kit.sandbox.cases import AssertTest, CallTest
from r1kit.tasks.code.files.pytests import (
    asked_for,
    beside,
    fixtures_in,
    is_skipped,
    last_of_each,
    plainly_named,
    run_of,
    yields,
)  # fmt: skip

__all__ = ["Constant", "asserted_cases", "case_of", "check_cases", "constant", "written_cases"]

_LARGEST = 10**6
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PROGRAM = ("solution", "main", "program")
"""Modules that tests of a program import it from."""
_OPERATORS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class NotConstant(ValueError):
    """An expression that is not plain data written out."""


Constant = Any
"""Numbers, strings, None, True, False and lists, tuples, sets and dicts of these."""


def constant(node: ast.expr) -> Constant:
    """The value of plain data, with arithmetic on small numbers, as in ``[1 / 3, 2 ** 10]``.

    Raises:
        NotConstant: it is something else.
    """
    if isinstance(node, ast.BinOp):
        left, right = constant(node.left), constant(node.right)
        small = all(isinstance(side, (int, float)) and abs(side) <= _LARGEST for side in (left, right))
        if not small or type(node.op) not in _OPERATORS or (isinstance(node.op, ast.Pow) and abs(right) > 64):
            raise NotConstant
        try:
            return _OPERATORS[type(node.op)](left, right)
        except ArithmeticError:
            raise NotConstant from None
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = constant(node.operand)
        if not isinstance(value, (int, float, complex)):
            raise NotConstant
        return -value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return _built(kind, [constant(item) for item in node.elts])
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise NotConstant
        keys = [constant(key) for key in node.keys if key is not None]
        return _built(dict, list(zip(keys, map(constant, node.values), strict=True)))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotConstant from None


def _built(kind: type, items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError:  # a list in a set
        raise NotConstant from None


def case_of(test: ast.expr, setup: str = "", also: Collection[str] = ()) -> CallTest | AssertTest:
    """One asserted condition as a test; ``setup`` and ``also`` are those of ``AssertTest.of``."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, right = test.left, test.comparators[0]
        near = _near(left, test.ops[0], right)
        if near is not None:
            return near
        if isinstance(test.ops[0], (ast.Eq, ast.Is)):
            for call, value in ((left, right), (right, left)):
                try:
                    expect = constant(value)
                except NotConstant:
                    continue
                if not isinstance(expect, bool) or _is_own_call(call, also):
                    return CallTest(ast.unparse(call), expect, python=True)
    return AssertTest.of(f"assert {ast.unparse(test)}", setup, also)


def _is_own_call(call: ast.expr, also: Collection[str]) -> bool:
    """Whether it is a call of the program's own function; what Python's own say of it could come true by patching."""
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and (call.func.id in also or not hasattr(builtins, call.func.id))
    )


def _near(left: ast.expr, op: ast.cmpop, right: ast.expr) -> CallTest | None:
    """``abs(call - value) < small`` as a call with a float to expect, which the ladder compares with a tolerance."""
    if not (isinstance(op, (ast.Lt, ast.LtE)) and isinstance(left, ast.Call) and len(left.args) == 1):
        return None
    inside = left.args[0]
    if ast.unparse(left.func) not in ("abs", "math.fabs") or not isinstance(inside, ast.BinOp):
        return None
    try:
        if isinstance(inside.op, ast.Sub) and 0 < constant(right) <= 1e-4:
            return CallTest(ast.unparse(inside.left), float(constant(inside.right)), python=True)
    except (NotConstant, TypeError, ValueError):
        pass
    return None


def check_cases(test: str, candidate: str, setup: str = "") -> list[CallTest | AssertTest]:
    """HumanEval's ``def check(candidate)``: its asserts, the candidate called by its name, or all of it as one test
    where it does more than assert.

    Raises:
        SyntaxError: the text is not Python, or has no ``check``.
    """
    tree = _parsed(test)
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not found or len(found[0].args.args) != 1:
        raise SyntaxError("no check(candidate) in it")
    renamed = _Rename(found[0].args.args[0].arg, candidate)
    others = [node for node in tree.body if node is not found[0] and not _is_note(node)]
    asserted = [node for node in found[0].body if not _is_note(node)]
    if others or not all(isinstance(node, ast.Assert) for node in asserted):
        return [AssertTest.of(f"{test}\n\ncheck({candidate})", setup, (candidate,))]
    return [
        case_of(renamed.visit(node).test, setup, (candidate,))
        for node in asserted
        if isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant)  # HumanEval has assert True, "..."
    ]


def _is_note(node: ast.stmt) -> bool:
    """What says nothing about the candidate: a docstring, METADATA = {...}, pass."""
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets] == ["METADATA"]
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node


class _Imports(ast.NodeTransformer):
    """Takes out what imports the program: ``from solution import f``, ``import solution`` with ``solution.f``."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.renamed: list[ast.stmt] = []
        """``g = f`` for ``f as g``."""
        self._modules: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if node.module not in _PROGRAM:
            return node
        self.names |= {alias.name for alias in node.names}
        renamed = {alias.asname: alias.name for alias in node.names if alias.asname not in (None, alias.name)}
        self.renamed += [part for new, name in renamed.items() for part in ast.parse(f"{new} = {name}").body]
        return None

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        ours = [alias for alias in node.names if alias.name in _PROGRAM]
        self._modules |= {alias.asname or alias.name for alias in ours}
        kept = [alias for alias in node.names if alias not in ours]
        return ast.Import(names=kept) if kept else None

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id in self._modules:
            self.names.add(node.attr)
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        self.generic_visit(node)
        return node


def asserted_cases(asserts: Sequence[str], setup: str = "", also: Collection[str] = ()) -> list[CallTest | AssertTest]:
    """MBPP's ``assert ...`` lines; one that prepares something first, ``x = [3, 1]; f(x); assert x == [1, 3]``, runs
    beside the program.

    Raises:
        SyntaxError: a text that is not Python, or asserts nothing.
    """
    cases: list[CallTest | AssertTest] = []
    for text in asserts:
        body = _parsed(text.strip()).body
        if body and all(isinstance(node, ast.Assert) for node in body):
            cases += [case_of(node.test, setup, also) for node in body if isinstance(node, ast.Assert)]
        elif any(_reaches(node, ()) for node in body):
            cases.append(AssertTest.of(text.strip(), setup, also))
        else:
            raise SyntaxError(f"{text.strip()[:60]!r} asserts nothing")
    return cases


def written_cases(text: str) -> list[CallTest | AssertTest]:
    """Tests written as a program: lines of asserts, or what pytest would run of it, functions ``test_...``, those of
    classes ``Test...`` and of unittest's, with their parameters and simple fixtures, ``raises`` and ``approx``
    (``pytests.py``). What they import from ``solution`` is the program's.

    Raises:
        SyntaxError: it is not Python, or tests nothing.
    """
    imports = _Imports()
    tree = plainly_named(imports.visit(_parsed(text)))
    body, names = [*imports.renamed, *last_of_each(tree.body)], imports.names
    if body and all(isinstance(node, ast.Assert) for node in body):
        setup = beside(ast.unparse(tree))
        return [case_of(node.test, setup, names) for node in body if isinstance(node, ast.Assert)]
    fixtures = fixtures_in(body)
    calls = [call for node in body for call in _calls(node, fixtures)]
    body = [node for node in body if not (calls and _is_main(node))]
    own = {node.name for node in body if isinstance(node, (*_FUNCTIONS, ast.ClassDef))}
    asserts = any(map(_is_assert, ast.walk(tree)))
    if not asserts or not (any(calls) or any(_reaches(node, own) for node in body)):
        raise SyntaxError("it asserts nothing, or nothing that is run")
    code = "\n".join([*map(ast.unparse, body), *filter(None, calls)])
    found = AssertTest.of(code, beside(code), names)
    if not found.names:
        raise SyntaxError("it uses nothing that the program defines")
    return [found]


def _parsed(text: str) -> ast.Module:
    """Raises SyntaxError for a text that is nested too deeply, too."""
    try:
        return ast.parse(text)
    except (MemoryError, RecursionError):
        raise SyntaxError("it is nested too deeply") from None


def _calls(node: ast.stmt, fixtures: Mapping[str, ast.FunctionDef]) -> list[str]:
    """What runs each test of a function or a class. Raises SyntaxError for one that cannot be run by itself."""
    if isinstance(node, _FUNCTIONS) and node.name in ("setup_module", "setup_function", "setUpModule"):
        raise SyntaxError(f"{node.name} is what only pytest itself calls")
    if isinstance(node, _FUNCTIONS) and node.name.startswith("test"):
        return [run_of(_plain(node), node.name, fixtures)]
    if not isinstance(node, ast.ClassDef):
        return []
    inside = {part.name: part for part in node.body if isinstance(part, _FUNCTIONS)}
    of_unittest = any(ast.unparse(base).endswith("TestCase") for base in node.bases)
    of_pytest = node.name.startswith("Test") and "__init__" not in inside
    if not (of_unittest or of_pytest) or is_skipped(node):
        return []
    node.body = last_of_each(node.body)
    tests = [_plain(part) for name, part in inside.items() if name.startswith("test")]
    first = [_class_set_up(node.name, inside[name]) for name in ("setUpClass", "setup_class") if name in inside]
    if of_unittest:
        tests = [part for part in tests if not is_skipped(part)]
        if asked := [part.name for part in tests if asked_for(part, True)]:
            raise SyntaxError(f"{asked[0]} takes arguments, which unittest gives none")
        return [*first, *(f"{node.name}({part.name!r}).debug()" for part in tests)]
    before = [f"each = {node.name}()"]
    if setup := inside.get("setup_method"):
        before.append(f"each.setup_method({', '.join(['None'] * len(asked_for(_plain(setup), True)))})")
    return [*first, *(run_of(part, f"each.{part.name}", fixtures, before) for part in tests)]


def _class_set_up(name: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """pytest hands the class to one that is no class method, if it takes it."""
    bound = any(ast.unparse(one) == "classmethod" for one in function.decorator_list)
    return f"{name}.{function.name}({name if asked_for(_plain(function), bound) else ''})"


def _plain(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.FunctionDef:
    if isinstance(function, ast.AsyncFunctionDef) or yields(function):
        raise SyntaxError(f"{function.name} is asynchronous or yields, so that a call alone runs nothing of it")
    return function


def _is_main(node: ast.stmt) -> bool:
    """``if __name__ == "__main__":``, which pytest passes by."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _is_assert(node: ast.AST) -> bool:
    """An assert, or a call of unittest's or pytest's that is one."""
    called = node.func if isinstance(node, ast.Call) else None
    name = called.attr if isinstance(called, ast.Attribute) else ""
    return isinstance(node, ast.Assert) or name.startswith("assert") or name in ("raises", "fail")


def _reaches(node: ast.AST, own: Collection[str]) -> bool:
    """Whether a statement asserts, or calls a function of the tests' own; what it only defines is not run."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
        return False
    called = node.func if isinstance(node, ast.Call) else None
    if _is_assert(node) or (isinstance(called, ast.Name) and called.id in own):
        return True
    return any(_reaches(part, own) for part in ast.iter_child_nodes(node))
