"""What becomes of a run's helpers, its engines and verifiers, as lines of ``helpers.jsonl`` in the run folder.

A process that serves beside the ranks may be lost while the run goes on with the others, slower; nothing else in the
folder would tell.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

__all__ = ["LOG", "note"]

LOG = "helpers.jsonl"


def note(kind: str, number: int, name: str, lost: str = "") -> None:
    """Append a line: the helper serves, or is lost. Nothing where no run folder is told (``R1KIT_RUN``), or it cannot
    be written to.

    Args:
        kind: ``engine`` or ``verifier``.
        number: its place among its kind, which it keeps wherever it is started again.
        name: as it is called now.
        lost: why; empty: it serves.
    """
    run = os.environ.get("R1KIT_RUN")
    if not run:
        return
    line = {"at": round(time.time(), 1), "kind": kind, "number": number, "name": name}
    line |= {"lost": lost} if lost else {}
    try:
        with (Path(run) / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError:  # the run itself will say so
        return
