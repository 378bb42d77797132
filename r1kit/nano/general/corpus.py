"""The general world's pretraining text: questions with good and bad replies, and sheets of general knowledge.

A question document reads ``User: what color is grass Assistant: <think> user wants grass . it is safe </think>
<answer> grass is green </answer>``, or without tags (``... safe answer grass is green``), with or without the chain.
Replies are good or have one of the faults of ``replies``; held-out asks never occur, though what they ask about does:
``grass is green`` stands in a sheet whether or not its question is held out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from r1kit.errors import InputError, nearest
from r1kit.nano.general.phrases import chain, knowledge, questions
from r1kit.nano.general.problems import Ask, GeneralConfig, draw_ask, draw_language, trains_on
from r1kit.nano.general.replies import FAULTS, WARMTH, bad_reply, faults_of, good_reply
from r1kit.nano.general.responses import wrapped
from r1kit.nano.general.words import Language, other, vocabulary
from r1kit.nano.styles import pick
from r1kit.nano.words import ASSISTANT, USER
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.corpus import Corpus

__all__ = ["GeneralCorpus", "GeneralCorpusConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralCorpusConfig:
    problems: GeneralConfig = field(default_factory=GeneralConfig)
    """The task's settings: the same split."""
    good_share: float = 0.7
    """Share of the question documents whose reply is good."""
    faults: Mapping[str, float] = field(
        default_factory=lambda: {**dict.fromkeys(FAULTS, 1.0), "off_topic": 0.5, "wrong": 0.5}
    )
    """Weight of each fault among the bad replies; where it cannot be, it is left out. Faults not named never occur."""
    tag_share: float = 0.35
    """Share of the question documents in tags, whatever the reply."""
    chain_share: float = 0.6
    """Share of the question documents with a chain before the reply; greetings never have one."""
    other_language_share: float = 0.15
    """Share of the chains that are in the other language than the question."""
    knowledge_share: float = 0.2
    """Share of documents that are sheets of general knowledge."""
    warmth: float = WARMTH
    """Share of the replies with a courtesy, where one fits."""
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("good_share", "tag_share", "chain_share", "other_language_share", "knowledge_share", "warmth"):
            if not 0 <= getattr(self, key) <= 1:
                raise InputError(f"general corpus: {key} = {getattr(self, key)}; allowed is 0..1")
        for fault, weight in self.faults.items():
            if fault not in FAULTS:
                hint = nearest(fault, FAULTS)
                raise InputError(f"general corpus: fault {fault!r} is unknown; faults are {', '.join(FAULTS)}.{hint}")
            if weight < 0:
                raise InputError(f"general corpus: faults.{fault} = {weight}; allowed is 0 or more")
        if self.good_share < 1 and not self.faults.get("off_topic"):
            raise InputError(
                "general corpus: faults.off_topic must be above 0 unless good_share is 1; all asks have it"
            )

    def shows(self, key: str) -> bool:
        """Whether question documents may ask this, a prompt's ``cluster``."""
        return trains_on(self.problems, key)


class GeneralCorpus(Corpus):
    """An endless stream of documents; number ``index`` is a function of the settings and the index alone."""

    Config = GeneralCorpusConfig

    def __init__(self, config: GeneralCorpusConfig) -> None:
        self.config = config

    def document(self, index: int) -> str:
        """Words with one space between, without ``<bos>`` and ``<eos>``."""
        config, rng = self.config, stream(self.config.seed, "general/corpus", index)
        language = draw_language(rng, config.problems)
        if rng.random() < config.knowledge_share:
            sentences = knowledge(language)
            return " . ".join(pick(rng, sentences) for _ in range(3 + int(rng.random() * 4)))
        ask = draw_ask(rng, config.problems, evenly=True)
        return f"{USER} {pick(rng, questions(ask, language))} {ASSISTANT} {self.response(rng, ask, language)}"

    def response(self, rng: Random, ask: Ask, language: Language) -> str:
        """What the assistant writes in a question document."""
        config = self.config
        fault = "" if rng.random() < config.good_share else self._fault(rng, ask)
        if fault:
            reply = bad_reply(ask, language, fault, rng, config.problems, warmth=config.warmth)
        else:
            reply = good_reply(ask, language, rng, warmth=config.warmth)
        thinking = ""
        if rng.random() < config.chain_share:
            thought_in = other(language) if rng.random() < config.other_language_share else language
            judged_safe = fault == "complies" or (ask.kind != "harmful" and fault != "refuses")
            thinking = chain(ask, thought_in, judged_safe, rng.random() < 0.5, recalls=fault != "wrong")
        if rng.random() < config.tag_share:
            return wrapped(thinking, reply)
        return f"{thinking} {'答' if language == 'zh' else 'answer'} {reply}" if thinking else reply

    def shows(self, prompt: Prompt) -> bool:
        """Whether question documents may ask this, of a task of this kind."""
        return "form" in prompt.facts and self.config.shows(prompt.cluster)

    def vocabulary(self) -> list[str]:
        return vocabulary()

    def _fault(self, rng: Random, ask: Ask) -> str:
        """One of the ask's faults, by the weights."""
        weights = {fault: self.config.faults.get(fault, 0.0) for fault in faults_of(ask)}
        draw = rng.random() * sum(weights.values())
        for fault, weight in weights.items():
            draw -= weight
            if draw < 0:
                return fault
        return "off_topic"
