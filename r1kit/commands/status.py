"""``r1 status``: where a run stands."""

from __future__ import annotations

from r1kit.commands.options import Folder

__all__ = ["status"]


def status(folder: Folder) -> None:
    """Where a run stands."""
    from rich.console import Console

    from r1kit.report.terminal import print_status

    print_status(folder, Console())
