"""Where the module of a ``verifiers`` environment lies, so that what decides a stage can tell its content."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["find_here", "references_of"]

FAMILY = "verifiers/"


def find_here() -> None:
    """Modules are looked for in the working folder too, last: one that is being written lies there."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def references_of(kinds: Mapping[str, str]) -> dict[str, str]:
    """Setting -> reference to the code, of those tasks that are environments.

    Args:
        kinds: task -> kind.
    """
    found = {
        f"tasks.{name}.kind": f"{kind.rpartition('/')[2].replace('-', '_')}:load_environment"
        for name, kind in kinds.items()
        if kind.startswith(FAMILY) and kind != FAMILY
    }
    if found:
        find_here()
    return found
