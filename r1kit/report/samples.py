"""Samples before and after on the same prompts, chosen by order and not by result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.report.run_folder import Row, StageFolder, number

__all__ = ["Pair", "along", "is_right", "pairs", "showcase", "turned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A sample before and a sample after."""

    before: Row
    after: Row
    same_prompt: bool
    """False where no prompt was sampled at both ends."""


def is_right(sample: Row) -> bool | None:
    """Whether its accuracy part says right; None where there is none."""
    parts = sample.get("parts")
    value = number(parts, "accuracy") if isinstance(parts, Mapping) else None
    return None if value is None else value >= 1.0


def _prompt_key(sample: Row) -> str:
    return str(sample.get("prompt_id") or sample.get("prompt") or "")


def pairs(stage: StageFolder) -> list[Pair]:
    """First against last sample of each prompt that was sampled at both ends, in order of appearance; none is chosen.

    Where no prompt was, the first samples of the first and of the last step stand side by side.
    """
    first: dict[str, Row] = {}
    last: dict[str, Row] = {}
    opening: list[Row] = []
    closing: list[Row] = []
    for sample in stage.rollouts():
        key, step = _prompt_key(sample), float(sample["step"])
        if key not in first or step < float(first[key]["step"]):
            first[key] = sample
        if key not in last or step > float(last[key]["step"]):
            last[key] = sample
        opening = _at_the_end(opening, sample, earlier=True)
        closing = _at_the_end(closing, sample, earlier=False)
    if not opening or opening[0]["step"] == closing[0]["step"]:
        return []
    ends = (float(opening[0]["step"]), float(closing[0]["step"]))
    shared = [key for key in first if (float(first[key]["step"]), float(last[key]["step"])) == ends]
    if shared:
        return [Pair(before=first[key], after=last[key], same_prompt=True) for key in shared]
    return [Pair(before=old, after=new, same_prompt=False) for old, new in zip(opening, closing, strict=False)]


def _at_the_end(held: list[Row], sample: Row, *, earlier: bool) -> list[Row]:
    """The first sample of each prompt of the earliest (or latest) step seen so far, at most eight."""
    if not held:
        return [sample]
    step, found = float(held[0]["step"]), float(sample["step"])
    if step == found:
        fresh = _prompt_key(sample) not in [_prompt_key(other) for other in held]
        return [*held, sample] if fresh and len(held) < 8 else held
    return [sample] if (found < step) == earlier else held


def showcase(found: Sequence[Pair]) -> Pair | None:
    """The first pair in which wrong became right, else the first pair: what a terminal has room for."""
    turned = (pair for pair in found if is_right(pair.before) is False and is_right(pair.after) is True)
    return next(turned, found[0] if found else None)


# ---- along the chain ------------------------------------------------------------------------------------------------


def _by_prompt(stage: StageFolder, ends: Sequence[str]) -> list[dict[str, Row]]:
    """Checkpoint -> first sample, for each prompt that all the checkpoints answered, in order; own template only."""
    held: dict[str, dict[str, Row]] = {}
    for sample in stage.rollouts():
        if "template" not in sample and sample.get("checkpoint") in ends:
            held.setdefault(_prompt_key(sample), {}).setdefault(str(sample["checkpoint"]), sample)
    return [rows for rows in held.values() if len(rows) == len(ends)]


def along(stage: StageFolder, ends: Sequence[str]) -> list[dict[str, Row]]:
    """Of stage ``evaluate``: the first prompt of each task that all these checkpoints answered; none is chosen.

    Args:
        ends: names of checkpoints.
    """
    found: dict[str, dict[str, Row]] = {}
    for rows in _by_prompt(stage, ends):
        found.setdefault(_prompt_key(rows[ends[0]]).partition("/")[0], rows)
    return list(found.values())


def turned(stage: StageFolder, before: str, after: str) -> Pair | None:
    """Of stage ``evaluate``: a prompt that went from wrong to right between two checkpoints, else the first one."""
    both = _by_prompt(stage, (before, after))
    return showcase([Pair(before=rows[before], after=rows[after], same_prompt=True) for rows in both])
