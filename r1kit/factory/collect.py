"""The one data factory: sample -> judge -> filter -> append, resumable in the middle.

A step asks some prompts by one route. Ranks share its prompts; rank 0 appends what passed to ``candidates.jsonl`` and
the counts to ``metrics.jsonl``. The final files are a pure function of these two, which are cut to the resume point
after a kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from r1kit.errors import InputError
from r1kit.factory.collection import Plan
from r1kit.factory.harvest import Harvest
from r1kit.factory.select import Candidate, candidate_of
from r1kit.files import object_of, strict_lines
from r1kit.records import Prompt
from r1kit.resume import Stateless, log_fault, newest_point
from r1kit.workspace import Workspace

__all__ = ["collect", "collected", "is_collected"]

LOG = "candidates.jsonl"
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
    """Whether every step was done in an earlier sitting; if so, its time and cost are taken up.

    Raises:
        InputError: the mark is damaged, or the candidates are not what the last resume point knows.
    """
    found: dict[str, Any] | None = workspace.ranks.broadcast_object(_marked(workspace) if workspace.is_writer else None)
    if found is None:
        return False
    workspace.seconds = float(found["seconds"])
    workspace.cursor.update(found["cursor"])
    return True


def _marked(workspace: Workspace) -> dict[str, Any] | None:
    """What the mark says; None where there is none. Steps done anew would empty what people wrote, so a damaged one is
    told and not passed over."""
    path = workspace.folder / MARK
    if not path.is_file():
        return None
    found = object_of(path.read_text(encoding="utf-8", errors="replace")) or {}
    again = f"copy the run folder again, or delete {workspace.folder} to do {workspace.stage} again from its beginning"
    if not set(found) >= {"seconds", "cursor"}:
        raise InputError(f"{path} is damaged; {again}")
    point = newest_point(workspace.folder)
    if point and (size := point.at.get(LOG)) and (why := log_fault(workspace.folder / LOG, *size)):
        raise InputError(f"{why}; {again}")
    return found


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
    path = workspace.folder / LOG
    return [
        candidate_of(line.where, line.table)
        for line in strict_lines(path, '{"sample", "tokens", "consistency"}', may_be_empty=True)
    ]
