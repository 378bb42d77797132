"""Make a right completion readable: one language in the chain, a summary before the answer (R1 paper v2, B.3.2).

A refiner is rules, in the nano world, or a model behind an engine that is asked twice: to rewrite the chain in the
question's language, then to write the summary. Nothing is trusted: what comes out is judged and filtered again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from r1kit.factory.asking import Asking, filled, spoken
from r1kit.records import Prompt, Sampling
from r1kit.registry import find, is_reference
from r1kit.reward.extract import thinking
from r1kit.rollout.engine import Engine
from r1kit.text.seen import in_tags, without_thinking

__all__ = [
    "REFINERS",
    "REWRITE",
    "SUMMARISE",
    "Edit",
    "EngineRefiner",
    "Refined",
    "Refiner",
    "is_model",
    "rule_refiner",
]

REFINERS = {"rules": "r1kit.nano.refine:RuleRefiner"}
"""Refiners that are no model: name -> class."""

REWRITE = (
    "Translate the thinking process to the same language as the question. Keep every step, in the first person and in "
    "a natural tone. Write only the thinking process.\n\nQuestion:\n{question}\n\nThinking process:\n{thinking}"
)
SUMMARISE = (
    "Below are a question and a thought process. Write the solution from it, in the language of the question: concise, "
    "faithful to the thought process, without new steps, starting with the solution directly and never mentioning a "
    "thought process. End with the final answer as <answer> ... </answer>.\n\n"
    "Question:\n{question}\n\nThought process:\n{thinking}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change to a response."""

    by: str
    """``rules``, the model's name, or the person's."""
    what: str
    """``language``, ``summary``, ``chain`` or ``review``."""
    detail: str
    """What was changed, to read: ``大了 -> high x2``, or the text that was put in or taken out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    response: str
    """Empty: the refiner could not."""
    edits: tuple[Edit, ...] = ()


class Refiner(Protocol):
    @property
    def written(self) -> int:
        """Tokens that a model wrote for it, over its life."""
        ...

    def refine(self, prompts: Sequence[Prompt], responses: Sequence[str], seeds: Sequence[int]) -> list[Refined]:
        """One refined response for each, in order."""
        ...


def is_model(name: str) -> bool:
    """Whether what a recipe names as a refiner is a stage or a model, and not a class."""
    return name not in REFINERS and not is_reference(name)


def rule_refiner(name: str) -> Refiner:
    """A refiner by its name, or a user's class with a method ``refine``, as ``FILE.py:NAME``."""
    refiner = find(name, REFINERS, "refiner", "refiner")()
    return _Own(refiner.refine, getattr(refiner, "written", 0))


@dataclass(frozen=True, slots=True)
class _Own:
    """A refiner that need not say that it writes no tokens."""

    refine: Callable[[Sequence[Prompt], Sequence[str], Sequence[int]], list[Refined]]
    written: int


# ---- a model -----------------------------------------------------------------------------------------------------


class EngineRefiner(Asking):
    """Asks a model for the chain, then for the summary of that chain."""

    def __init__(
        self, engine: Engine, encode: Callable[[str], Sequence[int]], sampling: Sampling,
        read: Callable[[str], str] = in_tags, name: str = "refiner",
    ) -> None:  # fmt: skip
        super().__init__(engine, encode, sampling, read)
        self.name = name

    def refine(self, prompts: Sequence[Prompt], responses: Sequence[str], seeds: Sequence[int]) -> list[Refined]:
        chains = [thinking(response).strip() for response in responses]
        rewritten = self._chains(REWRITE, prompts, chains, seeds)
        summaries = self._chains(SUMMARISE, prompts, rewritten, [seed ^ 1 for seed in seeds])
        found = []
        for before, chain, summary in zip(chains, rewritten, summaries, strict=True):
            if not chain or not summary:
                found.append(Refined(response=""))
                continue
            edits = [Edit(by=self.name, what="summary", detail=summary)]
            if chain != before:
                edits.insert(0, Edit(by=self.name, what="chain", detail=f"before: {before}"))
            found.append(Refined(response=f"<think> {chain} </think> {summary}", edits=tuple(edits)))
        return found

    def _chains(
        self, instruction: str, prompts: Sequence[Prompt], chains: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        """What the model wrote, its own thinking taken off; empty where it was cut."""
        asked = [
            filled(instruction, question=spoken(prompt), thinking=chain)
            for prompt, chain in zip(prompts, chains, strict=True)
        ]
        answers = self.ask(asked, seeds)
        said = (without_thinking(answer.text) if answer.finish == "stop" else "" for answer in answers)
        return [text.rpartition("</think>")[2].strip() for text in said]
