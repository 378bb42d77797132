"""A stage whose samples people decide on, while it waits for them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from r1kit.errors import InputError
from r1kit.factory.review_file import QUEUE, ReviewFile
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.stage_folder import StageFolder

__all__ = ["awaited"]


def awaited(run: RunFolder, stage: StageFolder) -> str:
    """``698 of 700 samples wait for people: r1 review``; empty where none does."""
    if stage.done or run.settings(stage.name).get("review") != "human" or not (stage.path / QUEUE).is_file():
        return ""
    try:
        items = _queue(stage.path / QUEUE).items().values()
    except InputError as error:
        return f"waits for people, but {error}"
    return f"{sum(item.open for item in items):,} of {len(items):,} samples wait for people: r1 review"


@lru_cache(64)
def _queue(path: Path) -> ReviewFile:
    """Kept, so that a page which asks again and again reads a queue only when it has changed."""
    return ReviewFile(path)
