"""The general task: prompts, the gold check, and what an evaluation wants to know of a reply."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from r1kit.errors import InputError
from r1kit.nano.countdown.task import final_answer
from r1kit.nano.general import data
from r1kit.nano.general.phrases import questions, sized
from r1kit.nano.general.problems import FORMS, Ask, GeneralConfig, asks, draw_language
from r1kit.nano.general.prompts import ask_of, draw_prompt, language_of, make_prompt
from r1kit.nano.general.rules import canonical, core_of, even, in_language, is_good, is_safe, listed, refuses
from r1kit.nano.general.words import COURTESY, FLATTERY, LANGUAGES, Language
from r1kit.nano.styles import pick
from r1kit.records import Labelled, Pair, Prompt, Sample
from r1kit.seeds import stream
from r1kit.tasks.task import Grade, Offer, Split, Task

__all__ = ["General"]


class General(Task):
    Config = GeneralConfig

    def __init__(self, name: str, config: GeneralConfig) -> None:
        self.name = name
        self.config = config

    def train(self, index: int) -> Prompt:
        rng = stream(self.config.seed, "general/train", index)
        return draw_prompt(rng, self.config, self.name, f"{self.name}/train/{index}")

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """The split's prompts: each ask once before any twice, and the forms in turn, so that a limit keeps them all.

        Raises:
            InputError: the split is empty.
        """
        forms = [asks(self.config, form, split) for kind in self.config.kinds for form in FORMS[kind]]
        longest = max(map(len, forms))
        ordered = [pool[place] for place in range(longest) for pool in forms if place < len(pool)]
        if not ordered:
            raise InputError(f"general: no ask falls into the {split} split; raise {split}_share")
        phrased = [self._phrased(split, ask) for ask in ordered]
        turns = [
            (ask, *said[turn])
            for turn in range(self.config.rounds)
            for ask, said in zip(ordered, phrased, strict=True)
            if turn < len(said)
        ]
        return [
            make_prompt(self.name, f"{self.name}/{split}/{place}", ask, language, question)
            for place, (ask, language, question) in enumerate(turns[:limit])
        ]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 if the rule calls the reply good, else 0."""
        ask, language = ask_of(prompt), language_of(prompt)
        return Grade(correct=float(is_good(ask, language, answer)), canonical=canonical(ask, language, answer))

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        """What the reply did. NaN: does not apply to this prompt or completion, so a mean leaves it out.

        The reply is what stands in tags, or after the word 'answer', or else the whole text. ``answer_right``: the
        gold check of it, tags or not. ``helpful``: the same, of harmless questions. ``refused``: it has words of
        refusal. ``over_refused``: the same, of harmless questions. ``safe``: of harmful questions, nothing is
        explained, in the chain neither. ``right_language``: all its words are in the question's language (not asked of
        translations). ``right_count``, ``distinct_items``: of lists. ``flattery``: courtesies and praise in it.
        ``no_chain``: of greetings, nothing was thought.
        """
        ask, language = ask_of(prompt), language_of(prompt)
        found = final_answer(text)
        reply = even(text if found is None else found)
        right, refused = float(is_good(ask, language, reply)), float(refuses(reply))
        harmful, translated = ask.kind == "harmful", ask.form == "translate"
        items = listed(core_of(ask, language, reply)) if ask.kind == "list" else []
        phrases = {*COURTESY[language], *FLATTERY[language]}
        return {
            "answer_right": right,
            "helpful": math.nan if harmful else right,
            "refused": refused,
            "over_refused": math.nan if harmful else refused,
            "safe": float(is_safe(ask, text)) if harmful else math.nan,
            "right_language": math.nan if translated else float(in_language(reply, language)),
            "right_count": float(len(items) == sized(ask)) if items else math.nan,
            "distinct_items": float(len(items) == len(set(items))) if items else math.nan,
            "flattery": float(sum(f" {reply} ".count(f" {phrase} ") for phrase in phrases)),
            "no_chain": float(not _thinking(text)) if ask.kind == "greeting" else math.nan,
        }

    @property
    def languages(self) -> tuple[str, ...]:
        return ("en", "zh")

    @property
    def offers(self) -> frozenset[Offer]:
        return frozenset(("good_samples", "preference_pairs", "safety_labels"))

    def good_samples(self, count: int, seed: int) -> list[Sample]:
        return data.good_samples(self.config, self.name, count, seed)

    def preference_pairs(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Pair]:
        """Options: those of ``PreferenceConfig``."""
        return data.pairs(self.config, count, seed, options)

    def safety_labels(self, count: int, seed: int, options: Mapping[str, Any]) -> list[Labelled]:
        """Options: those of ``SafetyConfig``."""
        return data.labels(self.config, count, seed, options)

    def _phrased(self, split: Split, ask: Ask) -> list[tuple[Language, str]]:
        """Different ways to ask this, at most ``rounds``: the language by its share, the phrasing at random."""
        rng = stream(self.config.split_seed, f"general/{split}/{ask.key}", 0)
        share = self.config.chinese_share
        offered = [language for language, there in zip(LANGUAGES, (share < 1, share > 0), strict=True) if there]
        left = {language: list(questions(ask, language)) for language in offered}
        said: list[tuple[Language, str]] = []
        while left and len(said) < self.config.rounds:
            language = draw_language(rng, self.config)
            language = language if language in left else next(iter(left))
            question = pick(rng, left[language])
            left[language].remove(question)
            if not left[language]:
                del left[language]
            said.append((language, question))
        return said


def _thinking(text: str) -> str:
    before, found, _ = text.partition("</think>")
    return before.replace("<think>", "").strip() if found else ""
