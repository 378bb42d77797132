"""The rule of a task whose prompts have a reference answer: equal as mathematics, else as text (``r1kit/answers``)."""

from __future__ import annotations

import re

from r1kit.tasks.split import evened
from r1kit.tasks.task import Grade

__all__ = ["canonical_maths", "equal_maths", "graded", "plain_text"]

_MARKS = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|boxed)\s*\{([^{}]*)\}|\\[()\[\]]|\$")


def equal_maths(reference: str, answer: str) -> bool:
    """Whether an answer says what the reference says."""
    from r1kit.answers.grade import equal

    return equal(reference, answer)


def canonical_maths(answer: str) -> str:
    """A form in which equal answers are equal strings."""
    from r1kit.answers.grade import canonical

    return canonical(answer)


def graded(reference: str, answer: str, rule: str = "math") -> Grade:
    """The grade of an answer by ``math`` or by ``exact``: equal as text, case and spaces aside."""
    if rule == "exact":
        given = plain_text(answer)
        return Grade(correct=float(given == plain_text(reference)), canonical=given)
    from r1kit.answers.grade import vote

    right = equal_maths(reference, answer)
    return Grade(correct=float(right), canonical=vote(reference, answer, right))


def plain_text(text: str) -> str:
    r"""Text for comparison by equality: no ``\text{}`` and dollar signs, NFKC, one space, case folded, no last stop."""
    return evened(_MARKS.sub(lambda found: found[1] or "", text)).removesuffix(".").rstrip()
