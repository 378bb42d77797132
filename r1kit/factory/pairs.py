"""Preference pairs by a judge: asked four times in both orders, a clear gap kept, lengths balanced (R1 paper, Nature
version, supplement on the helpful reward model). What it does not cover: a judge that is wrong in both orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from r1kit.errors import InputError
from r1kit.factory.asking import Asking, filled, spoken
from r1kit.maths.verdict import VERDICTS, mean_over_orders, verdict_value
from r1kit.records import Pair, Prompt
from r1kit.text.seen import summary, without_thinking

__all__ = [
    "ARENA_HARD", "Candidate", "Comparison", "Construction", "Judge", "PairwiseJudge", "balanced",
    "build_pairs", "rule_judge",
]  # fmt: skip

ARENA_HARD = (
    "Please act as an impartial judge and evaluate the quality of the responses provided by two AI assistants to the "
    "user prompt displayed below. You will be given assistant A's answer and assistant B's answer. Your job is to "
    "evaluate which assistant's answer is better.\n\n"
    "Begin your evaluation by generating your own answer to the prompt. You must provide your answer before judging "
    "any answers. Compare both assistants' answers with your answer; identify and correct any mistakes. Then consider "
    "if they are helpful, relevant and concise: helpful answers respond to the prompt and follow its instructions, "
    "relevant ones hold nothing unnecessary, concise ones are clear and not verbose. Then consider creativity and "
    "novelty where they are needed. Finally, identify any important information missing from the answers.\n\n"
    "After providing your explanation, you must output only one of the following choices as your final verdict with "
    "a label: [[A>>B]] A is significantly better, [[A>B]] A is slightly better, [[A=B]] a tie, [[B>A]] B is slightly "
    "better, [[B>>A]] B is significantly better.\n\n"
    "<|User Prompt|>\n{prompt}\n\n<|The Start of Assistant A's Answer|>\n{a}\n<|The End of Assistant A's Answer|>\n\n"
    "<|The Start of Assistant B's Answer|>\n{b}\n<|The End of Assistant B's Answer|>"
)
"""In the manner of Arena-Hard's judging prompt (github.com/lmarena/arena-hard-auto)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Two responses to a prompt; nobody has said yet which is better."""

    prompt: Prompt
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a judge is shown."""

    prompt: Prompt
    a: str
    b: str


Judge = Callable[[Sequence[Comparison], Sequence[int]], list[str]]
"""(comparisons, one seed each) -> what the judge wrote about each, a verdict such as ``[[A>B]]`` in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Construction:
    """How candidates become pairs."""

    judgements: int = 4
    """Judgements of a pair, half of them in each order; an even number (paper: 4)."""
    gap: float = 1.0
    """A pair is kept when its mean verdict, between -2 and 2, is further from 0 than this (paper: 1)."""

    def __post_init__(self) -> None:
        if self.judgements < 2 or self.judgements % 2 or not 0 <= self.gap < max(VERDICTS.values()):
            raise InputError(
                f"judgements = {self.judgements} must be 2 or another even number, so that both orders are asked "
                f"alike, and gap = {self.gap} at least 0 and below 2"
            )


class PairwiseJudge(Asking):
    """A judge that is a model; it is shown summaries, as its reward model will be."""

    def __call__(self, comparisons: Sequence[Comparison], seeds: Sequence[int]) -> list[str]:
        asked = [
            filled(ARENA_HARD, prompt=spoken(one.prompt), a=summary(one.a), b=summary(one.b)) for one in comparisons
        ]
        return [without_thinking(answer.text) for answer in self.ask(asked, seeds)]


def rule_judge(score: Callable[[Prompt, str], float]) -> Judge:
    """A judge that is a rule: the response with the higher score is much better."""

    def judge(comparisons: Sequence[Comparison], seeds: Sequence[int]) -> list[str]:
        verdicts = []
        for one in comparisons:
            difference = score(one.prompt, one.a) - score(one.prompt, one.b)
            verdicts.append("[[A>>B]]" if difference > 0 else "[[B>>A]]" if difference < 0 else "[[A=B]]")
        return verdicts

    return judge


def build_pairs(
    candidates: Sequence[Candidate], judge: Judge, config: Construction, seed: int = 0
) -> tuple[list[Pair], Mapping[str, int]]:
    """Pairs whose mean verdict is clear, and counts: candidates, no_verdict (asked again), left_out, close, kept.

    Every judgement is asked in one of the two orders, turn about; what holds no verdict is asked once more. A candidate
    without a verdict in both orders is left out.
    """
    swapped = [bool(turn % 2) for turn in range(config.judgements)]
    shown = [_shown(candidate, order) for candidate in candidates for order in swapped]
    draw = Random(seed)
    values = [verdict_value(text) for text in judge(shown, [draw.getrandbits(63) for _ in shown])]
    again = [place for place, value in enumerate(values) if value is None]
    second = judge([shown[place] for place in again], [draw.getrandbits(63) for _ in again]) if again else []
    for place, text in zip(again, second, strict=True):
        values[place] = verdict_value(text)
    counts = {"candidates": len(candidates), "no_verdict": len(again), "left_out": 0, "close": 0, "kept": 0}
    pairs = []
    for index, candidate in enumerate(candidates):
        mean = mean_over_orders(values[index * len(swapped) : (index + 1) * len(swapped)], swapped)
        fate = "left_out" if mean is None else "kept" if abs(mean) > config.gap else "close"
        counts[fate] += 1
        if mean is not None and fate == "kept":
            chosen, rejected = (candidate.first, candidate.second)[:: 1 if mean > 0 else -1]
            pairs.append(Pair(prompt=candidate.prompt, chosen=chosen, rejected=rejected))
    return pairs, counts


def _shown(candidate: Candidate, swapped: bool) -> Comparison:
    a, b = (candidate.first, candidate.second)[:: -1 if swapped else 1]
    return Comparison(prompt=candidate.prompt, a=a, b=b)


def balanced(pairs: Sequence[Pair], length: Callable[[str], int] = lambda text: len(text.split())) -> list[Pair]:
    """The pairs, in order, without those that make length tell which response is better.

    Among pairs whose summaries differ by 1, by 2 to 3, by 4 to 7 words and so on, the chosen one is longer as often as
    the rejected one; of the side that has more, the first ones stay. Pairs of equal length all stay.
    """
    differences = [length(summary(pair.chosen)) - length(summary(pair.rejected)) for pair in pairs]
    longer: dict[int, int] = {}
    shorter: dict[int, int] = {}
    for difference in differences:
        side = longer if difference > 0 else shorter
        side[abs(difference).bit_length()] = side.get(abs(difference).bit_length(), 0) + 1
    kept: list[Pair] = []
    taken: dict[tuple[bool, int], int] = {}
    for pair, difference in zip(pairs, differences, strict=True):
        size = abs(difference).bit_length()
        place = taken.get((difference > 0, size), 0)
        if not difference or place < min(longer.get(size, 0), shorter.get(size, 0)):
            kept.append(pair)
        taken[difference > 0, size] = place + 1
    return kept
