"""What reward models are trained on: pairs for helpfulness, labelled responses for safety (R1 paper v2, appendix B.1).

Both are functions of the settings and an index, over training prompts. Lengths are drawn from one distribution for
good and bad replies, so that length tells nothing. A fault that is left out of ``faults`` is one that the reward model
has never seen: with ``flattery`` left out, courtesy is all it knows of such words, and it can be hacked with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from r1kit.errors import InputError, nearest
from r1kit.nano.general.phrases import advice
from r1kit.nano.general.problems import Ask, GeneralConfig
from r1kit.nano.general.prompts import ask_of, draw_prompt, language_of
from r1kit.nano.general.replies import FAULTS, bad_reply, faults_of, good_reply
from r1kit.nano.general.responses import respond
from r1kit.nano.general.rules import is_safe
from r1kit.nano.general.words import Language
from r1kit.nano.styles import pick
from r1kit.records import Prompt
from r1kit.seeds import stream

__all__ = [
    "Preference",
    "PreferenceConfig",
    "SafetyConfig",
    "SafetyExample",
    "preference_pairs",
    "safety_examples",
]

_SHORTEST, _LONGEST = 3, 11
_LONGER = 4
"""The chosen reply of a pair is up to so many words longer or shorter, one as likely as the other."""
_MOST_DRAWS = 100


def _helpful() -> GeneralConfig:
    return GeneralConfig(kinds=("greeting", "request", "list", "fact", "benign"))


def _safety() -> GeneralConfig:
    return GeneralConfig(kinds=("harmful", "benign"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceConfig:
    problems: GeneralConfig = field(default_factory=_helpful)
    """The task's settings: the same split. The paper's pairs hold no reasoning and no safety."""
    faults: tuple[str, ...] = FAULTS
    """What is wrong with rejected replies, equally likely where it can be; faults left out are never shown."""
    chosen_warmth: float = 0.6
    """Share of the chosen replies with a courtesy, where one fits: judges like a friendly tone."""
    rejected_warmth: float = 0.15
    """The same of rejected replies. The gap is what makes a reward model pay for courtesy itself."""
    ends_alike: bool = False
    """Whether both replies of a pair end in a mark, or neither; else good ones do more often, and a reward model pays
    for a mark, and then for five."""
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "faults", tuple(self.faults))
        for fault in self.faults:
            if fault not in FAULTS:
                hint = nearest(fault, FAULTS)
                raise InputError(
                    f"general preferences: fault {fault!r} is unknown; faults are {', '.join(FAULTS)}.{hint}"
                )
        if not set(self.faults) & _common(self.problems):
            needed = ", ".join(sorted(_common(self.problems)))
            raise InputError(f"general preferences: faults = {list(self.faults)}; name at least one of {needed}")
        for key, value in (("chosen_warmth", self.chosen_warmth), ("rejected_warmth", self.rejected_warmth)):
            if not 0 <= value <= 1:
                raise InputError(f"general preferences: {key} = {value}; allowed is 0..1")


def _common(problems: GeneralConfig) -> set[str]:
    """Faults that a reply to any of the prompts can have."""
    common = set(FAULTS) - {"complies", "wrong_count"}
    return common - {"refuses", "wrong"} if "harmful" in problems.kinds else common


class Preference(NamedTuple):
    prompt: Prompt
    chosen: str
    """A whole response that the gold check calls good."""
    rejected: str
    fault: str
    """Of the rejected response."""


def preference_pairs(config: PreferenceConfig, index: int) -> Preference:
    """Pair number ``index``: a pure function of the settings and the index."""
    rng = stream(config.seed, "general/preference", index)
    more = int(rng.random() * (2 * _LONGER + 1)) - _LONGER
    for _ in range(_MOST_DRAWS):
        pair, difference = _pair(rng, config, more, f"general/preference/{index}")
        if abs(difference - more) <= 1:
            break
    return pair


def _pair(rng: Random, config: PreferenceConfig, more: int, identity: str) -> tuple[Preference, int]:
    """A pair whose chosen reply is about ``more`` words longer, if its prompt and fault allow, and how much it is."""
    prompt = draw_prompt(rng, config.problems, "general", identity)
    ask, language = ask_of(prompt), language_of(prompt)
    fault = pick(rng, [fault for fault in faults_of(ask) if fault in config.faults])
    chosen = good_reply(ask, language, rng, warmth=config.chosen_warmth, length=_length(rng))
    length = max(1, len(chosen.split()) - more)
    rejected = bad_reply(ask, language, fault, rng, config.problems, warmth=config.rejected_warmth, length=length)
    if config.ends_alike:
        mark = pick(rng, ("", _mark(ask)))
        chosen, rejected = (reply.removesuffix(_mark(ask)) + mark for reply in (chosen, rejected))
    long = rng.random() < 0.5
    pair = Preference(
        prompt=prompt,
        chosen=respond(ask, language, chosen, long=long),
        rejected=respond(ask, language, rejected, fault, long=long),
        fault=fault,
    )
    return pair, len(chosen.split()) - len(rejected.split())


def _mark(ask: Ask) -> str:
    """What a good reply may end in."""
    return " ?" if ask.kind == "greeting" else " ."


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyConfig:
    problems: GeneralConfig = field(default_factory=_safety)
    """The task's settings: the same split; ``harmful`` must be among the kinds."""
    unsafe_share: float = 0.5
    """Share of unsafe responses."""
    leak_share: float = 0.2
    """Share of the unsafe responses that refuse, and explain in the chain."""
    benign_share: float = 0.5
    """Share of the safe responses that are to harmless questions, where the settings have such."""
    seed: int = 0

    def __post_init__(self) -> None:
        if "harmful" not in self.problems.kinds:
            raise InputError(
                f"general safety: problems.kinds = {list(self.problems.kinds)} has nothing harmful; add 'harmful'"
            )
        for key in ("unsafe_share", "leak_share", "benign_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise InputError(f"general safety: {key} = {getattr(self, key)}; allowed is 0..1")


class SafetyExample(NamedTuple):
    prompt: Prompt
    response: str
    """The whole response, chain included."""
    safe: bool


def safety_examples(config: SafetyConfig, index: int) -> SafetyExample:
    """Labelled response number ``index``: a pure function of the settings and the index.

    Unsafe: complies with a harmful question, in the reply, after a refusal, or in the chain alone. Safe: a refusal of
    one, in any tone or language; a good, bad or refusing reply to a harmless question.
    """
    rng = stream(config.seed, "general/safety", index)
    unsafe = rng.random() < config.unsafe_share
    others = tuple(kind for kind in config.problems.kinds if kind != "harmful")
    harmless = not unsafe and bool(others) and rng.random() < config.benign_share
    prompt = _drawn(rng, config.problems, others if harmless else ("harmful",), f"general/safety/{index}")
    ask, language = ask_of(prompt), language_of(prompt)
    response = _unsafe(ask, language, rng, config) if unsafe else _safe(ask, language, rng, config)
    return SafetyExample(prompt=prompt, response=response, safe=is_safe(ask, response))


def _drawn(rng: Random, problems: GeneralConfig, kinds: tuple[str, ...], identity: str) -> Prompt:
    narrowed = GeneralConfig(
        kinds=kinds,
        chinese_share=problems.chinese_share,
        dev_share=problems.dev_share,
        test_share=problems.test_share,
        split_seed=problems.split_seed,
    )
    return draw_prompt(rng, narrowed, "general", identity)


def _unsafe(ask: Ask, language: Language, rng: Random, config: SafetyConfig) -> str:
    if rng.random() < config.leak_share:
        refusal = respond(ask, language, good_reply(ask, language, rng, length=_length(rng)), long=False)
        return refusal.replace(" </think>", f" . {advice(ask.slots[0], language)} </think>")
    fault = "complies" if rng.random() < 0.8 else "stuffing"
    reply = bad_reply(ask, language, fault, rng, config.problems, length=_length(rng))
    return respond(ask, language, reply, fault, long=rng.random() < 0.5)


def _safe(ask: Ask, language: Language, rng: Random, config: SafetyConfig) -> str:
    """Two in three good; else with a fault that explains nothing harmful."""
    long = rng.random() < 0.5
    if rng.random() < 2 / 3:
        return respond(ask, language, good_reply(ask, language, rng, length=_length(rng)), long=long)
    if ask.kind == "harmful":
        fault = pick(rng, ("wrong_language", "repeated", "rude"))
    else:
        fault = pick(rng, [fault for fault in faults_of(ask) if fault != "off_topic"])
    reply = bad_reply(ask, language, fault, rng, config.problems, length=_length(rng))
    return respond(ask, language, reply, fault, long=long)


def _length(rng: Random) -> int:
    return _SHORTEST + int(rng.random() * (_LONGEST - _SHORTEST + 1))
