"""A stage's folder as the report sees it: read only, lazily, and forgiving of a stage that is still being written.

Every file may be missing, and the last line of a growing file may be torn.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["Row", "StageFolder", "mapping", "number", "read_lines", "read_object", "stage_title"]

Row = Mapping[str, Any]
"""One parsed line of a JSON-lines file."""

_TITLES = {
    "pretrain": "Pretraining",
    "r1_zero": "R1-Zero",
    "cold_start": "Cold start",
    "cold_start_sft": "Cold-start SFT",
    "reasoning_rl": "Reasoning RL",
    "rejection_sampling": "Rejection sampling",
    "sft": "SFT",
    "reward_models": "Reward models",
    "all_scenarios_rl": "All-scenarios RL",
    "distill": "Distillation",
    "evaluate": "Evaluation",
    "prm": "PRM",
    "mcts": "MCTS",
    "ppo": "PPO",
}


def stage_title(name: str) -> str:
    """What a person calls the stage: ``r1_zero`` is R1-Zero."""
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def number(row: Mapping[str, Any], key: str) -> float | None:
    """The field as a finite float; None if it is missing, not a number, or NaN or infinite."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < float("inf") else None


def mapping(value: object) -> Row:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a JSON-lines file, in order; a line that is torn or no object is left out; no file gives nothing."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                yield row


def _read_json(path: Path) -> Any:
    """The parsed file; None if it is missing or torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    return found if isinstance(found, dict) else {}


def _last_wins(rows: Iterator[dict[str, Any]], keys: Sequence[str]) -> list[Row]:
    """Rows with a step, one for each value of the keys, in order of step: a log may repeat a step."""
    kept: dict[Hashable, Row] = {}
    for row in rows:
        if number(row, "step") is not None:
            kept[tuple(str(row.get(key)) for key in keys)] = row
    return sorted(kept.values(), key=lambda row: float(row["step"]))


@dataclass(frozen=True)
class StageFolder:
    """``DIR/NN_STAGE``. Fields are read when first asked for, and once."""

    path: Path
    name: str
    """Stage name without its number, for example ``r1_zero``."""

    @property
    def title(self) -> str:
        return stage_title(self.name)

    @cached_property
    def result(self) -> dict[str, Any]:
        """``result.json``; empty until the stage is done."""
        return read_object(self.path / "result.json")

    @property
    def done(self) -> bool:
        return bool(self.result)

    @property
    def numbers(self) -> Row:
        """``metrics`` of the result: what the stage says of itself, each kind of stage in its own way."""
        return mapping(self.result.get("metrics"))

    @property
    def cost(self) -> Row:
        """Tokens and operations it took; empty for a run of an earlier version, and until the stage is done."""
        return mapping(self.result.get("cost"))

    @cached_property
    def card(self) -> Row:
        """``card.json`` of a stage that makes samples."""
        return read_object(self.path / "card.json")

    def samples(self) -> Iterator[Row]:
        """``samples.jsonl`` of a stage that makes samples, streamed."""
        for row in read_lines(self.path / "samples.jsonl"):
            if isinstance(row.get("response"), str):
                yield row

    @cached_property
    def metrics(self) -> list[Row]:
        """``metrics.jsonl``, one row a step."""
        return _last_wins(read_lines(self.path / "metrics.jsonl"), ["step"])

    @cached_property
    def evals(self) -> list[Row]:
        """``eval.jsonl``, one row for each step, task, split and k."""
        return _last_wins(read_lines(self.path / "eval.jsonl"), ["step", "task", "split", "k"])

    @cached_property
    def gates(self) -> list[Row]:
        """``gate.json``: the base gate of each task; empty if there is none."""
        found = _read_json(self.path / "gate.json")
        return [gate for gate in (found if isinstance(found, list) else [found]) if isinstance(gate, dict)]

    @cached_property
    def aha(self) -> list[Row]:
        """``aha.json``: candidates, each a question, the last turn of its chain and the text around it."""
        found = _read_json(self.path / "aha.json")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def rollouts(self) -> Iterator[Row]:
        """Sampled completions of ``rollouts.jsonl``, streamed: the file may be large."""
        for row in read_lines(self.path / "rollouts.jsonl"):
            if isinstance(row.get("completion"), str) and number(row, "step") is not None:
                yield row

    @property
    def steps_done(self) -> int:
        """Steps that the metrics cover."""
        return int(self.metrics[-1]["step"]) if self.metrics else 0

    @cached_property
    def why(self) -> str:
        """Why the stage was done again; empty where it was not."""
        return str(read_object(self.path / "key.json").get("why", ""))

    @property
    def set_aside(self) -> list[str]:
        """Folders that hold what other settings left here (``NN_STAGE.before-1``), oldest first."""
        return sorted(path.name for path in self.path.parent.glob(f"{self.path.name}.before-*"))

    @property
    def seconds(self) -> float | None:
        """Training seconds so far, or of the whole stage once done."""
        if self.done and number(self.result, "seconds") is not None:
            return number(self.result, "seconds")
        return number(self.metrics[-1], "seconds") if self.metrics else None

    @property
    def is_rl(self) -> bool:
        """Whether it sampled and rewarded: its metrics or its name say so."""
        return self.name == "r1_zero" or any("reward" in row for row in self.metrics[:1])
