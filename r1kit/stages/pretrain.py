"""A base model by language modelling on a corpus (R1 paper, section 1: a base only ever predicts text)."""

from __future__ import annotations

from r1kit.loops.pretraining_settings import Pretrain as Config
from r1kit.records import StageResult
from r1kit.workspace import Workspace

__all__ = ["Config", "run"]


def run(config: Config, workspace: Workspace) -> StageResult:
    from r1kit.evals.evaluator import last_evaluation
    from r1kit.evals.gate import write_gate
    from r1kit.loops.policy import open_evaluator, save_checkpoint
    from r1kit.loops.pretraining import pretrain

    loaded, learner = pretrain(config, workspace)
    checkpoint = save_checkpoint(workspace, loaded, learner)
    if workspace.recipe.tasks:
        with open_evaluator(
            loaded, config.evaluation, config.sampling, config.reward, workspace, config.dtype, learner=learner
        ) as evaluator:
            write_gate(evaluator.evaluate(config.steps), workspace)
    return StageResult(metrics=last_evaluation(workspace), checkpoint=checkpoint, inputs=())
