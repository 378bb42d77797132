"""How a source of rows is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from r1kit.errors import InputError, nearest

__all__ = ["ROLES", "Reading"]

ROLES = (
    "prompt", "answer", "response", "messages", "chosen", "rejected", "label", "text", "system", "language", "id",
    "cluster", "choices",
)  # fmt: skip
"""What a column can be taken as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Raises InputError for a setting that cannot work."""

    subset: str = ""
    """Of a hub data set: its configuration (``main``); of a folder: the folder in it."""
    split: str = ""
    """Which split is read; empty: ``train``, or the only one there is."""
    revision: str = ""
    """Of a hub data set: branch, tag or commit; empty: the newest."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Role -> column, where the layout is not recognised or something else is wanted: ``{answer =
    "reward_model.ground_truth", prompt = "messages[-1].content"}``. Roles are those of ``ROLES``."""
    bad_lines: Literal["refuse", "skip"] = "refuse"
    """A line that cannot be used ends the reading with its number and the reason, or is counted and left out."""
    facts: tuple[str, ...] = ()
    """Columns that are kept for rewards of your own; empty: all that are not taken and are short in the first row."""
    limit: int = 0
    """At most so many rows, the first; 0: all."""
    choices_from: int = -1
    """Where the choices stand in columns A to D and the right one is told by its number: the first one's, 0 or 1; -1:
    as the rows tell."""
    streaming: bool = False
    """Hold no rows in memory: a hub data set is read as it comes over the network, a task keeps its prompts in a
    temporary file."""
    longest_line: int = 64_000_000
    """Bytes; a longer line is a bad one."""
    sample_by: Literal["line", "paragraph", "document"] = "line"
    """What a row of a plain text file is: a line, what stands between empty lines, or the whole file."""

    @property
    def reading(self) -> Reading:
        """This alone, of settings that hold more."""
        return Reading(**{each.name: getattr(self, each.name) for each in fields(Reading)})

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in ROLES:
                raise InputError(
                    f"columns: no role {role!r}; a column is taken as {', '.join(ROLES)}.{nearest(role, ROLES)}"
                )
        if self.choices_from not in (-1, 0, 1):
            raise InputError(f"choices_from = {self.choices_from}: it is 0, 1 or -1 (as the rows tell)")
        if self.limit < 0 or self.longest_line < 1:
            raise InputError(
                f"limit = {self.limit}, longest_line = {self.longest_line}: limit is at least 0 (all), the other 1"
            )
