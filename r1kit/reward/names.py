"""Which parts a reward may have: the table of ours, and the names they are logged under."""

from __future__ import annotations

from collections.abc import Iterable

from r1kit.errors import InputError, nearest
from r1kit.registry import is_reference, short

__all__ = ["MEASURED", "PARTS", "check_names", "logged_names"]

PARTS = {
    "accuracy": "r1kit.reward.accuracy:Accuracy",
    "format": "r1kit.reward.format:Format",
    "language": "r1kit.reward.language:Language",
    "length": "r1kit.reward.length:Length",
    "overlong": "r1kit.reward.overlong:Overlong",
    "schema": "r1kit.reward.schema:SchemaReward",
}
"""Name in ``reward.parts`` -> what builds it, a ``BuildReward``. Any other part is a user's function."""

MEASURED = ("accuracy", "format", "language")
"""Parts that are measured and logged whatever is paid."""


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
    """Part -> the name that it is logged under: a function's without the folders of its file.

    Raises:
        InputError: two parts would have the same.
    """
    found = {name: short(name) for name in names}
    if len(set(found.values())) < len(found):
        raise InputError(f"reward.parts: two parts would be logged under one name, of {', '.join(found)}; rename one")
    return found
