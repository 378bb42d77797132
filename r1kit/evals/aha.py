"""Find chains that turn round and then succeed: candidates for the paper's aha moment (R1 paper, table 3).

A candidate is a completion that is right, whose chain holds a turn (a reflection word, or a nano try taken back) with
work before it *and* after it. It is a heuristic for choosing what a person reads, not a measurement: the base writes
such chains as well, so the report shows rates at step 0 beside them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from r1kit.evals.numbers import match_scores
from r1kit.evals.reflection import REFLECTION
from r1kit.records import Completion, Group, Score
from r1kit.reward.extract import thinking

__all__ = ["AhaMoment", "find_aha"]

STRONG_WORDS = ("wait", "mistake", "wrong", "error", "retry", "等等", "等一下", "错误", "不对", "重试")
"""Words that take something back; 'but', 'check' and the like turn a chain less surely and count half."""
LEAST_WORK = 3
"""Words that must stand before the first turn and after the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AhaMoment:
    """One right completion whose chain turned round, with the excerpt around its last turn."""

    prompt_id: str
    question: str
    completion: int
    """Index in its group."""
    turns: int
    """Reflection words in the chain."""
    word: str
    """The last turn."""
    excerpt: str
    """Text around the last turn, cut at words, with ``…`` where it was cut."""
    rank: float
    """What it is sorted by, highest first: surprise times the strength of its turns (see ``find_aha``)."""
    version: int
    """Policy version that wrote it."""


def find_aha(
    groups: Sequence[Group], scores: Sequence[Sequence[Score]], limit: int = 5, width: int = 160
) -> list[AhaMoment]:
    """The best candidates, at most one a prompt, ranked.

    Rank = (1 - share of the group that is right) + .5 * min(1, turns / 4), where a word that takes nothing back counts
    as half a turn: first problems that the policy usually fails, then chains that turned more than once.
    Ties keep the order of the groups.

    Args:
        groups: sampled completions.
        scores: theirs.
        limit: most to return.
        width: characters of the chain on each side of the last turn.
    """
    match_scores(groups, scores)
    found: list[AhaMoment] = []
    for group, row in zip(groups, scores, strict=True):
        right = [score.parts.get("accuracy", 0.0) >= 1.0 for score in row]
        surprise = 1.0 - sum(right) / max(1, len(right))
        candidates = [
            moment
            for index, completion in enumerate(group.completions)
            if right[index] and (moment := _moment(group, index, completion, surprise, width)) is not None
        ]
        if candidates:
            found.append(max(candidates, key=lambda moment: (moment.rank, -len(moment.excerpt), -moment.completion)))
    return sorted(found, key=lambda moment: -moment.rank)[:limit]


def _moment(group: Group, index: int, completion: Completion, surprise: float, width: int) -> AhaMoment | None:
    chain = thinking(completion.text)
    turns = list(REFLECTION.finditer(chain))
    if not turns:
        return None
    if _work(chain[: turns[0].start()]) < LEAST_WORK or _work(chain[turns[-1].end() :]) < LEAST_WORK:
        return None
    strength = sum(1.0 if turn.group().lower() in STRONG_WORDS else 0.5 for turn in turns)
    return AhaMoment(
        prompt_id=group.prompt.id,
        question=group.prompt.question,
        completion=index,
        turns=len(turns),
        word=turns[-1].group().lower(),
        excerpt=_excerpt(chain, turns[-1].start(), turns[-1].end(), width),
        rank=surprise + 0.5 * min(1.0, strength / 4),
        version=completion.version,
    )


def _work(text: str) -> int:
    """Words, numbers and signs; a Han character is one."""
    return len(re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text))


def _excerpt(chain: str, start: int, end: int, width: int) -> str:
    left, right = max(0, start - width), min(len(chain), end + width)
    text = chain[left:right]
    if left > 0 and " " in text[: start - left]:
        text = text[text.index(" ") + 1 :]
    if right < len(chain) and " " in text[-width:]:
        text = text[: text.rindex(" ")]
    return ("… " if left > 0 else "") + text.strip() + (" …" if right < len(chain) else "")
