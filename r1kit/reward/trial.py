"""``r1 check`` tries a user's rewards in a process of its own, on one prompt and its reference answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from r1kit.apart import Announce, run_apart
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.records import Prompt
from r1kit.registry import IMPORT_SECONDS, find, short
from r1kit.reward.extract import marked
from r1kit.reward.messages import Job
from r1kit.reward.names import PARTS
from r1kit.reward.settings import RewardConfig
from r1kit.reward.user import UserReward
from r1kit.tasks import Spec, build_spec
from r1kit.tasks.task import Task

__all__ = ["TASK_SECONDS", "Trial", "attempt", "first_prompt", "try_rewards"]

TASK_SECONDS, CALL_SECONDS = 120.0, 5.0
"""To build a task, to judge one completion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A stage's reward on one of its tasks."""

    stage: str
    task: str
    spec: Spec
    """The task's kind and settings, as plain values."""
    reward: RewardConfig


def try_rewards(recipe: Recipe) -> None:
    """Try every user's function that a stage names, on the first training prompt of each task of the stage.

    Raises:
        InputError: one line on the first that cannot be imported, has none of the shapes, raises, does not come back or
            gives no reward.
    """
    if trials := list(_trials(recipe)):
        run_apart("r1kit.reward.trial:attempt", trials)


def _trials(recipe: Recipe) -> Iterator[Trial]:
    for stage, config in recipe.stages.items():
        holders = (config, getattr(config, "rl", None))  # students have an RL of their own
        rewards = [found for holder in holders if isinstance(found := getattr(holder, "reward", None), RewardConfig)]
        for reward in rewards:
            if any(name not in PARTS for name in reward.parts):
                for task in recipe.tasks_of(stage):
                    yield Trial(stage=stage, task=task, spec=recipe.spec(task), reward=reward)


def attempt(trials: list[Trial], announce: Announce) -> None:
    """In the process: import every function, then call each on every task."""
    rewards: dict[str, UserReward] = {}
    for trial in trials:
        for name in trial.reward.parts:
            if name not in PARTS and name not in rewards:
                where = f"stages.{trial.stage}.reward.parts"
                announce(f"{where}: importing {short(name)}", IMPORT_SECONDS)
                try:
                    rewards[name] = UserReward(find(name, PARTS, "reward"), name)
                except InputError as error:
                    raise InputError(f"{where}: {error}") from error
    for trial in trials:
        announce(f"building task {trial.task!r}", TASK_SECONDS)
        prompt = first_prompt(build_spec(trial.task, trial.spec))
        for name in trial.reward.parts:
            if name in rewards:
                _call(rewards[name], trial, prompt, announce)


def first_prompt(task: Task) -> Prompt:
    """A training prompt, or a held-out one of a task that is not trained on."""
    try:
        return task.train(0)
    except InputError:  # a task may be there to be judged by alone
        return task.held_out("test", 1)[0]


def _call(reward: UserReward, trial: Trial, prompt: Prompt, announce: Announce) -> None:
    """A group of one completion; of two for a function of whole groups, which would hide a wrong length of one."""
    where = f"stages.{trial.stage}.reward.parts"
    text = marked(prompt.answer or "", trial.reward.answer_style)
    ids = tuple(range(len(text.split())))
    jobs = [Job(number, text, "stop", len(ids), ids) for number in range(2 if reward.grouped else 1)]
    announce(f"{where}: {reward.where}, tried on {prompt.id},", CALL_SECONDS)
    try:
        reward(prompt, jobs)
    except BaseException as error:
        raise InputError(f"{where}: {reward.told(error)} (tried on {prompt.id} and its reference answer)") from error
