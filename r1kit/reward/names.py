"""Which parts a reward may have: the table of ours, and the names they are logged under."""

from __future__ import annotations

from collections.abc import Iterable

from r1kit.errors import InputError, nearest
from r1kit.registry import is_reference, split_reference

__all__ = ["MEASURED", "PARTS", "TAKEN", "check_names", "logged_names"]

PARTS = {
    "accuracy": "r1kit.reward.accuracy:Accuracy",
    "format": "r1kit.reward.format:Format",
    "language": "r1kit.reward.language:Language",
    "overlong": "r1kit.reward.overlong:Overlong",
}
"""Name in ``reward.parts`` -> what builds it, a ``BuildReward``. Any other part is a user's function."""

MEASURED = ("accuracy", "format", "language")
"""Parts that are measured and logged whatever is paid."""

TAKEN = frozenset(
    "step seconds reward preference response_tokens truncated_share flat_group_share ungradable_share timeout_share "  # noqa: SIM905
    "loss entropy kl ratio ratio_max clip_share sampler_gap rows_skipped grad_norm lr tokens sample_seconds "
    "score_seconds update_seconds tokens_per_second model accuracy format language overlong".split()
)
"""Names that a line of ``metrics.jsonl`` uses otherwise: a function called so is logged with its file's name."""


def check_names(names: Iterable[str]) -> None:
    """Refuse a part that is neither ours nor a reference.

    Raises:
        InputError: names the nearest.
    """
    for name in names:
        if name not in PARTS and not is_reference(name):
            raise InputError(
                f"reward.parts names {name!r}; parts are {', '.join(PARTS)}, or FILE.py:NAME for a function of your "
                f"own.{nearest(name, PARTS)}"
            )


def logged_names(names: Iterable[str]) -> dict[str, str]:
    """Part -> the name that it is logged under: ``brevity`` of ``my_rewards.py:brevity``, or ``my_rewards.brevity``
    where the short one is taken.

    Raises:
        InputError: two parts would have the same.
    """
    ours = {name: name for name in names if name in PARTS}
    theirs = {name: split_reference(name) for name in names if name not in PARTS}
    plain = [called for _, called in theirs.values()]
    found = dict(ours)
    for name, (place, called) in theirs.items():
        stem = place.replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        found[name] = f"{stem}.{called}" if called in TAKEN or plain.count(called) > 1 else called
    if len(set(found.values())) < len(found):
        raise InputError(f"reward.parts: two parts would be logged under one name, of {', '.join(found)}; rename one")
    return found
