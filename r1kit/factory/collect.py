"""The one data factory: sample -> judge -> filter -> append, resumable in the middle.

A step asks some prompts by one route. Ranks share its prompts; rank 0 appends what passed to ``candidates.jsonl`` and
the counts to ``metrics.jsonl``. The final files are a pure function of these two, which are cut to the resume point
after a kill.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from r1kit.factory.collect_plan import Plan
from r1kit.factory.harvest import Harvest
from r1kit.factory.select import Candidate, candidate_of
from r1kit.files import strict_lines
from r1kit.records import Prompt
from r1kit.resume import Stateless
from r1kit.workspace import Workspace

__all__ = ["collect", "collected", "is_collected"]

MARK = "collected.json"
"""Present once every step is done. From then on logs are never cut again, so what people write beside them is safe."""


Work = Callable[[str, Sequence[tuple[int, Prompt]]], Harvest]
"""Route and this rank's prompts -> what they brought."""


def collect(plan: Plan, work: Work, workspace: Workspace) -> None:
    """Do every step that is not done yet."""
    ranks = workspace.ranks
    for step in workspace.steps(len(plan), Stateless()):
        began = time.monotonic()
        route, share = plan.step(step, ranks.rank, ranks.size)
        found = Harvest()
        for part in ranks.gather_objects(work(route, share)):
            found.add(part)
        found.candidates.sort(key=lambda item: item[0])
        workspace.append("candidates", [_line(candidate) for _, candidate in found.candidates])
        for parameters, tokens in sorted(found.sampled.items()):
            workspace.spend(sampled=tokens, parameters=parameters)
        for parameters, tokens in sorted(found.judged.items()):
            workspace.spend(judged=tokens, parameters=parameters)
        workspace.log(step + 1, _metrics(route, found, time.monotonic() - began))
    workspace.write(MARK, {"seconds": workspace.seconds, "cursor": workspace.cursor, "steps": len(plan)})
    workspace.ranks.broadcast_object(None)


def is_collected(workspace: Workspace) -> bool:
    """Whether every step was done in an earlier sitting; if so, its time and cost are taken up."""
    path = workspace.folder / MARK
    found: dict[str, Any] | None = workspace.ranks.broadcast_object(
        json.loads(path.read_text(encoding="utf-8")) if workspace.is_writer and path.is_file() else None
    )
    if found is None:
        return False
    workspace.seconds = float(found["seconds"])
    workspace.cursor.update(found["cursor"])
    return True


def _line(candidate: Candidate) -> dict[str, Any]:
    return {"sample": candidate.sample, "tokens": candidate.tokens, "consistency": list(candidate.consistency)}


def _metrics(route: str, found: Harvest, seconds: float) -> dict[str, Any]:
    sampled, kept = found.left["sampled"], len(found.candidates)
    means = {name: found.counts[name] / max(1, sampled) for name in ("response_tokens", "language_consistency")}
    after = sum(candidate.consistency[1] for _, candidate in found.candidates)
    return {
        "route": route,
        "accuracy": found.left["right"] / max(1, sampled),
        "kept": kept,
        **means,
        "kept_language_consistency": after / kept if kept else None,
        "tokens_per_second": found.counts["response_tokens"] / seconds,
        "left": found.left,
        **{name: count for name, count in found.counts.items() if name.startswith("judge_")},
    }


# ---- what the logs say ----------------------------------------------------------------------------------------------


def collected(workspace: Workspace) -> list[Candidate]:
    """Every candidate, in the order sampled."""
    path = workspace.folder / "candidates.jsonl"
    return [
        candidate_of(line.where, line.table)
        for line in strict_lines(path, '{"sample", "tokens", "consistency"}', may_be_empty=True)
    ]
