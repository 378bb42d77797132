"""A run folder that is written step by step, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["SINK", "MadeRun"]

SINK = '''
import json, os, signal, time
from dataclasses import dataclass
from pathlib import Path


class Kept:
    """Writes what it is sent into a file; ``fault`` says what goes wrong, at which step."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Config:
        file: str = "kept.jsonl"
        fault: str = ""
        at: int = 3
        knows: bool = True

    def __init__(self, config, run):
        self.config, self.run = config, run
        self.file = Path(config.file)
        self.once = Path(config.file + ".once")

    def _write(self, **row):
        with self.file.open("a") as stream:
            stream.write(json.dumps(row) + "\\n")

    def log(self, series, step, values):
        if step == self.config.at and self.config.fault == "hang":
            time.sleep(3600)
        if step == self.config.at and self.config.fault == "raise" and not self.once.exists():
            self.once.touch()
            raise ConnectionError("nobody answers")
        if self.config.fault == "always":
            raise ConnectionError("nobody answers")
        self._write(series=series, step=step, values=values)
        if step == self.config.at and self.config.fault == "kill" and not self.once.exists():
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if step == self.config.at and self.config.fault == "raise late" and not self.once.exists():
            self.once.touch()
            raise ConnectionError("nobody answers")

    def table(self, series, step, rows):
        self._write(table=series, step=step, rows=len(rows))

    def artefact(self, path):
        if self.config.fault == "no artefact" or (self.config.fault == "artefact" and not self.once.exists()):
            self.once.touch()
            raise ConnectionError("nobody answers")
        self._write(artefact=path.name)

    def flush(self):
        pass

    def has(self, series, step):
        if not self.config.knows:
            return None
        rows = [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []
        return any(row.get("series") == series and row["step"] == step for row in rows)

    def close(self):
        if self.config.fault == "close":
            raise ConnectionError("nobody answers")


class Late(Kept):
    """Writes when it is flushed; ``fault`` says what is lost when that raises."""

    def __init__(self, config, run):
        super().__init__(config, run)
        self.rows = []

    def _write(self, **row):
        self.rows.append(row)

    def flush(self):
        rows, self.rows = self.rows, []
        fault = "" if self.once.exists() else self.config.fault
        lost = {"": [], "arrived": [], "hole": [row for row in rows if row.get("step") == self.config.at]}
        for row in rows:
            if row not in lost.get(fault, rows):
                super()._write(**row)
        if rows and fault:
            if fault != "always lost":
                self.once.touch()
            raise ConnectionError("nobody answers")
'''


class MadeRun:
    """One stage, ``r1_zero``: metrics, an evaluation every fifth step, samples."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stage = path / "01_r1_zero"
        self.stage.mkdir(parents=True)
        (path / "recipe.toml").write_text('name = "made"\nseed = 1\n[stages.r1_zero]\nsteps = 20\n')
        (path / "manifest.json").write_text('{"recipe": "made", "created": "2026-01-01"}')
        (self.stage / "key.json").write_text('{"key": "k"}')

    def steps(self, first: int, last: int) -> None:
        for step in range(first, last + 1):
            row = {"step": step, "seconds": 2.0 * step, "accuracy": step / 20, "response_tokens": 30.0}
            self._append("metrics", row)
            if step % 5 == 0:
                self._append("eval", {"step": step, "task": "sums", "split": "dev", "k": 4, "avg_at_k": step / 40})
                sample = {"step": step, "prompt_id": "sums/dev/0", "prompt": "1 + 1 | 2?", "completion": "<b>2</b>\n"}
                self._append("rollouts", {**sample, "reward": 1.0, "parts": {"accuracy": 1.0}, "tokens": 3})

    def cut_back(self, step: int) -> None:
        """As a resumed run does: its logs end at the resume point."""
        for log in ("metrics", "eval", "rollouts"):
            path = self.stage / f"{log}.jsonl"
            lines = [line for line in path.read_text().splitlines() if json.loads(line)["step"] <= step]
            path.write_text("".join(f"{line}\n" for line in lines))

    def end(self) -> None:
        (self.stage / "result.json").write_text('{"seconds": 40.0, "metrics": {}}')
        (self.path / "report.html").write_text("<p>report</p>")

    def _append(self, log: str, row: dict[str, Any]) -> None:
        with (self.stage / f"{log}.jsonl").open("a") as stream:
            stream.write(json.dumps(row) + "\n")
