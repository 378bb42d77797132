"""A refiner that is rules: word for word by the nano world's vocabularies; the summary restates the answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from r1kit.factory.refine import Edit, Refined
from r1kit.nano.list_ops.steps import THEN
from r1kit.nano.words import CHINESE, KOREAN, spelled
from r1kit.records import Prompt

__all__ = ["RuleRefiner", "one_language", "translations"]


@dataclass(frozen=True, slots=True)
class RuleRefiner:
    """Word for word, by the nano world's vocabularies; the summary restates the answer."""

    written: int = 0
    """Rules write no tokens."""

    def refine(self, prompts: Sequence[Prompt], responses: Sequence[str], seeds: Sequence[int]) -> list[Refined]:
        return [_by_rules(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]


@cache
def translations(language: str, of_steps: bool = False) -> Mapping[str, str]:
    """Word of the other nano languages -> word of ``language``; empty for languages that are not en, zh or ko.

    ``of_steps``: the words of list_ops, where 再 is 'then' and not 'again'.
    """
    words = {**CHINESE, THEN["en"]: THEN["zh"]} if of_steps else CHINESE
    tables = {"en": {word: word for word in words}, "zh": words, "ko": KOREAN}
    own = tables.get(language, {})
    others = [table for name, table in tables.items() if name != language]
    return {table[word]: own[word] for table in others for word in table if word in own}


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
    """``<think> chain </think> so 13 = 5 * 5 - 12 <answer> 5 * 5 - 12 </answer>``."""
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
    so = spelled("so", prompt.language)
    return f"{so} {prompt.facts['target']} = {answer}" if "target" in prompt.facts else f"{so} {answer}"
