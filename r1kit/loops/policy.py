"""Open what an RL stage works with: the policy it starts from, its engine, learner, verifier and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedTokenizerBase

from r1kit.backends.arithmetic import resolve_dtype
from r1kit.cluster.ranks import local_rank
from r1kit.evals.evaluate import EvaluationConfig
from r1kit.loops.judge import Judge
from r1kit.loops.settings import RL
from r1kit.model.fallback import load_model, save_model
from r1kit.model.source import resolve_model
from r1kit.model.template import Template, render
from r1kit.records import Prompt, Sampling, StageResult
from r1kit.reward.rule import RewardConfig
from r1kit.reward.verifier import Verifier
from r1kit.rollout.engine import Engine
from r1kit.rollout.hub import open_engine
from r1kit.rollout.stopping import Tokenizer
from r1kit.tasks.task import Task
from r1kit.update.local import DTYPES, LearnerSettings, LocalLearner
from r1kit.workspace import Workspace

__all__ = [
    "Policy",
    "device_of",
    "judge_for",
    "last_evaluation",
    "multiplied_weights",
    "open_policy",
    "renderer",
    "save_checkpoint",
    "verifier_for",
]


@dataclass(slots=True, kw_only=True)
class Policy:
    tasks: Mapping[str, Task]
    render: Callable[[Prompt], Sequence[int]]
    engine: Engine
    learner: LocalLearner
    judge: Judge
    model: Any
    tokenizer: PreTrainedTokenizerBase
    started_from: str
    workspace: Workspace

    def result(self) -> StageResult:
        """Save the checkpoint and sum the stage up by its last evaluation."""
        folder = save_checkpoint(self.workspace, self.model, self.tokenizer)
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
    device, dtype = device_of(workspace), DTYPES[resolve_dtype(config.dtype, device_of(workspace))]
    trained = config.tasks or tuple(workspace.recipe.tasks)
    judged = dict.fromkeys((*trained, *config.evaluation.tasks))  # in order, once each
    tasks = workspace.recipe.built(judged)
    with verifier_for(tasks, config.reward, workspace, config.deadline, rewards) as verifier:  # starts meanwhile
        model, tokenizer = load_model(resolve_model(path), torch.float32)
        model.to(device)
        workspace.weights = multiplied_weights(model)
        engine = open_engine(
            model, cast(Tokenizer, tokenizer), dtype=dtype, device=device, max_rows=config.rows_in_flight
        )
        learner = LocalLearner(
            model,
            LearnerSettings(
                dtype=resolve_dtype(config.dtype, device),
                token_budget=config.micro_batch_tokens,
                temperature=config.sampling.temperature,
                optimiser=config.optimiser,
            ),
            workspace.ranks,
        )
        draw = renderer(workspace, tokenizer)
        judge = Judge(
            tasks=tasks,
            config=replace(config.evaluation, tasks=config.evaluation.tasks or trained),
            sampling=config.sampling,
            engine=engine,
            verifier=verifier,
            render=draw,
            workspace=workspace,
        )
        try:
            yield Policy(
                tasks={task: tasks[task] for task in trained},
                render=draw,
                engine=engine,
                learner=learner,
                judge=judge,
                model=model,
                tokenizer=tokenizer,
                started_from=name,
                workspace=workspace,
            )
        finally:
            engine.close()


def verifier_for(
    tasks: Iterable[str], reward: RewardConfig, workspace: Workspace, deadline: float = 10.0,
    rewards: Mapping[str, RewardConfig] | None = None,
) -> Verifier:  # fmt: skip
    """A verifier of the recipe's tasks; all are paid alike but for those in ``rewards``."""
    configs = {name: workspace.recipe.spec(name) for name in tasks}
    return Verifier(configs, {**dict.fromkeys(configs, reward), **(rewards or {})}, deadline_seconds=deadline)


@contextmanager
def judge_for(
    model: Any, tokenizer: PreTrainedTokenizerBase, config: EvaluationConfig, sampling: Sampling, reward: RewardConfig,
    workspace: Workspace, rows_in_flight: int = 512, verifier: Verifier | None = None,
) -> Iterator[Judge]:  # fmt: skip
    """A judge over a model that is not being trained by RL: pretrain's gate, ``r1 eval``.

    Args:
        verifier: of at least the tasks that are judged; by default one that lives as long as the judge.
    """
    tasks = workspace.recipe.built(config.tasks or workspace.recipe.tasks)
    device = device_of(workspace)
    workspace.weights = multiplied_weights(model)
    with nullcontext(verifier) if verifier else verifier_for(tasks, reward, workspace) as verifier:
        engine = open_engine(
            model, cast(Tokenizer, tokenizer), dtype=torch.float32, device=device, max_rows=rows_in_flight
        )
        try:
            yield Judge(
                tasks=tasks,
                config=config,
                sampling=sampling,
                engine=engine,
                verifier=verifier,
                render=renderer(workspace, tokenizer),
                workspace=workspace,
            )
        finally:
            engine.close()


def renderer(
    workspace: Workspace, tokenizer: PreTrainedTokenizerBase, template: Template | None = None
) -> Callable[[Prompt], Sequence[int]]:
    """Prompt -> token ids under the recipe's template, or another."""
    chosen = template or workspace.recipe.model.template
    return lambda prompt: render(chosen, tokenizer, prompt.question)


def device_of(workspace: Workspace) -> torch.device:
    """This rank's device."""
    if workspace.recipe.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", local_rank(workspace.ranks) % torch.cuda.device_count())
    return torch.device("cpu")


def multiplied_weights(model: torch.nn.Module) -> int:
    """N of the usual 6 N operations a token: all weights but an embedding that is not the head too."""
    own = {id(weight): weight.numel() for weight in model.parameters()}
    embedding = getattr(model, "embedding", None)
    untied = isinstance(embedding, torch.nn.Embedding) and embedding.weight is not getattr(model, "head", None)
    return sum(own.values()) - (embedding.weight.numel() if untied and embedding is not None else 0)


def save_checkpoint(workspace: Workspace, model: Any, tokenizer: PreTrainedTokenizerBase) -> str:
    """Write ``NN_STAGE/checkpoint`` in hub format (rank 0); its path relative to the run."""
    folder = workspace.folder / "checkpoint"
    if workspace.is_writer:
        save_model(folder, model, tokenizer)
    workspace.ranks.broadcast_object(None)
    return str(Path(folder).relative_to(workspace.run))


def last_evaluation(workspace: Workspace) -> dict[str, Any]:
    """Newest line of ``eval.jsonl`` for each task, by name."""
    return {line["task"]: line for line in workspace.read("eval")}
