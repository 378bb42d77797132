"""Make a right completion readable: one language in the chain, a summary before the answer (R1 paper v2, B.3.2).

A refiner is rules, in the nano world, or a model behind an engine that is asked twice: to rewrite the chain in the
question's language, then to write the summary. Nothing is trusted: what comes out is judged and filtered again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from r1kit.nano.countdown.words import CHINESE
from r1kit.nano.list_ops.steps import THEN
from r1kit.records import Prompt, Sampling
from r1kit.reward.extract import thinking
from r1kit.rollout.engine import Engine

__all__ = [
    "REWRITE",
    "SUMMARISE",
    "Edit",
    "EngineRefiner",
    "Refined",
    "Refiner",
    "RuleRefiner",
    "one_language",
    "translations",
]

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


# ---- rules -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleRefiner:
    """Word for word, by the nano world's vocabularies; the summary restates the answer."""

    written: int = 0
    """Rules write no tokens."""

    def refine(self, prompts: Sequence[Prompt], responses: Sequence[str], seeds: Sequence[int]) -> list[Refined]:
        return [_by_rules(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]


@cache
def translations(language: str, of_steps: bool = False) -> Mapping[str, str]:
    """Word of the other nano language -> word of ``language``; empty for languages that are not en or zh.

    ``of_steps``: the words of list_ops, where 再 is 'then' and not 'again'.
    """
    words = {**CHINESE, THEN["en"]: THEN["zh"]} if of_steps else CHINESE
    if language == "zh":
        return dict(words)
    return {chinese: english for english, chinese in words.items()} if language == "en" else {}


def one_language(chain: str, language: str, of_steps: bool = False) -> tuple[str, dict[str, int]]:
    """The chain with every known word of the other language replaced, spaces kept; how often each was."""
    table, changed = translations(language, of_steps), Counter[str]()
    words = chain.split(" ")
    for at, word in enumerate(words):
        if word in table:
            changed[word] += 1
            words[at] = table[word]
    return " ".join(words), dict(changed)


def _by_rules(prompt: Prompt, response: str) -> Refined:
    """``<think> chain </think> so 5 * 5 - 12 = 13 <answer> 5 * 5 - 12 </answer>``."""
    before, closing, rest = response.partition("</think>")
    answer = _inside(rest)
    if not closing or answer is None:
        return Refined(response="")
    of_steps = "steps" in prompt.facts
    chain, changed = one_language(before, prompt.language, of_steps)
    table, edits = translations(prompt.language, of_steps), []
    if changed:
        told = ", ".join(f"{word} -> {table[word]} x{count}" for word, count in sorted(changed.items()))
        edits.append(Edit(by="rules", what="language", detail=told))
    summary = _summary(prompt, answer)
    if rest.partition("<answer>")[0].strip() != summary:
        edits.append(Edit(by="rules", what="summary", detail=summary))
    return Refined(response=f"{chain}</think> {summary} <answer> {answer} </answer>", edits=tuple(edits))


def _inside(text: str) -> str | None:
    """What stands between the one pair of answer tags."""
    if text.count("<answer>") != 1 or text.count("</answer>") != 1:
        return None
    inside = text.partition("<answer>")[2].partition("</answer>")[0].strip()
    return inside or None


def _summary(prompt: Prompt, answer: str) -> str:
    so = CHINESE["so"] if prompt.language == "zh" else "so"
    return f"{so} {answer} = {prompt.facts['target']}" if "target" in prompt.facts else f"{so} {answer}"


# ---- a model -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class EngineRefiner:
    """Asks a model for the chain, then for the summary of that chain."""

    engine: Engine
    encode: Callable[[str], Sequence[int]]
    """Token ids of an instruction, the model's template applied."""
    sampling: Sampling
    name: str = "refiner"
    rewrite: str = REWRITE
    """With ``{question}`` and ``{thinking}``."""
    summarise: str = SUMMARISE
    prefilled: bool = False
    """The prompt ends in ``<think>``, so a response does not write it."""
    written: int = 0

    def refine(self, prompts: Sequence[Prompt], responses: Sequence[str], seeds: Sequence[int]) -> list[Refined]:
        chains = [thinking(response).strip() for response in responses]
        rewritten = self._ask(self.rewrite, prompts, chains, seeds)
        summaries = self._ask(self.summarise, prompts, rewritten, [seed ^ 1 for seed in seeds])
        found = []
        for before, chain, summary in zip(chains, rewritten, summaries, strict=True):
            if not chain or not summary:
                found.append(Refined(response=""))
                continue
            edits = [Edit(by=self.name, what="summary", detail=summary)]
            if chain != before:
                edits.insert(0, Edit(by=self.name, what="chain", detail=f"before: {before}"))
            opening = "" if self.prefilled else "<think>"
            found.append(Refined(response=f"{opening} {chain} </think> {summary}", edits=tuple(edits)))
        return found

    def _ask(
        self, instruction: str, prompts: Sequence[Prompt], chains: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        """What the model wrote, its own thinking taken off; empty where it was cut."""
        asked = [
            instruction.replace("{question}", prompt.question).replace("{thinking}", chain)
            for prompt, chain in zip(prompts, chains, strict=True)
        ]
        drawn = self.engine.generate([self.encode(text) for text in asked], replace(self.sampling, n=1), seeds)
        self.written += sum(len(row[0].token_ids) for row in drawn)
        return [row[0].text.rpartition("</think>")[2].strip() if row[0].finish == "stop" else "" for row in drawn]
