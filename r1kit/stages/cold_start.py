"""Cold start: a few readable samples of long reasoning, to begin RL from (R1 paper, section 2.3.1; v2, B.3.2).

Four routes: few-shot prompting with a long chain, asking for reflection and verification, R1-Zero's outputs filtered
and rewritten, and post-processing by people, for which ``review.jsonl`` is the queue.
"""

from __future__ import annotations

from r1kit.factory.cold_start_settings import ColdStart as Config
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.factory import cold_start
    from r1kit.factory.collect import is_collected
    from r1kit.factory.review_wait import await_people
    from r1kit.factory.writer import on_writer

    if not is_collected(workspace):
        cold_start.sample(config, workspace)
    if config.review == "human":
        on_writer(workspace, lambda: cold_start.queue(config, workspace))
        await_people(config, workspace)
    metrics = on_writer(workspace, lambda: cold_start.finish(config, workspace))
    return StageResult(metrics=metrics, inputs=workspace.recipe.inputs(workspace.stage))
