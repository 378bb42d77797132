"""Open what an RL stage works with: the policy it starts from, its engine, learner, verifier and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.evals.evaluate import EvaluationConfig
from r1kit.loops.judge import Judge
from r1kit.loops.settings import RL
from r1kit.records import Prompt, Sampling, StageResult
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.rollout.engine import Engine
from r1kit.tasks.task import Task
from r1kit.update.learner import Learner
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

__all__ = ["Policy", "judge_for", "last_evaluation", "open_policy", "save_checkpoint", "verifier_for"]


@dataclass(slots=True, kw_only=True)
class Policy:
    tasks: Mapping[str, Task]
    render: Callable[[Prompt], Sequence[int]]
    engine: Engine
    learner: Learner
    judge: Judge
    loaded: LoadedModel
    started_from: str
    workspace: Workspace

    def result(self) -> StageResult:
        """Save the checkpoint and sum the stage up by its last evaluation."""
        folder = save_checkpoint(self.workspace, self.loaded, self.learner)
        return StageResult(metrics=last_evaluation(self.workspace), checkpoint=folder, inputs=(self.started_from,))


@contextmanager
def open_policy(
    config: RL, workspace: Workspace, rewards: Mapping[str, RewardConfig] | None = None
) -> Iterator[Policy]:
    """Everything an RL stage needs, closed at the end.

    Args:
        rewards: what a task is paid for where that is not ``config.reward``.
    """
    torch.manual_seed(workspace.seed)  # no random number is drawn from it; a stray draw would at least repeat
    path, name = workspace.start(config.start)
    backend = backend_of(workspace.recipe, workspace.ranks)
    trained = config.tasks or tuple(workspace.recipe.tasks)
    every = dict.fromkeys((*trained, *config.evaluation.tasks))  # in order, once each
    tasks = workspace.recipe.built(every)
    with verifier_for(tasks, config.reward, workspace, config.deadline, rewards) as verifier:  # starts meanwhile
        loaded = backend.load(path)
        workspace.parameters = loaded.parameters
        with closing(backend.open_engine(loaded, dtype=config.dtype, max_rows=config.rows_in_flight)) as engine:
            learner = backend.open_learner(
                loaded,
                config.optimiser,
                dtype=config.dtype,
                token_budget=config.micro_batch_tokens,
                temperature=config.sampling.temperature,
            )
            judge = Judge(
                tasks=tasks,
                config=replace(config.evaluation, tasks=config.evaluation.tasks or trained),
                sampling=config.sampling,
                engine=engine,
                verifier=verifier,
                render=loaded.render,
                workspace=workspace,
            )
            yield Policy(
                tasks={task: tasks[task] for task in trained},
                render=loaded.render,
                engine=engine,
                learner=learner,
                judge=judge,
                loaded=loaded,
                started_from=name,
                workspace=workspace,
            )


def verifier_for(
    tasks: Iterable[str], reward: RewardConfig, workspace: Workspace, deadline: float = 10.0,
    rewards: Mapping[str, RewardConfig] | None = None,
) -> Verifier:  # fmt: skip
    """A verifier of the recipe's tasks; all are paid alike but for those in ``rewards``."""
    specs = {name: workspace.recipe.spec(name) for name in workspace.recipe.tasks}
    return open_verifier(tasks, specs, reward, deadline, rewards)


@contextmanager
def judge_for(
    loaded: LoadedModel, config: EvaluationConfig, sampling: Sampling, reward: RewardConfig, workspace: Workspace,
    dtype: DtypeSetting, rows_in_flight: int = 512, verifier: Verifier | None = None, learner: Learner | None = None,
) -> Iterator[Judge]:  # fmt: skip
    """A judge over a model that is not being trained by RL: pretrain's gate, ``r1 eval``.

    Args:
        dtype: of the engine.
        verifier: of at least the tasks that are judged; by default one that lives as long as the judge.
        learner: that has trained the model, where one has: what it learnt is judged.
    """
    tasks = workspace.recipe.built(config.tasks or workspace.recipe.tasks)
    workspace.parameters = loaded.parameters
    with nullcontext(verifier) if verifier else verifier_for(tasks, reward, workspace) as verifier:
        backend = backend_of(workspace.recipe, workspace.ranks)
        with closing(backend.open_engine(loaded, dtype=dtype, max_rows=rows_in_flight)) as engine:
            if learner is not None:
                learner.publish(engine, version=0)
            yield Judge(
                tasks=tasks,
                config=config,
                sampling=sampling,
                engine=engine,
                verifier=verifier,
                render=loaded.render,
                workspace=workspace,
            )


def save_checkpoint(workspace: Workspace, loaded: LoadedModel, learner: Learner | None = None) -> str:
    """Write ``NN_STAGE/checkpoint`` in hub format; its path relative to the run.

    Args:
        learner: that has trained the model; without one the model is written as it was loaded.
    """
    folder = workspace.folder / "checkpoint"
    if learner is not None:
        learner.export(folder, loaded.tokenizer)
    elif workspace.is_writer:
        loaded.save(folder)
    workspace.ranks.broadcast_object(None)
    return str(Path(folder).relative_to(workspace.run))


def last_evaluation(workspace: Workspace) -> dict[str, Any]:
    """Newest line of ``eval.jsonl`` for each task, by name."""
    return {line["task"]: line for line in workspace.read("eval")}
