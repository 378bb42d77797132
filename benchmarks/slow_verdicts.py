"""A step's time with slow tests: waited for, carried over, left out. Nothing is learnt; verdicts are scripted.

A tiny model samples and learns as an RL step does; one group in so many has a verdict that takes long, as a slow test
suite does, and so many processes judge. Prints the mean seconds of a step and what it learnt from.

    python benchmarks/slow_verdicts.py --seconds 2 --share 0.25 --steps 20
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from loops.toy import CONFIG, ToyScorer, toy

from r1kit.loops.lag import Verdicts
from r1kit.records import Group, Score


@dataclass
class Slow(ToyScorer):
    """Judges in processes' stead: threads that sleep."""

    seconds: float = 2.0
    share: float = 0.25
    workers: int = 4
    pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self.pool = ThreadPoolExecutor(self.workers)

    def submit(self, group: Group) -> Future[list[Score]]:
        slow = random.Random(group.prompt.id).random() < self.share
        return self.pool.submit(self._judged, group, self.seconds if slow else 0.01)

    def _judged(self, group: Group, seconds: float) -> list[Score]:
        time.sleep(seconds)
        return self.score([group])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slow group's verdict")
    parser.add_argument("--share", type=float, default=0.25, help="of the groups")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--patience", type=float, default=0.3, help="seconds that a step waits before it does without")
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    base = replace(CONFIG, steps=asked.steps, prompts_per_step=8)
    for verdicts in (
        Verdicts(),
        Verdicts(slow="carry", patience=asked.patience, carry_steps=4),
        Verdicts(slow="drop", patience=asked.patience),
    ):
        scorer = Slow(seconds=asked.seconds, share=asked.share, workers=asked.workers)
        with tempfile.TemporaryDirectory() as folder:
            one = toy(Path(folder), scorer=scorer)
            began = time.monotonic()
            one.train(replace(base, verdicts=verdicts))
            seconds = (time.monotonic() - began) / asked.steps
            logs = Path(folder) / "02_r1_zero"
            lines = [json.loads(line) for line in (logs / "prompts.jsonl").read_text().splitlines()]
            metrics = [json.loads(line) for line in (logs / "metrics.jsonl").read_text().splitlines()]
        scorer.pool.shutdown(cancel_futures=True)
        learnt = sum(len(line.get("learnt", ())) for line in lines)
        waited = sum(line["score_seconds"] for line in metrics) / len(metrics)
        print(
            f"{verdicts.slow:6} {seconds:6.2f} s a step, {waited:5.2f} of them waiting for verdicts; "
            f"{learnt / asked.steps:.1f} groups a step, {seconds * asked.steps / learnt:.3f} s a group",
            flush=True,
        )


if __name__ == "__main__":
    main()
