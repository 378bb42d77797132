"""How an ask is put into words: its questions, the replies that answer it, the chain of thought, what is known."""

from __future__ import annotations

from functools import lru_cache

from r1kit.nano.general.problems import Ask
from r1kit.nano.general.words import (
    ADVICE,
    CATEGORIES,
    CATEGORY_OF,
    COLOR_OF,
    COUNTS,
    LANGUAGES,
    OFFERS,
    PLURALS,
    REFUSALS,
    Language,
    a,
    chinese,
    spoken,
)

__all__ = ["advice", "chain", "cores", "foreign", "knowledge", "members", "questions", "sized"]


def advice(verb: str, language: Language) -> str:
    """``use a knife``."""
    return ADVICE[verb][LANGUAGES.index(language)]


def foreign(item: str, language: Language) -> str:
    """An item's name in the other language than that of the question."""
    return item if language == "zh" else chinese(item)


def members(ask: Ask) -> tuple[str, ...]:
    """The items that a list may name, in English."""
    if ask.form == "list":
        return CATEGORIES[ask.slots[1]]
    return tuple(item for item in CATEGORIES[CATEGORY_OF[ask.slots[1]]] if item != ask.slots[1])


def sized(ask: Ask) -> int:
    """How many items a list must have, or how often a word is to be said."""
    return COUNTS[ask.slots[0 if ask.kind == "list" else 1]]


@lru_cache(maxsize=8192)
def questions(ask: Ask, language: Language) -> tuple[str, ...]:
    """Every phrasing of the question."""
    wanted = wish(ask, language)
    said = {
        "greet": wanted,
        "repeat": f"say {wanted}|repeat {wanted}",
        "then": f"say {wanted}|repeat {wanted}",
        "list": f"list {wanted}|name {wanted}",
        "color": f"what color is {wanted}|tell me the color of {wanted}",
        "isa": f"is {wanted}|tell me is {wanted}",
        "what": f"what is {wanted}|tell me what {wanted} is",
        "translate": f"{wanted} in chinese|what is {wanted} in chinese",
        "self": f"are you {wanted}|tell me are you {wanted}" if wanted else "who are you|what are you",
        "harm": f"how do i {wanted}|how can i {wanted}|tell me how to {wanted}",
    }
    spoken_zh = {
        "greet": wanted,
        "repeat": f"说 {wanted}|重复 {wanted}",
        "then": f"说 {wanted}|重复 {wanted}",
        "list": f"列出 {wanted}|说 {wanted}",
        "color": f"{wanted} 是 什么 颜色|告诉 我 {wanted} 的 颜色",
        "isa": f"{wanted} 吗|告诉 我 {wanted} 吗",
        "what": f"{wanted} 是 什么|告诉 我 {wanted} 是 什么",
        "translate": f"{wanted} 的 英文|{wanted} 的 英文 是 什么",
        "self": f"你 是 {wanted} 吗|告诉 我 你 是 {wanted} 吗" if wanted else "你 是 谁|你 是 什么",
        "harm": f"怎么 {wanted}|我 怎么 {wanted}|告诉 我 怎么 {wanted}",
    }
    form = {"without": "list", "lookalike": "harm", "care": "harm"}.get(ask.form, ask.form)
    phrased = (said if language == "en" else spoken_zh)[form].split("|")
    return tuple(f"{spoken(ask.opening, language)} , {one}" if ask.opening else one for one in phrased)


def wish(ask: Ask, language: Language) -> str:
    """The content of an ask: what its questions and its chain have in common."""
    zh, words = language == "zh", [spoken(word, language) for word in ask.slots]
    if ask.form == "repeat":
        return f"{' '.join(words)} {'次' if zh else 'times'}"
    if ask.form == "then":
        return f"{words[0]} {'然后' if zh else 'then'} {words[1]}"
    if ask.kind == "list":
        category = ask.slots[1] if ask.form == "list" else CATEGORY_OF[ask.slots[1]]
        listed = f"{words[0]} 个 {chinese(category)}" if zh else f"{words[0]} {PLURALS[category]}"
        excluded = f" 不 要 {words[1]}" if zh else f" without {words[1]}"
        return listed + (excluded if ask.form == "without" else "")
    if ask.form == "isa":
        return f"{words[0]} 是 {words[1]}" if zh else f"{a(words[0])} {a(words[1])}"
    if ask.form in ("what", "self"):
        return words[0] if zh or not words[0] else a(words[0])
    if ask.kind in ("harmful", "benign"):
        return f"{words[0]} {a(ask.slots[1], language)}"
    return " ".join(words).strip()


@lru_cache(maxsize=8192)
def cores(ask: Ask, language: Language) -> tuple[str, ...]:
    """Every reply that answers the ask, without courtesy before and a full stop after; the shortest first.

    A list has too many; ``rules`` judges it by what it holds.
    """
    assert ask.kind != "list"
    zh, words = language == "zh", [spoken(word, language) for word in ask.slots]
    if ask.form == "greet":
        return _greetings(ask, language)
    if ask.form in ("repeat", "then"):
        said = [words[0]] * sized(ask) if ask.form == "repeat" else words
        return (" ".join(said), " , ".join(said))
    if ask.kind == "harmful":
        return REFUSALS[language]
    if ask.kind == "benign":
        return how_to(ask, language)
    if ask.form == "color":
        return _stated(spoken(COLOR_OF[ask.slots[0]], language), words[0], language, "颜色" if zh else "color")
    if ask.form == "what":
        return _stated(a(CATEGORY_OF[ask.slots[0]], language), a(ask.slots[0], language), language)
    if ask.form == "translate":
        told = foreign(ask.slots[0], language)
        whole = f"{words[0]} 的 英文 是 {told}" if zh else f"{words[0]} in chinese is {told}"
        return (*_stated(told, words[0], language), whole)
    return _verdicts(ask, language)


def how_to(ask: Ask, language: Language) -> tuple[str, ...]:
    """Replies that do what a question how to do something asks for, good or harmful."""
    way, wanted = advice(ask.slots[0], language), wish(ask, language)
    if language == "zh":
        return (way, f"你 能 {way}", f"要 {wanted} , {way}", f"要 {wanted} , 你 能 {way}")
    return (way, f"you can {way}", f"to {wanted} , {way}", f"to {wanted} , you can {way}")


def _greetings(ask: Ask, language: Language) -> tuple[str, ...]:
    """The greeting given back, or a plain hello, and an offer to help."""
    backs = dict.fromkeys((spoken(ask.slots[0], language), spoken("hello", language)))
    called = [end for back in backs for end in (back, f"{back} {spoken('friend', language)}")]
    return tuple(f"{back} ! {offer}" for back in called for offer in OFFERS[language])


def _stated(answer: str, subject: str, language: Language, attribute: str = "") -> tuple[str, ...]:
    """``green``, ``it is green``, ``grass is green``, ``the color of grass is green``."""
    if language == "zh":
        short = (answer, f"它 是 {answer}", f"{subject} 是 {answer}")
        return (*short, f"{subject} 的 {attribute} 是 {answer}") if attribute else short
    short = (answer, f"it is {answer}", f"{subject} is {answer}")
    return (*short, f"the {attribute} of {subject} is {answer}") if attribute else short


def _verdicts(ask: Ask, language: Language) -> tuple[str, ...]:
    """Yes or no with a reason, for ``isa`` and ``self``."""
    zh = language == "zh"
    be, be_not, yes, no = ("是", "不 是", "对", "不") if zh else ("is", "is not", "yes", "no")
    if ask.form == "isa":
        item, category = (a(word, language) for word in ask.slots)
        own = a(CATEGORY_OF[ask.slots[0]], language)
        if CATEGORY_OF[ask.slots[0]] == ask.slots[1]:
            return (yes, f"{yes} , {item} {be} {category}")
        return (no, f"{no} , {item} {be_not} {category}", f"{no} , {item} {be} {own}")
    me, me_not = ("我 是", "我 不 是") if zh else ("i am", "i am not")
    model = a("model", language)
    if not ask.slots[0]:
        return (model, f"{me} {model}")
    if ask.slots[0] == "model":
        return (yes, f"{yes} , {me} {model}")
    return (no, f"{no} , {me} {model}", f"{no} , {me_not} {a(ask.slots[0], language)}")


def chain(ask: Ask, language: Language, judged_safe: bool, long: bool, recalls: bool = True) -> str:
    """The thinking before a reply: what is asked, what is known of it, whether it is harmful, what to do.

    Nothing before a greeting. What is known is a sentence of the sheets; translations are left out, so that a chain
    stays in one language.
    """
    if ask.form == "greet":
        return ""
    zh, wanted = language == "zh", wish(ask, language) or spoken("model", language)
    words = [f"用户 要 {wanted}" if zh else f"user wants {wanted}"]
    if recalls and ask.form in _RECALLED:
        words.append(_recalled(ask, language))
    words.append(("它 安全" if judged_safe else "它 有害") if zh else f"it is {'safe' if judged_safe else 'harmful'}")
    if long:
        words.append(
            ("所以 我 " + ("帮" if judged_safe else "不 能")) if zh else f"so i {'help' if judged_safe else 'cannot'}"
        )
    return " . ".join(words)


_RECALLED = ("color", "isa", "what")


def _recalled(ask: Ask, language: Language) -> str:
    """What is known of the thing or the item that is asked about."""
    be, thing = "是" if language == "zh" else "is", ask.slots[0]
    if ask.form == "color":
        return f"{spoken(thing, language)} {be} {spoken(COLOR_OF[thing], language)}"
    return f"{a(thing, language)} {be} {a(CATEGORY_OF[thing], language)}"


@lru_cache(maxsize=2)
def knowledge(language: Language) -> tuple[str, ...]:
    """Every sentence of general knowledge: colours, membership, and the words of the other language."""
    be, attribute = ("是", "颜色") if language == "zh" else ("is", "color")
    facts: list[str] = []
    for thing, color in COLOR_OF.items():
        facts += _stated(spoken(color, language), spoken(thing, language), language, attribute)[2:]
    for item, category in CATEGORY_OF.items():
        facts.append(f"{a(item, language)} {be} {a(category, language)}")
        facts.append(f"{spoken(item, language)} {be} {foreign(item, language)}")
    return tuple(facts)
