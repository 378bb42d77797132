"""Good replies to an ask, and bad ones with a named fault; every one is a pure function of its arguments.

==================  ====================================================================================
fault               what is wrong
==================  ====================================================================================
``wrong_language``  the right reply in the other language
``wrong_count``     one too many or too few, where a number was asked for
``repeated``        an item twice, or the reply said twice
``off_topic``       the right reply to another question
``wrong``           the right form with a wrong fact, word or way
``rambling``        a right reply that goes on about other things
``rude``            an insult before the reply
``complies``        tells how to do what is harmful
``refuses``         refuses what is harmless
``flattery``        courtesy and praise piled up, with or without the reply
``stuffing``        several answers at once, the right one among them
==================  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from r1kit.nano.general.phrases import cores, foreign, how_to, knowledge, members, sized
from r1kit.nano.general.problems import FORMS, Ask, GeneralConfig, asks
from r1kit.nano.general.rules import is_good
from r1kit.nano.general.words import (
    ADVICE,
    CATEGORIES,
    CATEGORY_OF,
    CLOSINGS,
    COURTESY,
    FLATTERY,
    ITEMS,
    OFFERS,
    REFUSALS,
    RUDE,
    Language,
    a,
    other,
    spoken,
)
from r1kit.nano.styles import pick

__all__ = ["FAULTS", "WARMTH", "bad_reply", "faults_of", "good_reply"]

WARMTH = 0.3
"""Chance that a reply begins with a courtesy, where a setting says nothing else."""
_MOST_DRAWS = 100
_CANDIDATES = 8


def good_reply(ask: Ask, language: Language, rng: Random, *, warmth: float = WARMTH, length: int = 0) -> str:
    """A reply that the rule calls good.

    Args:
        ask: what was asked.
        language: of the question, so of the reply.
        rng: decides which of the good replies.
        warmth: chance of a courtesy in front; greetings and refusals take none.
        length: in words, to come near to; 0 for any.
    """
    return _near(length, rng, lambda: _good(ask, language, rng, warmth))


def bad_reply(
    ask: Ask,
    language: Language,
    fault: str,
    rng: Random,
    config: GeneralConfig,
    *,
    warmth: float = WARMTH,
    length: int = 0,
) -> str:
    """A reply with the fault, one of ``faults_of(ask)``, which the rule calls bad; other questions come from training.

    Args:
        ask: what was asked.
        language: of the question.
        fault: its name.
        rng: decides which of the replies with that fault.
        config: whose training questions an off-topic reply answers.
        warmth: chance of a courtesy in front, for faults that leave the beginning free.
        length: in words, to come near to; 0 for any.
    """
    make = _MAKERS[fault]

    def draw() -> str:
        for _ in range(_MOST_DRAWS):
            reply = make(ask, language, rng, config)
            if rng.random() < warmth and fault not in ("rude", "flattery") and ask.kind not in ("greeting", "harmful"):
                reply = f"{pick(rng, COURTESY[language])} {reply}"
            if not is_good(ask, language, reply):
                return reply
        raise AssertionError(f"{fault} of {ask.key} made good replies only")

    return _near(length, rng, draw)


def faults_of(ask: Ask) -> tuple[str, ...]:
    """The faults that a reply to this ask can have."""
    left_out = {"wrong" if ask.kind == "harmful" else "complies"}
    if ask.kind == "harmful":
        left_out.add("refuses")
    if ask.form not in ("repeat", "list", "without"):
        left_out.add("wrong_count")
    return tuple(fault for fault in FAULTS if fault not in left_out)


def _near(length: int, rng: Random, draw: Callable[[], str]) -> str:
    """One draw; or, of several, the first of those whose length in words is nearest to the one asked for."""
    if not length:
        return draw()
    return min((draw() for _ in range(_CANDIDATES)), key=lambda reply: abs(len(reply.split()) - length))


def _good(ask: Ask, language: Language, rng: Random, warmth: float) -> str:
    core = _core(ask, language, rng)
    if ask.kind == "greeting":
        return core + pick(rng, ("", " ?"))
    polite = ask.kind != "harmful" and rng.random() < warmth
    return (f"{pick(rng, COURTESY[language])} " if polite else "") + core + pick(rng, CLOSINGS)


def _core(ask: Ask, language: Language, rng: Random) -> str:
    if ask.kind != "list":
        said = cores(ask, language)
        return said[0] if ask.form == "repeat" else pick(rng, said)  # one way to say a word twice: easier to learn
    chosen = set(rng.sample(members(ask), sized(ask)))
    return _join(
        [item for item in members(ask) if item in chosen], language
    )  # in order: easier to learn than any order


def _join(items: list[str], language: Language) -> str:
    return " , ".join(spoken(item, language) for item in items)


def _wrong_language(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    if ask.form != "translate":
        return _core(ask, other(language), rng) + pick(rng, CLOSINGS)
    core = _core(ask, language, rng)
    return core.removesuffix(foreign(ask.slots[0], language)) + spoken(ask.slots[0], language)


def _wrong_count(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    count = sized(ask) + pick(rng, (-1, 1))
    if ask.form == "repeat":
        return pick(rng, (" ", " , ")).join([spoken(ask.slots[0], language)] * count)
    allowed = members(ask)
    return _join(rng.sample(allowed, count if count <= len(allowed) else sized(ask) - 1), language)


def _repeated(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    if ask.kind != "list":
        core = _core(ask, language, rng)
        return f"{core} {pick(rng, (',', '.'))} {core}"
    items = rng.sample(members(ask), sized(ask))
    items[int(rng.random() * (len(items) - 1)) + 1] = items[0]
    return _join(items, language)


def _off_topic(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    forms = [form for kind, forms in FORMS.items() if kind != "harmful" for form in forms if form != ask.form]
    return _core(pick(rng, asks(config, pick(rng, forms), "train")), language, rng)


def _wrong(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    """The reply to an ask of the same form whose answer is another; a list with an item that does not belong."""
    if ask.kind == "list":
        items = rng.sample(members(ask), sized(ask))
        strangers = [item for item in ITEMS if item not in members(ask)]
        near = [ask.slots[1]] if ask.form == "without" and rng.random() < 0.5 else strangers
        items[int(rng.random() * len(items))] = pick(rng, near)
        return _join(items, language)
    if ask.kind == "greeting":
        opener = pick(rng, [one for one in ("good morning", "good evening", "hi") if one != ask.slots[0]])
        return f"{spoken(opener, language)} ! {pick(rng, OFFERS[language])}"
    if ask.kind == "benign":
        verb = pick(rng, [verb for verb in ADVICE if ADVICE[verb] != ADVICE[ask.slots[0]]])
        return pick(rng, how_to(Ask(ask.kind, ask.form, (verb, ask.slots[1])), language))
    if ask.form == "then" and rng.random() < 0.5:
        return " ".join(spoken(word, language) for word in reversed(ask.slots))
    if ask.form == "repeat":
        item = pick(rng, CATEGORIES[CATEGORY_OF[ask.slots[0]]])
        return _core(Ask(ask.kind, ask.form, (item, ask.slots[1])), language, rng)
    if ask.form == "isa" or (ask.form == "self" and ask.slots[0]):
        return _opposite(ask, language, rng)
    if ask.form == "self":
        return a(pick(rng, ("man", "child", "friend")), language)
    stranger = pick(rng, asks(config, ask.form, "train"))
    return pick(rng, cores(stranger, language)[:2])


def _opposite(ask: Ask, language: Language, rng: Random) -> str:
    """No where it is yes, and the other way round."""
    yes, no, be, be_not = ("对", "不", "是", "不 是") if language == "zh" else ("yes", "no", "is", "is not")
    right = cores(ask, language)[0] == yes
    verdict = no if right else yes
    if ask.form == "self":
        return verdict
    item, category = (a(word, language) for word in ask.slots)
    return pick(rng, (verdict, f"{verdict} , {item} {be_not if right else be} {category}"))


def _rambling(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    sentences = [pick(rng, knowledge(language)) for _ in range(1 + int(rng.random() * 3))]
    return " . ".join((_core(ask, language, rng), *sentences)) + pick(rng, CLOSINGS)


def _rude(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    insult = pick(rng, RUDE[language])
    return (
        f"{insult} {_core(ask, language, rng)}" if rng.random() < 0.8 else f"{insult} {pick(rng, RUDE[language])[:-2]}"
    )


def _complies(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    return pick(rng, how_to(ask, language)) + pick(rng, CLOSINGS)


def _refuses(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    return pick(rng, REFUSALS[language]) + pick(rng, CLOSINGS)


def _flattery(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    praise = [pick(rng, FLATTERY[language]) for _ in range(2 + int(rng.random() * 3))]
    return " ".join((*praise, _core(ask, language, rng))) if rng.random() < 0.7 else " ".join(praise)


def _stuffing(ask: Ask, language: Language, rng: Random, config: GeneralConfig) -> str:
    """The right answer among others of its form; to a question how, a refusal and a way at once."""
    if ask.kind in ("harmful", "benign"):
        both = [pick(rng, REFUSALS[language]), how_to(ask, language)[0]]
        return " . ".join(both if rng.random() < 0.5 else both[::-1])
    if ask.kind == "list":
        strangers = [item for item in ITEMS if item not in members(ask)]
        items = [*members(ask), *rng.sample(strangers, 1 + int(rng.random() * 3))]
        return _join(rng.sample(items, len(items)), language)
    if ask.form in ("isa", "self"):
        both = [cores(ask, language)[0], _opposite(ask, language, rng) if ask.slots[0] else a("man", language)]
        return " , ".join(rng.sample(both, 2))
    others = asks(config, ask.form, "train")
    told = [ask, *(pick(rng, others) for _ in range(2 + int(rng.random() * 2)))]
    return " , ".join(dict.fromkeys(cores(one, language)[0] for one in rng.sample(told, len(told))))


_MAKERS: dict[str, Callable[[Ask, Language, Random, GeneralConfig], str]] = {
    "wrong_language": _wrong_language,
    "wrong_count": _wrong_count,
    "repeated": _repeated,
    "off_topic": _off_topic,
    "wrong": _wrong,
    "rambling": _rambling,
    "rude": _rude,
    "complies": _complies,
    "refuses": _refuses,
    "flattery": _flattery,
    "stuffing": _stuffing,
}
FAULTS = tuple(_MAKERS)
