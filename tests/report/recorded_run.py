"""A run that was made once, as it stood at any second of it: a simulated clock for what looks on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from r1kit.plan.cost import Work
from r1kit.plan.stage_cost import Piece

__all__ = ["EPOCH", "Recorded"]

EPOCH = 1_000_000_000
"""When the run began, in seconds since the epoch."""
RECORDED = Path(__file__).parent / "recorded"


class Recorded:
    """``recorded/NAME.json``: when each piece began and ended, its steps with their seconds, what was planned."""

    def __init__(self, name: str) -> None:
        content = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
        self.pieces: list[dict[str, Any]] = content["pieces"]
        self.seconds: float = self.pieces[-1]["end"]
        self.planned = {stage: [_piece(row) for row in rows] for stage, rows in content["planned"].items()}

    def stages(self) -> dict[str, tuple[float, float]]:
        """Stage -> when it began and ended."""
        found: dict[str, tuple[float, float]] = {}
        for piece in self.pieces:
            name = piece["stage"][3:]
            found[name] = (found.get(name, (piece["begun"], 0))[0], piece["end"])
        return found

    def stand(self, run: Path, second: float) -> None:
        """The run folder as it was after so many seconds, file times included."""
        recipe = "".join(f"[stages.{stage}]\n{_steps(rows)}" for stage, rows in self.planned.items())
        _put(run / "recipe.toml", recipe, 0)
        for piece in self.pieces:
            if piece["begun"] <= second:
                self._stand(run / piece["stage"], piece, second)

    def _stand(self, stage: Path, piece: dict[str, Any], second: float) -> None:
        folder, whole = stage / piece["part"], piece["end"] <= second
        _put(folder / "key.json", "{}", piece["begun"])
        if piece["steps"]:
            began = piece["steps_end"] - piece["steps"][-1][1]
            rows = [row for row in piece["steps"] if began + row[1] <= second]
            if rows:
                step, seconds, _ = rows[-1]
                tables = [{"step": s, "seconds": at, "response_tokens": tokens} for s, at, tokens in rows]
                _put(folder / "metrics.jsonl", _lines(tables), began + seconds)
                looks = [{"step": at, "task": "countdown", "k": 4} for at in piece["evals"] if whole or at < step]
                _put(folder / "eval.jsonl", _lines(looks), began + seconds)
                if not whole:
                    point = {"key": "", "step": step, "of": piece["steps"][-1][0], "learner": "", "files": {}, "at": {}}
                    point |= {"cursor": {}, "seconds": seconds}
                    _put(folder / "resume" / "state.json", json.dumps(point), began + seconds)
        if whole:
            _put(folder / "result.json", json.dumps({"seconds": piece["seconds"]}), piece["end"])
            of_stage = [other for other in self.pieces if other["stage"] == piece["stage"]]
            if piece is of_stage[-1]:
                total = sum(other["seconds"] for other in of_stage)
                _put(stage / "result.json", json.dumps({"seconds": total}), piece["end"])


def _piece(row: dict[str, Any]) -> Piece:
    works = {name: Work(seconds=row[name]) for name in ("work", "look", "ends")}
    return Piece(**{**row, **works})


def _steps(pieces: list[Piece]) -> str:
    return f"steps = {pieces[0].steps}\n" if not pieces[0].name and pieces[0].steps else ""


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _put(path: Path, text: str, second: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (EPOCH + second, EPOCH + second))
