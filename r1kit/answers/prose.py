"""Words that lead in to an answer: ``So the final answer is``, ``Answer:``, ``Each child gets``, ``答案是``."""

from __future__ import annotations

import re

from r1kit.answers.chinese import without_chinese_lead
from r1kit.answers.words import DENIALS, NUMBERS, words

__all__ = ["BOX", "shown", "without_lead"]

_LEAD = re.compile(
    r"(?P<words>(?:[A-Za-z][A-Za-z'-]*,?\s+){0,9}?[A-Za-z][A-Za-z'-]*)\s*"
    r"(?:\b(?:is|are|equals|was|be|becomes|gives|get|obtain|have)\b\s*(?:equal to\b|exactly\b|:)?|(?P<colon>:))\s*"
    r"(?P<rest>\S.*)",
    re.DOTALL | re.IGNORECASE,
)
_ABROAD = re.compile(
    r"(?:(?:la|die|de|a|het|el|le)\s+)?(?:final\s+|endgültige\s+)?(?:respuesta|réponse|antwort|risposta|resposta|antwoord"
    r"|ответ|відповідь|odpowiedź|odpověď|cevap|jawaban(?:nya)?|svar(?:et)?|vastaus|răspuns(?:ul)?|đáp\s+(?:án|số))"
    r"(?:\s+(?:final|finale))?\s*(?::|-(?=\s)|\s(?:es|est|ist|lautet|è|é|is|to|je|adalah|är|er|on|este|là)\s)\s*"
    r"(?P<rest>\S.*)"
    r"|(?:정?답|答え)\s*(?:[은는はが]|:)\s*(?P<east>\S.*?)\s*(?:입니다|이다|です|である|だ)?",
    re.DOTALL | re.IGNORECASE,
)
"""``La respuesta es``, ``Ответ:``, ``答えは…です``."""
_ABOUT = re.compile(
    r"(?P<words>(?:[A-Za-z][A-Za-z'-]*\s+){1,8})(?:\$[^$]{1,60}\$|\\\([^()]{1,60}\\\))\s+(?:is|are|equals)\s+(?P<rest>\S.*)",
    re.DOTALL,
)
"""``The value of $x+y$ is``."""
_LONGEST_LEAD = 80
"""Characters."""
_BEFORE = re.compile(
    r"^(?:(?:final\s+)?answer(?=\s*\n)|(?:so|hence|thus|therefore|finally|consequently)\b[,:]?|ans\.:?|exactly"
    r"|an? (?:grand )?total of|I (?:choose|pick|select)|(?:it|that)['’]s"
    r"|(?:since|because)\s[^,]{1,60},(?=\s+(?:the|my)\s+(?:final\s+)?answer\s+is\b))\s+",
    re.IGNORECASE,
)
_TRAIL = re.compile(
    r"\s+is (?:(?:the|my) (?:final |correct )?(?:answer|choice|option)"
    r"|the (?:only |unique )?(?:solution|result)|correct)$",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"(?P<value>[-$\\(]?[\w$\\{}()^/.%-]{1,40}),?\s+(?:because|since)\s(?!.*\b(?:but|however|answer|instead|actually|or)\b)"
    r".*|(?P<noted>.{1,60}\S)\s+\((?:because|since|see)\s[^()]*\)"
    r"|(?P<least>.{1,60}\S),?\s+(?:attained|achieved|reached|occurring|which occurs)\s+(?:at|when|for)\s[^,]*",
    re.DOTALL | re.IGNORECASE,
)
"""Behind a value: why it is so, where it is attained."""
_BOXED = r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
BOX = re.compile(_BOXED)
"""A box around a part: ``x = \\boxed{7}``."""
_LAST = re.compile(
    rf"(?P<lead>(?<!\\)\b[A-Za-z]{{2,}}\s+|[,.)]\s+|(?:[:=$\n]|(?<!\d)\*\*)\s*|\\[(\[]\s*){_BOXED}[\s$.*)\]\\]*$"
)
"""The box that ends an explanation; behind a command or a letter it is a factor."""
_FALSE = re.compile(
    r"n['’]t\b|\b(?:not|no|never|neither|nor|wrong|incorrect|false|if|unless|could|might|may|maybe|except|between|than"
    r"|guess|cannot|either|rather|instead|hardly|at (?:most|least)|all but|without|excluding)\b"
    r"|\b(?:minus|plus|times|negative|half|twice|double|triple|opposite)(?: of)?[\s$]*$"
)
_LONGEST_EXPLANATION = 1000
"""Characters."""
_HOPE = re.compile(r"(?<=\S)[.!]?\s+I hope (?:it|this) (?:is correct|helps)[.!]*$", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?P<who>[A-Za-z][A-Za-z'-]*(?:\s+[A-Za-z][A-Za-z'-]*){0,4})\s+"
    r"(?:has|gets?|were|makes?|made|earns?|earned|pays?|paid|spends?|spent|sells?|sold|buys?|bought|eats?|ate|uses?|used"
    r"|saves?|saved|runs?|ran|walks?|walked|drives?|drove|costs?|collects?|collected"
    r"|will (?:have|get)|(?P<task>needs?|takes?|took|will (?:need|take)))\s+"
    r"(?:(?:her|him|them|it|us|you|me)\s+)?"
    rf"(?P<rest>(?:[-\d\\$]|(?:{'|'.join(NUMBERS)})\b).*)",
    re.DOTALL | re.IGNORECASE,
)
_TO_DO = re.compile(r"\s+to(?P<what>(?:\s+[A-Za-z][A-Za-z'-]*){1,5})$")
_DOUBTS = DENIALS | {"could", "might", "may"}
_UNSURE = DENIALS | frozenset(
    words(
        "than as who which that when before after while twice thrice half double triple times almost nearly barely "
        "would could should might may must had also more less fewer only what how once nobody none nothing does did do "
        "guess guesses think thinks"
    )
)
"""Words in which a sentence with a number says something else than that number, or leaves open whether it does."""


def without_lead(text: str) -> str:
    """What follows words that lead in to it; the text itself where there are none or they deny."""
    text = _TRAIL.sub("", _BEFORE.sub("", _HOPE.sub("", text)))
    if (reason := _REASON.fullmatch(text)) is not None:
        return str(reason["value"] or reason["noted"] or reason["least"])
    if (abroad := _ABROAD.fullmatch(text)) is not None:
        return str(abroad["rest"] or abroad["east"])
    if (rest := without_chinese_lead(text)) != text:
        return rest
    if (number := _stated(text)) is not None:
        return number
    if (about := _ABOUT.fullmatch(text)) and _UNSURE.isdisjoint(about["words"].lower().split()):
        text = f"it is {about['rest']}"
    found = _LEAD.match(text[: _LONGEST_LEAD + 1]) and _LEAD.fullmatch(text)
    if not found or len(text) - len(found["rest"]) > _LONGEST_LEAD:
        return text
    lead = [word.strip(",").lower() for word in re.sub(r"(?i)\bthe (?:least|most)\b", "the", found["words"]).split()]
    if not _DOUBTS.isdisjoint(lead) or max(map(len, lead)) < (3 if found["colon"] else 2):
        return text
    if re.match(
        r"(?:not|never|either|neither|between|less|more|at|no(?!\W*$))\b(?! (?:real )?solution)",
        found["rest"],
        re.IGNORECASE,
    ):
        return text
    return str(found["rest"])


def shown(text: str) -> str:
    r"""What stands in the box at the end of an explanation, if all its boxes hold it; empty where there is none, where
    it is denied, or where it is a part of something larger: ``2\boxed{7}``."""
    boxes = BOX.findall(text) if len(text) <= _LONGEST_EXPLANATION else []
    found = _LAST.search(text) if boxes else None
    if found is None or len(set(boxes)) > 1:
        return ""
    said = re.split(r"[.!?\n]\s", text[: found.end("lead")])[-1].lower()
    return "" if _FALSE.search(said) else str(boxes[-1])


def _stated(text: str) -> str | None:
    """``7 apples left`` of ``Janet has 7 apples left``, ``7 days`` of ``It will take her 7 days to finish``."""
    found = _SENTENCE.match(text[: 2 * _LONGEST_LEAD]) and _SENTENCE.fullmatch(text)
    if not found or not _UNSURE.isdisjoint(found["who"].lower().split()):
        return None
    rest = str(found["rest"])
    if not {"less", "fewer"}.isdisjoint(rest.lower().split()):
        return None
    aim = _TO_DO.search(rest) if found["task"] else None
    if aim and (NUMBERS.keys() | _UNSURE | {"a", "an"}).isdisjoint(re.split(r"[\s-]+", aim["what"].lower())):
        return rest[: aim.start()]
    return rest
