"""Open what an RL stage works with: the policy it starts from, its engine, learner, scorer and evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from r1kit.backends.backend import backend_of
from r1kit.backends.models import LoadedModel
from r1kit.backends.verifiers import open_verifier
from r1kit.checkpoint.source import resolve_model
from r1kit.evals.evaluator import Evaluator, last_evaluation
from r1kit.evals.prompting import Paraphrasing
from r1kit.evals.settings import EvaluationConfig
from r1kit.evals.transcripts import Spell
from r1kit.loops.settings import RL, SFT
from r1kit.records import Prompt, Sampling, StageResult
from r1kit.reward.learned import Judging, LearnedReward
from r1kit.reward.scorer import Scorer
from r1kit.reward.settings import RewardConfig
from r1kit.reward.verifier import Verifying
from r1kit.rollout.engine import Engine
from r1kit.rollout.streams import stream_seed
from r1kit.tasks.task import Task
from r1kit.text.light_tokenizer import prompts_open
from r1kit.text.paraphrases import paraphrases
from r1kit.text.spelling import Spelling
from r1kit.update.adapted import Adapted
from r1kit.update.learner import Learner
from r1kit.update.settings import DtypeSetting
from r1kit.workspace import Workspace

__all__ = ["Policy", "open_evaluator", "open_learner", "open_policy", "save_checkpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What RL works with."""

    tasks: Mapping[str, Task]
    """That it trains on."""
    render: Callable[[Prompt], Sequence[int]]
    spell: Spell
    engine: Engine
    learner: Learner
    scorer: Scorer
    evaluator: Evaluator
    loaded: LoadedModel
    """As it was before the learner took it over."""
    started_from: str
    workspace: Workspace

    def result(self) -> StageResult:
        """Save the checkpoint and sum the stage up by its last evaluation."""
        folder = save_checkpoint(self.workspace, self.loaded, self.learner)
        return StageResult(metrics=last_evaluation(self.workspace), checkpoint=folder, inputs=(self.started_from,))


@contextmanager
def open_policy(
    config: RL, workspace: Workspace, rewards: Mapping[str, RewardConfig] | None = None,
    models: Judging | None = None, weight: float = 1.0,
) -> Iterator[Policy]:  # fmt: skip
    """Everything an RL stage needs, closed at the end.

    Args:
        config: of the stage.
        workspace: of the stage.
        rewards: what a task is paid for where that is not ``config.reward``.
        models: reward models, or a process reward model, for the tasks that they score.
        weight: of their score in the reward.
    """
    torch.manual_seed(workspace.seed)  # no random number is drawn from it; a stray draw would at least repeat
    path, name = workspace.start(config.start)
    recipe, backend = workspace.recipe, backend_of(workspace.recipe, workspace.ranks)
    trained = config.tasks or tuple(recipe.tasks)
    every = dict.fromkeys((*trained, *config.evaluation.tasks))  # in order, once each
    tasks = recipe.built(every)
    opens = prompts_open(resolve_model(path), recipe.model.template)
    with open_verifier(
        tasks, recipe, config.reward, config.deadline, rewards, config.verifier_workers, workspace.ranks, opens
    ) as verifier:  # starts meanwhile
        loaded = backend.load(path)
        for line in loaded.remarks():
            workspace.say(f"{workspace.stage}: {line}")
        if isinstance(models, LearnedReward):
            models = replace(models, opens=config.reward.settled(opens).prefilled is True)
        workspace.parameters = loaded.parameters
        with closing(backend.open_engine(loaded, dtype=config.dtype, max_rows=config.rows_in_flight)) as engine:
            learner = open_learner(loaded, config, workspace, config.sampling.temperature)
            scorer, spell = Scorer(verifier=verifier, models=models, weight=weight), Spelling(loaded.tokenizer)
            yield Policy(
                tasks={task: tasks[task] for task in trained},
                render=_asking(config, loaded, workspace.seed),
                spell=spell,
                engine=engine,
                learner=learner,
                scorer=scorer,
                evaluator=Evaluator(
                    tasks=tasks,
                    config=replace(config.evaluation, tasks=config.evaluation.tasks or trained),
                    sampling=config.sampling,
                    engine=engine,
                    scorer=scorer,
                    render=loaded.render,
                    workspace=workspace,
                    spell=spell if config.record_tokens else None,
                ),
                loaded=loaded,
                started_from=name,
                workspace=workspace,
            )


def _asking(config: RL, loaded: LoadedModel, seed: int) -> Callable[[Prompt], Sequence[int]]:
    """How training prompts are rendered."""
    texts = paraphrases(config.paraphrases, "paraphrases")
    return Paraphrasing(texts=texts, seed=seed, render=loaded.render) if texts else loaded.render


@contextmanager
def open_evaluator(
    loaded: LoadedModel, config: EvaluationConfig, sampling: Sampling, reward: RewardConfig, workspace: Workspace,
    dtype: DtypeSetting, rows_in_flight: int = 512, verifier: Verifying | None = None, learner: Learner | None = None,
) -> Iterator[Evaluator]:  # fmt: skip
    """An evaluator of a model that stands still.

    Args:
        loaded: the model.
        config: what is evaluated, and how.
        sampling: stop strings and length, where the config has none of its own.
        reward: how an answer is read; nothing is paid here.
        workspace: of the stage.
        dtype: of the engine.
        rows_in_flight: completions that decode side by side.
        verifier: of at least the tasks that are evaluated; by default one that lives as long as the evaluator.
        learner: that has trained the model, where one has: what it learnt is evaluated.
    """
    recipe = workspace.recipe
    tasks = recipe.built(config.tasks or recipe.tasks)
    workspace.parameters = loaded.parameters
    backend = backend_of(recipe, workspace.ranks)
    with (
        nullcontext(verifier)
        if verifier
        else open_verifier(tasks, recipe, reward, ranks=workspace.ranks, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype=dtype, max_rows=rows_in_flight)) as engine,
    ):
        if learner is not None:
            learner.publish(engine, version=0)
        yield Evaluator(
            tasks=tasks,
            config=config,
            sampling=sampling,
            engine=engine,
            scorer=Scorer(verifier=verifier),
            render=loaded.render,
            workspace=workspace,
            spell=Spelling(loaded.tokenizer),
        )


def open_learner(
    loaded: LoadedModel, config: RL | SFT, workspace: Workspace, temperature: float = 1.0
) -> Learner:  # fmt: skip
    """What trains the model, which it takes over; says what is trained where that is not every weight.

    Args:
        temperature: of the sampling that it learns from.
    """
    learner = backend_of(workspace.recipe, workspace.ranks).open_learner(
        loaded,
        config.optimiser,
        dtype=config.dtype,
        token_budget=config.micro_batch_tokens,
        temperature=temperature,
        lora=config.lora,
        seed=stream_seed(workspace.seed, workspace.stage, "learner"),
    )
    if isinstance(learner, Adapted):
        workspace.say(f"{workspace.stage}: {learner.told()}")
    return learner


def save_checkpoint(workspace: Workspace, loaded: LoadedModel, learner: Learner | None = None) -> str:
    """Write ``NN_STAGE/checkpoint`` in hub format; its path relative to the run. An adapter that was trained is merged
    in there, and lies in peft's format in ``NN_STAGE/adapter``.

    Args:
        learner: that has trained the model; without one the model is written as it was loaded.
    """
    folder = workspace.folder / "checkpoint"
    if learner is not None:
        if isinstance(learner, Adapted):
            learner.export_adapter(workspace.folder / "adapter")
        learner.export(folder, loaded.tokenizer)
    elif workspace.is_writer:
        loaded.save(folder)
    workspace.ranks.broadcast_object(None)
    return str(Path(folder).relative_to(workspace.run))
