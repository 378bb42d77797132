"""``report.html``: one file, read off the run folder, that opens offline and can fetch nothing."""

from __future__ import annotations

import os
from pathlib import Path

from r1kit.files import check_writable
from r1kit.report.draw.sections import draw_page
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run

__all__ = ["write_report"]


def write_report(path: Path, without_language: Path | None = None) -> Path:
    """Write ``DIR/report.html``, replacing an earlier one in one move; its path.

    Args:
        without_language: another run folder, whose reasoning RL was paid nothing for the language
            (``reasoning_rl.reward.parts.language = 0``), to draw beside this one's.

    Raises:
        InputError: a path is no run folder.
    """
    run = RunFolder(path)
    without = None if without_language is None else RunFolder(without_language)
    target = run.path / "report.html"
    check_writable(target)
    temporary = run.path / f".report.html.{os.getpid()}"
    try:
        temporary.write_text(draw_page(read_run(run, without)), encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        error.filename = error.filename or str(target)  # a write that fails does not say where
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return target
