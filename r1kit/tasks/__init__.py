"""Tasks: where prompts come from and the rule that judges an answer. Five kinds, and the corpora to pretrain on.

========================  ========================================================================================
kind                      what
========================  ========================================================================================
``countdown``             the nano world's arithmetic, with a corpus of its own
``general``               greetings, requests, lists, facts, what must be refused; a corpus, and data of preferences
``code/NAME``             programs judged by running them: list_ops has a corpus; humaneval, mbpp, stdio, bugfix
``reasoning_gym/NAME``    any reasoning-gym generator, judged by its own scorer
``jsonl``                 a file of ``{"prompt", "answer"}`` lines, judged with math-verify or by equality
========================  ========================================================================================

Nothing here imports torch or transformers: verifier processes and ``r1 check`` start fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from r1kit.errors import InputError, nearest
from r1kit.nano.countdown import Countdown, CountdownConfig
from r1kit.nano.general import General, GeneralConfig
from r1kit.structure import structure
from r1kit.tasks.code import CodeConfig, build_code
from r1kit.tasks.corpora import CorpusConfig, MixtureCorpus
from r1kit.tasks.corpus import Corpus
from r1kit.tasks.jsonl import Jsonl, JsonlConfig
from r1kit.tasks.reasoning_gym import ReasoningGym, ReasoningGymConfig
from r1kit.tasks.task import Grade, Split, Task

__all__ = [
    "KINDS",
    "Corpus",
    "CorpusConfig",
    "Grade",
    "Split",
    "Task",
    "TaskConfig",
    "build",
    "build_corpus",
    "build_task",
    "kind_of",
]

TaskConfig = CountdownConfig | GeneralConfig | CodeConfig | ReasoningGymConfig | JsonlConfig

KINDS: dict[str, type[TaskConfig]] = {
    "countdown": CountdownConfig,
    "general": GeneralConfig,
    "code": CodeConfig,
    "reasoning_gym": ReasoningGymConfig,
    "jsonl": JsonlConfig,
}
"""Kind -> config class. A recipe writes ``kind = "reasoning_gym/chain_sum"``; after the slash is ``generator``."""


def build_task(name: str, config: TaskConfig) -> Task:
    """The task of a recipe's ``[tasks.NAME]``.

    Raises:
        InputError: an unknown generator or option, a file that is missing or broken.
    """
    if isinstance(config, CountdownConfig):
        return Countdown(name, config)
    if isinstance(config, GeneralConfig):
        return General(name, config)
    if isinstance(config, CodeConfig):
        return build_code(name, config)
    if isinstance(config, ReasoningGymConfig):
        return ReasoningGym(name, config)
    assert isinstance(config, JsonlConfig), f"not a task's config: {config!r}"
    return Jsonl(name, config)


def build(name: str, kind: str, table: Mapping[str, Any]) -> Task:
    """A task from plain values, as a recipe's ``[tasks.NAME]`` has them; what a verifier process is sent.

    Raises:
        InputError: an unknown kind or key, a value that does not fit, a file that is missing or broken.
    """
    family, _, generator = kind.partition("/")
    if family not in KINDS:
        raise InputError(
            f"tasks.{name}: kind {kind!r} is unknown; kinds are {', '.join(KINDS)}.{nearest(family, KINDS)}"
        )
    table = {**table, "generator": generator} if generator else dict(table)
    return build_task(name, structure(KINDS[family], table, f"tasks.{name}"))


def build_corpus(config: CorpusConfig) -> Corpus:
    """The corpus that a config describes."""
    return MixtureCorpus(config)


def kind_of(config: TaskConfig) -> str:
    """The kind of a config, a key of ``KINDS``."""
    return next(kind for kind, cls in KINDS.items() if type(config) is cls)
