"""What one rank of a data factory does in ``test_collect``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loops.toy import ToyTask

from r1kit.cluster.ranks import Ranks
from r1kit.errors import InputError
from r1kit.factory.collect import collect, is_collected
from r1kit.factory.collection import Plan
from r1kit.factory.harvest import Harvest
from r1kit.factory.select import Candidate
from r1kit.factory.writer import on_writer
from r1kit.recipe import load_recipe
from r1kit.records import Prompt, Sample
from r1kit.workspace import Workspace


def gather(ranks: Ranks, folder: str) -> str:
    """Every prompt brings one candidate; then the writer fails."""
    recipe = load_recipe("nano-zero")
    workspace = Workspace(run=Path(folder), stage="cold_start", index=3, recipe=recipe, ranks=ranks, key="k")
    if ranks.rank == 0:
        workspace.folder.mkdir(parents=True)
    plan = Plan(tasks={"toy": ToyTask()}, routes={"a": 5, "b": 2}, per_step=3, seed=1)  # type: ignore[dict-item]
    collect(plan, work, workspace)
    assert is_collected(workspace)

    def fail() -> None:
        raise InputError("the writer's")

    try:
        on_writer(workspace, fail)
    except InputError as error:
        return f"InputError: {error}"
    return "no error"


def work(route: str, share: Sequence[tuple[int, Prompt]]) -> Harvest:
    """One candidate a prompt; a share may be empty."""
    samples = [
        Sample(id=f"{prompt.id}/{route}", prompt=prompt.question, response="r", domain="toy") for _, prompt in share
    ]
    return Harvest(
        candidates=[
            ((number, 0), Candidate(sample=sample, tokens=1, consistency=(0.5, 1.0)))
            for (number, _), sample in zip(share, samples, strict=True)
        ],
        left={"sampled": len(share), "right": len(share)},
        counts={"response_tokens": 3.0 * len(share), "language_consistency": 0.5 * len(share)},
        sampled={7: 3.0 * len(share)} if share else {},
    )
