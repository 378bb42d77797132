"""The rule reward of one completion: accuracy, format, language (R1 paper, section 2.2; v2, equations 4 and 7).

Pure: no torch, no I/O. It runs inside a verifier process, because a task's rule may hang or crash (``verifier.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from r1kit.errors import InputError
from r1kit.maths.overlong import soft_overlong
from r1kit.records import Prompt, Score
from r1kit.reward.extract import ANSWER_STYLES, AnswerStyle, extract_answer, survives_truncation, thinking
from r1kit.reward.format import FORMAT_STYLES, FormatStyle, format_reward
from r1kit.reward.language import Detector, language_consistency

if TYPE_CHECKING:
    from r1kit.tasks.task import Task

__all__ = ["RewardConfig", "failed_score", "form_parts", "score_completion"]

CANONICAL_LIMIT = 1000
"""Longest canonical answer kept, in characters; a longer one counts as no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """What a completion is paid for. The three weights multiply parts between 0 and 1; the reward is their sum."""

    accuracy: float = 1.0
    """Weight of a right final answer."""
    format: float = 0.2
    """Weight of the form. The paper adds it with weight 1; .2 is what the nano world was tuned with."""
    language: float = 0.0
    """Weight of language consistency; 0 in R1-Zero, where it is only measured."""
    answer_style: AnswerStyle = "tag"
    """How the final answer is taken out of the completion: tag, boxed, last_number or last_line."""
    format_style: FormatStyle = "think_answer"
    """The form asked for: think_answer, think_summary, strict, boxed or none."""
    format_partial: bool = False
    """Pay the form tag by tag, a quarter each, instead of all or nothing."""
    prefilled: bool = False
    """The prompt ends in ``<think>``, so a completion does not write it."""
    require_format: bool = False
    """A right answer earns accuracy only in the right form (Dr. GRPO's gate)."""
    partial_credit: bool = False
    """Pay a generator's credit between 0 and 1 as it is; otherwise only a grade of 1 earns accuracy."""
    truncated: Literal["complete", "zero"] = "complete"
    """A completion cut at its limit earns accuracy never (zero), or only if its answer was complete before the cut:
    tag and boxed answers can be, a last number or a last line cannot (complete)."""
    language_if_correct: bool = False
    """Pay language only with a right answer, so that a fluent wrong answer earns nothing by it."""
    detector: Detector = "script"
    """How words are told apart: by script, or by the lingua package line by line."""
    overlong: float = 0.0
    """Weight of DAPO's soft overlong penalty, a part between -1 and 0; 0 turns it off."""
    overlong_window: int = 0
    """Tokens before ``max_tokens`` over which the penalty grows from 0 to -1 (c in DAPO)."""
    max_tokens: int = 0
    """Longest completion in tokens, for the penalty (Lmax in DAPO)."""

    def __post_init__(self) -> None:
        if self.answer_style not in ANSWER_STYLES:
            extract_answer("", self.answer_style)
        if self.format_style not in FORMAT_STYLES:
            format_reward("", "stop", self.format_style)
        if self.overlong and not 0 < self.overlong_window <= self.max_tokens:
            raise InputError(
                f"overlong penalty needs 0 < overlong_window <= max_tokens, not {self.overlong_window} and "
                f"{self.max_tokens}; set both in tokens, or overlong = 0"
            )


def form_parts(prompt: Prompt, text: str, finish: str, config: RewardConfig, length: int = 0) -> dict[str, float]:
    """The unweighted parts that need no task: format, language and, if it is on, overlong."""
    parts = {
        "format": format_reward(
            text, finish, config.format_style, prefilled=config.prefilled, partial=config.format_partial
        ),
        "language": language_consistency(thinking(text), prompt.language, config.detector),
    }
    if config.overlong:
        parts["overlong"] = soft_overlong(length, config.max_tokens, config.overlong_window)
    return parts


def score_completion(
    task: Task, prompt: Prompt, completion_text: str, finish: str, config: RewardConfig, length: int = 0
) -> Score:
    """Judge one completion by rules.

    Args:
        task: judges the answer; its exceptions pass through (the verifier turns them into ``ungradable``).
        prompt: the problem.
        completion_text: special tokens kept, end token left out.
        finish: ``stop`` or ``length``.
        config: what is paid.
        length: of the completion in tokens, used by the overlong penalty alone.

    Returns:
        A score with unweighted parts ``accuracy``, ``format``, ``language`` (and ``overlong``), their weighted sum, and
        the canonical answer for majority votes (None where there is no complete answer).
    """
    parts = {"accuracy": 0.0, **form_parts(prompt, completion_text, finish, config, length)}
    answer = extract_answer(completion_text, config.answer_style)
    if finish != "stop" and (config.truncated == "zero" or not survives_truncation(config.answer_style)):
        answer = None
    canonical: str | None = None
    if answer is not None:
        grade = task.grade(prompt, answer)
        correct = min(1.0, max(0.0, float(grade.correct)))
        parts["accuracy"] = correct if config.partial_credit else float(correct >= 1.0)
        canonical = grade.canonical if len(grade.canonical) <= CANONICAL_LIMIT else None
    if config.require_format and parts["format"] < 1.0:
        parts["accuracy"] = 0.0
    return Score(total=_total(parts, config), parts=parts, answer=canonical)


def _total(parts: dict[str, float], config: RewardConfig) -> float:
    language = parts["language"] if parts["accuracy"] >= 1.0 or not config.language_if_correct else 0.0
    return (
        config.accuracy * parts["accuracy"]
        + config.format * parts["format"]
        + config.language * language
        + config.overlong * parts.get("overlong", 0.0)
    )


def failed_score(
    prompt: Prompt,
    text: str,
    finish: str,
    config: RewardConfig,
    status: Literal["ungradable", "timeout"],
    cause: str,
    length: int = 0,
) -> Score:
    """What a completion gets that could not be judged: reward 0, its form still measured, a one-line cause."""
    parts = {"accuracy": 0.0, **form_parts(prompt, text, finish, config, length)}
    return Score(total=0.0, parts=parts, status=status, cause=" ".join(cause.split())[:200])
