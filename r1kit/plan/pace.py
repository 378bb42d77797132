"""How fast each part of an RL step is: measured on a machine (``r1 doctor --pace``), or reckoned from its devices."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1kit.errors import InputError
from r1kit.files import object_of, strict_lines
from r1kit.plan.cost import Plan
from r1kit.plan.shape import Shape
from r1kit.structure import structure

__all__ = ["Lengths", "Pace", "lengths_of_run", "pace_of_devices", "read_pace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds at full speed, of one engine, one rank of the learner, one verifier."""

    step: float
    """A token more for every row in flight: what it takes whatever their number (the weights are read once)."""
    row: float
    """The same: what each row adds."""
    key: float
    """The same: what each token of a row's context adds (its keys and values are read)."""
    prompt: float
    """A token of a prompt, read once a group."""
    learn: float
    """A token learnt: forward and backward."""
    read: float
    """A token whose log-prob alone is computed: of the old policy, of the reference."""
    update: float
    """A step of the optimiser, with the reduction of the gradient."""
    score: float
    """A completion judged."""
    hand_over: float
    """The weights into one engine."""
    other: float = 0.0
    """Of a step, besides: prompts dealt, advantages taken, rows put together, metrics and transcripts made."""

    def token_step(self, rows: int, keys: float) -> float:
        """Seconds of one token more for ``rows`` rows that attend to ``keys`` tokens in all."""
        return self.step + self.row * rows + self.key * keys


def pace_of_devices(
    shape: Shape, where: Plan, width: int, *, engine_devices: float, rank_devices: float, link: float
) -> Pace:
    """What makers' numbers say, with the shares of them that ``where`` assumes.

    Args:
        shape: of the policy.
        where: kind of device; how many there are is not read.
        width: bytes of a weight and of a cached number.
        engine_devices: that share one engine; work divides evenly over them.
        rank_devices: that share one rank's part of the update.
        link: bytes a second of weights into one engine.
    """
    peak = (where.device.fp32 if width == 4 else where.device.bf16) * where.mfu
    bandwidth = where.device.bandwidth * where.mbu
    token, weights = 2.0 * shape.matrix_parameters, shape.parameters * float(width)
    return Pace(
        step=weights / (engine_devices * bandwidth),
        row=token / (engine_devices * peak),
        key=shape.cache_bytes(width) / (engine_devices * bandwidth),
        prompt=token / (engine_devices * peak),
        learn=3 * token / (rank_devices * peak),
        read=token / (rank_devices * peak),
        update=16.0 * shape.parameters / (rank_devices * bandwidth),
        score=0.0,
        hand_over=weights / link,
    )


def read_pace(path: Path) -> Pace:
    """What ``r1 doctor --pace`` wrote.

    Raises:
        InputError: no such file, or it holds something else.
    """
    if not path.is_file():
        raise InputError(f"--pace {path}: no such file; r1 doctor --pace RECIPE --json {path} writes it")
    found: Any = (object_of(path.read_text(encoding="utf-8", errors="replace")) or {}).get("pace")
    if not isinstance(found, dict):
        raise InputError(f"--pace {path}: holds no pace; r1 doctor --pace RECIPE --json {path} writes it")
    pace: Pace = structure(Pace, found.get("seconds", {}), f"{path}: pace.seconds")
    return pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of completions: those that were seen, or a log-normal distribution cut at the longest."""

    longest: int
    seen: tuple[int, ...] = ()
    mean: float = 0.0
    """Where none were seen."""
    spread: float = 0.8
    """Standard deviation of a length's logarithm, where none were seen."""

    def draw(self, seed: int) -> Iterator[int]:
        """Lengths without end."""
        source = random.Random(seed)
        centre = math.log(max(1.0, self.mean)) - self.spread**2 / 2
        while True:
            drawn = source.choice(self.seen) if self.seen else math.exp(source.gauss(centre, self.spread))
            yield max(1, min(self.longest, round(drawn)))


def lengths_of_run(text: str, longest: int) -> Lengths:
    """Those of a stage of a run, as its ``rollouts.jsonl`` tells: ``DIR:STAGE``.

    Raises:
        InputError: no such run or stage, or it has written no training rollouts.
    """
    run, _, stage = text.rpartition(":")
    found = sorted(Path(run).glob(f"*_{stage}/rollouts.jsonl")) if run and stage else []
    if not found:
        raise InputError(f"--lengths {text!r}: no rollouts.jsonl there; write DIR:STAGE of a run's RL stage")
    lines = [line.table for line in strict_lines(found[0], "rollouts", may_be_empty=True)]
    seen = tuple(int(line["tokens"]) for line in lines if line.get("kind") == "train")
    if not seen:
        raise InputError(f"--lengths {text!r}: {found[0]} holds no training rollouts; set record_groups above 0")
    return Lengths(longest=longest, seen=seen)
