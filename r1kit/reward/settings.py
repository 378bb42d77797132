"""What a completion is paid for, as a recipe's ``reward`` tables say it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.maths.length import LengthRule
from r1kit.reward.names import MEASURED, PARTS, check_names, logged_names
from r1kit.text.seen import in_tags, with_opening

__all__ = [
    "ANSWER_STYLES",
    "FORMAT_STYLES",
    "PAID",
    "TARGETS",
    "AnswerStyle",
    "Detector",
    "FormatStyle",
    "RewardConfig",
    "check_style",
]

AnswerStyle = Literal["tag", "boxed", "last_number", "last_line"]
ANSWER_STYLES: tuple[str, ...] = get_args(AnswerStyle)
FormatStyle = Literal["think_answer", "think_summary", "strict", "boxed", "none"]
FORMAT_STYLES: tuple[str, ...] = get_args(FormatStyle)
Detector = Literal["script", "lingua"]
TARGETS = ("question", "detected")
"""Of the language part, beside a code."""

PAID = {"accuracy": 1.0, "format": 0.2}
"""Parts and weights where a recipe names none. The paper adds the form with weight 1; .2 is what the nano world was
tuned with. Language is only measured, as in R1-Zero."""

_GONE = "what is paid is a table of parts, for example reward.parts = {accuracy = 1.0, format = 0.2, language = 0.2}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """What a completion is paid for: the weighted sum of its parts."""

    parts: Mapping[str, float] = field(default_factory=lambda: dict(PAID))
    """Part -> weight: ``accuracy``, ``format``, ``language``, ``length``, ``overlong``, or a function of your own by
    ``"FILE.py:NAME"``. What is named is paid; a part of weight 0 is measured."""
    answer_style: AnswerStyle = "tag"
    """How the final answer is taken out of the completion: tag, boxed, last_number or last_line."""
    format_style: FormatStyle = "think_answer"
    """The form asked for: think_answer, think_summary, strict, boxed or none."""
    blank_thinking: bool = False
    """Tags with nothing thought between them have the form too; those with no answer between them never do."""
    format_partial: bool = False
    """Pay the form tag by tag, a quarter each, instead of all or nothing."""
    prefilled: Literal["auto", True, False] = "auto"
    """The prompt ends in ``<think>``, so a completion does not write it, and is judged with the tag put back; ``auto``:
    as the template of the model that answers has it."""
    require_format: bool = False
    """A right answer earns accuracy only in the right form (Dr. GRPO's gate)."""
    partial_credit: bool = False
    """Pay a generator's credit between 0 and 1 as it is; otherwise only a grade of 1 earns accuracy."""
    truncated: Literal["complete", "zero"] = "complete"
    """A completion cut at its limit earns accuracy never (zero), or only if its answer was complete before the cut:
    tag and boxed answers can be, a last number or a last line cannot (complete)."""
    language_if_correct: bool = False
    """Pay language only with a right answer, so that a fluent wrong answer earns nothing by it."""
    language_target: str = "question"
    """What the chain should be in: ``question``: the language that the prompt says it is in; ``detected``: the one that
    its text is in, where the detector can tell; or one for all by its ISO code, ``en``."""
    detector: Detector = "script"
    """How words are told apart: by script, or by the lingua package line by line."""
    length_rule: LengthRule = "right"
    """Among whom the part ``length`` compares: ``right`` answers alone, or all of a group, as ``kimi`` has it."""
    overlong_window: int = 0
    """Tokens before ``max_tokens`` over which the part ``overlong`` falls from 0 to -1 (c in DAPO)."""
    max_tokens: int = 0
    """Longest completion in tokens, for the part ``overlong`` (Lmax in DAPO)."""

    gone: ClassVar[Mapping[str, str]] = dict.fromkeys(PARTS, _GONE)
    """Keys that are no settings, with what to write instead."""

    def __post_init__(self) -> None:
        check_names(self.parts)
        logged_names(self.parts)
        for name, weight in self.parts.items():
            if not math.isfinite(weight):
                raise InputError(f"reward.parts.{name} = {weight}: a weight is a finite number")
        check_style("answer", self.answer_style, ANSWER_STYLES)
        check_style("format", self.format_style, FORMAT_STYLES)
        if self.language_target not in TARGETS and not re.fullmatch("[a-z]{2}", self.language_target):
            raise InputError(
                f"language_target = {self.language_target!r}; allowed are {', '.join(TARGETS)}, or an ISO code of two "
                f"letters such as 'en'.{nearest(self.language_target, TARGETS)}"
            )
        if "overlong" in self.parts and not 0 < self.overlong_window <= self.max_tokens:
            raise InputError(
                f"overlong penalty needs 0 < overlong_window <= max_tokens, not {self.overlong_window} and "
                f"{self.max_tokens}; set both in tokens, or leave the part overlong out"
            )

    def settled(self, opens: bool) -> RewardConfig:
        """With ``prefilled`` decided by whether the prompts open the thinking."""
        return replace(self, prefilled=opens) if self.prefilled == "auto" else self

    def whole(self, text: str) -> str:
        """A completion as it is judged."""
        return with_opening(text) if self.prefilled is True else in_tags(text)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of every part that is measured, by the name it is logged under; those of ours first."""
        names = dict.fromkeys((*MEASURED, *self.parts))
        return {logged: self.parts.get(name, 0.0) for name, logged in logged_names(names).items()}


def check_style(what: str, style: str, allowed: Sequence[str]) -> None:
    """Refuse an unknown ``answer`` or ``format`` style; names the nearest."""
    if style not in allowed:
        raise InputError(
            f"{what} style {style!r} is unknown; allowed are {', '.join(allowed)}.{nearest(style, allowed)}"
        )
