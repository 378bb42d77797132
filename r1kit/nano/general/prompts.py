"""Asks as prompts: the record that a task hands out, and the way back."""

from __future__ import annotations

from random import Random

from r1kit.nano.general.phrases import cores, members, questions, sized
from r1kit.nano.general.problems import Ask, GeneralConfig, draw_ask, draw_language
from r1kit.nano.general.words import Language, spoken
from r1kit.nano.styles import pick
from r1kit.records import Prompt

__all__ = ["ask_of", "draw_prompt", "language_of", "make_prompt"]


def make_prompt(task: str, identity: str, ask: Ask, language: Language, question: str) -> Prompt:
    """The prompt's cluster is the ask, whatever its language; its reference is the shortest good reply."""
    return Prompt(
        id=identity,
        task=task,
        question=question,
        answer=_reference(ask, language),
        language=language,
        cluster=ask.key,
        facts={"kind": ask.kind, "form": ask.form, "slots": list(ask.slots), "opening": ask.opening},
    )


def draw_prompt(rng: Random, config: GeneralConfig, task: str, identity: str) -> Prompt:
    """A training prompt."""
    ask, language = draw_ask(rng, config), draw_language(rng, config)
    return make_prompt(task, identity, ask, language, pick(rng, questions(ask, language)))


def ask_of(prompt: Prompt) -> Ask:
    facts = prompt.facts
    return Ask(facts["kind"], facts["form"], tuple(facts["slots"]), facts.get("opening", ""))


def language_of(prompt: Prompt) -> Language:
    return "zh" if prompt.language == "zh" else "en"


def _reference(ask: Ask, language: Language) -> str:
    if ask.kind == "list":
        return " , ".join(spoken(item, language) for item in members(ask)[: sized(ask)])
    return cores(ask, language)[0]
