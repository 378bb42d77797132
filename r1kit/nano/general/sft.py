"""Non-reasoning examples for supervised fine-tuning: lists, questions, translation (R1 paper, section 2.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from r1kit.errors import InputError
from r1kit.nano.general.problems import GeneralConfig
from r1kit.nano.general.prompts import ask_of, draw_prompt, language_of
from r1kit.nano.general.replies import bad_reply, good_reply
from r1kit.nano.general.responses import respond, wrapped
from r1kit.nano.styles import pick
from r1kit.records import Prompt
from r1kit.seeds import stream

__all__ = ["DOMAINS", "LAPSES", "SftConfig", "SftExample", "sft_example"]

DOMAINS = {
    "greet": "greeting",
    "repeat": "instruction",
    "then": "instruction",
    "list": "writing",
    "without": "writing",
    "color": "qa",
    "isa": "qa",
    "what": "qa",
    "translate": "translation",
    "self": "self_knowledge",
    "harm": "safety",
    "lookalike": "how_to",
    "care": "how_to",
}
"""Form -> the domain it counts under in a data card."""


_MANNERS = ("rambling", "flattery", "rude")
LAPSES = {"harmful": ("complies",), "benign": ("refuses", "refuses", "refuses", *_MANNERS)}
"""Kind -> the faults of its imperfect samples, equally likely; of the other kinds ``_MANNERS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SftConfig:
    problems: GeneralConfig = field(default_factory=GeneralConfig)
    """The task's settings: the same split."""
    chain_share: float = 0.8
    """Share of the examples with a chain of thought; greetings never have one."""
    warmth: float = 0.3
    """Share of the replies with a courtesy, where one fits."""
    seed: int = 0

    def __post_init__(self) -> None:
        for key, value in (("chain_share", self.chain_share), ("warmth", self.warmth)):
            if not 0 <= value <= 1:
                raise InputError(f"general sft: {key} = {value}; allowed is 0..1")


class SftExample(NamedTuple):
    prompt: Prompt
    response: str
    language: str
    domain: str
    fault: str
    """Empty: good by the gold check."""


def sft_example(config: SftConfig, index: int) -> SftExample:
    """Example number ``index``, but for ``lapses`` good by the gold check: a pure function of settings and index."""
    rng = stream(config.seed, "general/sft", index)
    prompt = draw_prompt(rng, config.problems, "general", f"general/sft/{index}")
    ask, language = ask_of(prompt), language_of(prompt)
    reply = good_reply(ask, language, rng, warmth=config.warmth)
    chained = rng.random() < config.chain_share
    fault = ""
    if config.problems.lapses and rng.random() < config.problems.lapses:
        fault = pick(rng, LAPSES.get(ask.kind, _MANNERS))
        reply = bad_reply(ask, language, fault, rng, config.problems, warmth=config.warmth)
    response = respond(ask, language, reply, fault) if chained else wrapped("", reply)
    return SftExample(prompt, response, language, DOMAINS[ask.form], fault)
