"""The rule of a task whose prompts have reference answers: equal to one of them as mathematics, else as text
(``r1kit/answers``)."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from r1kit.tasks.split import evened
from r1kit.tasks.task import Grade

__all__ = ["canonical_maths", "equal_maths", "graded", "plain_text", "plain_words"]

_MARKS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed)\s*\{([^{}]*)\}|\\[()\[\]]|\$")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def equal_maths(reference: str, answer: str) -> bool:
    """Whether an answer says what the reference says."""
    from r1kit.answers.grade import equal

    return equal(reference, answer)


def canonical_maths(answer: str) -> str:
    """A form in which equal answers are equal strings."""
    from r1kit.answers.grade import canonical

    return canonical(answer)


def graded(references: Sequence[str], answer: str, rule: str = "math") -> Grade:
    """The grade of an answer, which is right if it is any of the references; right ones are one vote.

    Args:
        rule: ``math``; ``exact``: equal as text, case and spaces aside; ``words``: punctuation and articles aside too.
    """
    if rule != "math":
        plain = plain_text if rule == "exact" else plain_words
        given = plain(answer)
        right = given in map(plain, references)
        return Grade(correct=float(right), canonical=plain(references[0]) if right else given)
    from r1kit.answers.grade import vote

    right = any(equal_maths(reference, answer) for reference in references)
    return Grade(correct=float(right), canonical=vote(references[0], answer, right))


def plain_text(text: str) -> str:
    r"""Text for comparison by equality: no ``\text{}`` and dollar signs, NFKC, one space, case folded, no last stop."""
    return evened(_MARKS.sub(lambda found: found[1] or "", text)).removesuffix(".").rstrip()


def plain_words(text: str) -> str:
    """Text as SQuAD's exact match compares it: no punctuation, no ``a``, ``an`` and ``the`` either (Rajpurkar et al.
    2016, section 6.1). An answer of nothing else, ``+`` say, is left as it is."""
    plain = plain_text(text)
    return " ".join(_ARTICLES.sub(" ", plain.translate(_NO_PUNCTUATION)).split()) or plain
