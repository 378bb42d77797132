"""Tasks: where prompts come from and the rule that judges an answer; and the corpora to pretrain on.

========================  ========================================================================================
kind                      what
========================  ========================================================================================
``countdown``             the nano world's arithmetic, with a corpus of its own
``turns``                 the nano world's second questions: Countdown once it was answered
``general``               greetings, requests, lists, facts, what must be refused; a corpus, and data of preferences
``code/NAME``             programs judged by running them: list_ops has a corpus; ``code`` reads any layout of the
                          field (HumanEval, MBPP, APPS, LiveCodeBench, CodeContests ...), ``code/mbpp`` that one
``swe``                   small repositories with failing tests; the answer is edits, judged by running all tests
``reasoning_gym/NAME``    any reasoning-gym generator, judged by its own scorer
``verifiers/NAME``        a single-turn environment of the verifiers package: its data set, parser and rubric
``benchmark/NAME``        AIME, MATH-500, GPQA, MMLU-Pro, HumanEval, LiveCodeBench, asked and judged as the paper does;
                          ``benchmark``: told from the rows
``data``                  a file of any common form and layout, a folder of them, or a hub data set
``structured``            a file of prompts that are answered with JSON, each with the schema that checks it;
                          ``structured/forms`` is the nano world's, with a corpus
``jsonl``                 a file of ``{"prompt", "answer"}`` lines, judged as mathematics or by equality
``FILE.py:NAME``          a user's class, or a function that yields prompts; ``package.module:NAME`` too
========================  ========================================================================================

A kind is a name in a table, so nothing of a task is imported before it is asked for. Nothing here imports torch or
transformers: verifier processes and ``r1 check`` start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from r1kit.errors import InputError, nearest
from r1kit.registry import find, is_reference
from r1kit.structure import plain, structure
from r1kit.tasks.task import Task

__all__ = ["KINDS", "Spec", "build", "build_spec", "settings"]

_CODE_FILE = "r1kit.tasks.code.files.task:CodeFile"
_BENCHMARK = "r1kit.tasks.benchmark.task:Benchmark"
KINDS: dict[str, str] = {
    "countdown": "r1kit.nano.countdown.task:Countdown",
    "general": "r1kit.nano.general.task:General",
    "code/list_ops": "r1kit.nano.list_ops.task:ListOps",
    "code": _CODE_FILE,
    **dict.fromkeys(
        (
            "code/auto",
            "code/humaneval",
            "code/mbpp",
            "code/stdio",
            "code/bugfix",
            "code/apps",
            "code/livecodebench",
            "code/codecontests",
            "code/verification_info",
        ),
        _CODE_FILE,
    ),
    "reasoning_gym/NAME": "r1kit.tasks.reasoning_gym:ReasoningGym",
    "verifiers/NAME": "r1kit.tasks.environment:Environment",
    "benchmark": _BENCHMARK,
    **dict.fromkeys(
        (f"benchmark/{name}" for name in ("aime", "math500", "gpqa", "mmlu_pro", "humaneval", "livecodebench")),
        _BENCHMARK,
    ),
    "data": "r1kit.tasks.data:Data",
    "jsonl": "r1kit.tasks.jsonl:Jsonl",
    "structured": "r1kit.tasks.structured:Structured",
    "structured/forms": "r1kit.nano.forms.task:Forms",
    "swe": "r1kit.tasks.swe.task:Swe",
    "turns": "r1kit.nano.turns.task:Turns",
}
"""Kind -> class, with a frozen ``Config`` and built as ``cls(name, config)``. ``NAME`` stands for any name."""


def settings(name: str, kind: str, table: Mapping[str, Any]) -> Any:
    """The settings of a recipe's ``[tasks.NAME]``, a frozen dataclass.

    Raises:
        InputError: an unknown kind or key, a value that does not fit, a user's file that cannot be imported.
    """
    cls, given = _found(name, kind)
    return structure(cls.Config, {**table, **given}, f"tasks.{name}")


class Spec(NamedTuple):
    """A task in plain values: what a verifier process is sent, which imports a user's file itself."""

    kind: str
    table: Mapping[str, Any]


def build_spec(name: str, spec: Spec) -> Task:
    """The task of a spec; raises as ``build`` does."""
    return build(name, *spec)


def build(name: str, kind: str, table: Any) -> Task:
    """A task from plain values, as a recipe's ``[tasks.NAME]`` has them, or from settings that were read already.

    Raises:
        InputError: as ``settings`` does; a file that is missing or broken.
        MissingError: a package that the kind needs is not installed.
    """
    cls, given = _found(name, kind)
    if not isinstance(table, Mapping):
        table = plain(table)
    task: Task = cls(name, structure(cls.Config, {**table, **given}, f"tasks.{name}"))
    return task


def _found(name: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """(class of a kind, settings that the kind's name says)."""
    where = "" if kind == name else f"tasks.{name}.kind"
    if is_reference(kind):
        from r1kit.tasks.adapt import adapted

        return adapted(find(kind, {}, "task kind", where), kind), {}
    family, slash, rest = kind.partition("/")
    key = kind if kind in KINDS else f"{family}/NAME" if slash and rest else ""
    if key not in KINDS:
        said = f"{where}: " if where else ""
        raise InputError(
            f"{said}task kind {kind!r} is unknown; kinds are {', '.join(KINDS)}, or FILE.py:NAME for one of your own."
            f"{nearest(kind, KINDS)}"
        )
    cls = find(key, KINDS, "task kind")
    return cls, {cls.named: rest} if rest and getattr(cls, "named", "") else {}
