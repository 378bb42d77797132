"""Samples to read, before and after on the same prompts: chosen by order and not by result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r1kit.report.read.values import Row, mapping, number

__all__ = ["Pair", "Reply", "SampleBook", "along", "righted", "showcase", "turned"]

ENDS_KEPT = 8
"""Samples kept of the first and of the last step, for a stage that sampled no prompt at both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One sampled completion, and what it earned."""

    prompt_id: str
    prompt: str
    completion: str
    step: int
    tokens: float | None = None
    cut: bool = False
    """Whether it ended at the longest length."""
    reward: float | None = None
    parts: Mapping[str, object] = field(default_factory=dict)
    """Unweighted parts of the reward."""
    status: str = "ok"
    right: bool | None = None
    """Whether its accuracy says so; None where it was not graded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A sample before and a sample after."""

    before: Reply
    after: Reply
    same_prompt: bool
    """False where no prompt was sampled at both ends."""


def _reply(row: Row) -> Reply:
    parts = mapping(row.get("parts"))
    accuracy = number(parts, "accuracy")
    return Reply(
        prompt_id=_prompt_of(row),
        prompt=str(row.get("prompt", "")),
        completion=str(row.get("completion", "")),
        step=int(row["step"]),
        tokens=number(row, "tokens"),
        cut=row.get("finish") == "length",
        reward=number(row, "reward"),
        parts=parts,
        status=str(row.get("status") or "ok"),
        right=None if accuracy is None else accuracy >= 1.0,
    )


def _prompt_of(row: Row) -> str:
    return str(row.get("prompt_id") or row.get("prompt") or "")


class SampleBook:
    """What is kept of a ``rollouts.jsonl``, which may be large: the ends of each prompt, and first samples."""

    def __init__(self) -> None:
        self.first: dict[str, Row] = {}
        self.last: dict[str, Row] = {}
        self.opening: list[Row] = []
        self.closing: list[Row] = []
        self.by_checkpoint: dict[str, dict[str, Row]] = {}
        """Prompt -> checkpoint -> its first sample in the recipe's own template."""

    def add(self, row: Row) -> None:
        if not isinstance(row.get("completion"), str) or number(row, "step") is None:
            return
        key, step = _prompt_of(row), float(row["step"])
        if key not in self.first or step < float(self.first[key]["step"]):
            self.first[key] = row
        if key not in self.last or step > float(self.last[key]["step"]):
            self.last[key] = row
        self.opening = _at_the_end(self.opening, row, earlier=True)
        self.closing = _at_the_end(self.closing, row, earlier=False)
        if "checkpoint" in row and "template" not in row:
            self.by_checkpoint.setdefault(key, {}).setdefault(str(row["checkpoint"]), row)

    def newest(self) -> Reply | None:
        """The first sample of the newest step."""
        return _reply(self.closing[0]) if self.closing else None

    def pairs(self) -> list[Pair]:
        """First against last sample of each prompt that was sampled at both ends, in order of appearance.

        Where no prompt was, the first samples of the first and of the last step stand side by side.
        """
        if not self.opening or self.opening[0]["step"] == self.closing[0]["step"]:
            return []
        ends = (float(self.opening[0]["step"]), float(self.closing[0]["step"]))
        shared = [key for key, row in self.first.items() if (float(row["step"]), float(self.last[key]["step"])) == ends]
        both = (
            [(self.first[key], self.last[key]) for key in shared]
            if shared
            else list(zip(self.opening, self.closing, strict=False))
        )
        return [Pair(before=_reply(old), after=_reply(new), same_prompt=bool(shared)) for old, new in both]


def _at_the_end(held: list[Row], row: Row, *, earlier: bool) -> list[Row]:
    """The first sample of each prompt of the earliest (or latest) step so far."""
    if not held:
        return [row]
    step, newest = float(held[0]["step"]), float(row["step"])
    if step == newest:
        fresh = _prompt_of(row) not in [_prompt_of(other) for other in held]
        return [*held, row] if fresh and len(held) < ENDS_KEPT else held
    return [row] if (newest < step) == earlier else held


def righted(pair: Pair) -> bool:
    """Whether wrong became right."""
    return pair.before.right is False and pair.after.right is True


def showcase(pairs: Sequence[Pair]) -> Pair | None:
    """The first pair in which wrong became right, else the first pair: what a terminal has room for."""
    return next((pair for pair in pairs if righted(pair)), pairs[0] if pairs else None)


# ---- along the chain ------------------------------------------------------------------------------------------------


def _answered(book: SampleBook, checkpoints: Sequence[str]) -> list[dict[str, Reply]]:
    """Checkpoint -> first sample, for each prompt that all of them answered, in order."""
    return [
        {name: _reply(rows[name]) for name in checkpoints}
        for rows in book.by_checkpoint.values()
        if all(name in rows for name in checkpoints)
    ]


def along(book: SampleBook, checkpoints: Sequence[str]) -> list[dict[str, Reply]]:
    """The first prompt of each task that all these checkpoints answered."""
    chosen: dict[str, dict[str, Reply]] = {}
    for replies in _answered(book, checkpoints):
        chosen.setdefault(replies[checkpoints[0]].prompt_id.partition("/")[0], replies)
    return list(chosen.values())


def turned(book: SampleBook, before: str, after: str) -> Pair | None:
    """A prompt that went from wrong to right between two checkpoints, else the first one."""
    answered = _answered(book, (before, after))
    return showcase([Pair(before=replies[before], after=replies[after], same_prompt=True) for replies in answered])
