"""``r1 check`` tries a user's advantage and loss in a process of its own, on made-up rewards of a real prompt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from r1kit.apart import Announce, run_apart
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.faults import users_told
from r1kit.loops.settings import RL
from r1kit.maths.settings import PolicyLoss
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.registry import IMPORT_SECONDS, short
from r1kit.reward.trial import TASK_SECONDS, first_prompt
from r1kit.tasks import Spec, build_spec

if TYPE_CHECKING:
    from r1kit.loops.own import OwnAdvantage
    from r1kit.maths.loss_terms import TokenLoss

__all__ = ["LossTrial", "attempt", "trials_of", "try_losses"]

OURS = PolicyLoss()


@dataclass(frozen=True, slots=True, kw_only=True)
class LossTrial:
    """A stage's loss on one of its tasks."""

    where: str
    loss: PolicyLoss
    task: str
    spec: Spec
    n: int
    """Completions of a group."""


def try_losses(recipe: Recipe) -> None:
    """Try every advantage and loss of a user's own that a stage names.

    Raises:
        InputError: one line on the first that cannot be imported, raises, does not come back or gives something else.
    """
    if trials := list(trials_of(recipe)):
        run_apart("r1kit.loops.own_trial:attempt", trials, memory_bytes=0)


def trials_of(recipe: Recipe) -> Iterator[LossTrial]:
    """One for each RL table that names an advantage or a loss of a user's own."""
    for stage, config in recipe.stages.items():
        for where, held in ((f"stages.{stage}", config), (f"stages.{stage}.rl", getattr(config, "rl", None))):
            if not isinstance(held, RL):
                continue
            if (held.loss.advantage, held.loss.function) != (OURS.advantage, OURS.function):
                for task in recipe.tasks_of(stage)[:1]:
                    yield LossTrial(
                        where=f"{where}.loss", loss=held.loss, task=task, spec=recipe.spec(task), n=held.sampling.n
                    )


def attempt(trials: list[LossTrial], announce: Announce) -> None:
    """In the process: every function once."""
    announce("importing torch", IMPORT_SECONDS)
    from r1kit.loops.own import OwnAdvantage, loss_of

    for trial in trials:
        if trial.loss.advantage != OURS.advantage:
            announce(f"building task {trial.task!r}", TASK_SECONDS)
            prompt = first_prompt(build_spec(trial.task, trial.spec))
            with _tried(f"{trial.where}.advantage", trial.loss.advantage, announce):
                _judge(OwnAdvantage(trial.loss.advantage), prompt, trial.n)
        if trial.loss.function != OURS.function:
            with _tried(f"{trial.where}.function", trial.loss.function, announce):
                _descend(loss_of(trial.loss), short(trial.loss.function))


@contextmanager
def _tried(where: str, name: str, announce: Announce) -> Iterator[None]:
    """Around the import of a function and a call of it: what goes wrong is told behind its setting."""
    announce(f"{where}: {short(name)}", IMPORT_SECONDS)
    try:
        with users_told(where):
            yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _judge(advantage: OwnAdvantage, prompt: Prompt, n: int) -> None:
    """A group of mixed rewards and lengths, and one whose completions all earn the same."""
    for rewards in ([float(i % 2) for i in range(n)], [0.0] * n):
        written = (Completion(token_ids=(0,) * (i % 3 + 1), logprobs=(), text="", finish="stop") for i in range(n))
        group = Group(prompt=prompt, prompt_ids=(0,), completions=tuple(written))
        advantage(group, [Score(total=reward, parts={"accuracy": reward}) for reward in rewards], 0)


def _descend(loss: TokenLoss, where: str) -> None:
    """Two rows of two tokens, off policy: the loss must have a finite gradient."""
    import torch

    from r1kit.maths.loss_terms import LossTerms

    old, rows = torch.tensor([-0.5, -1.0, -2.0, -0.1]), torch.tensor([0, 0, 1, 1])
    logprobs = (old + 0.1).requires_grad_()
    terms = LossTerms(
        logprobs=logprobs, old_logprobs=old, sampler_logprobs=old, reference_logprobs=old - 0.1,
        advantages=torch.tensor([1.0, 1.0, -1.0, -1.0]), row_ids=rows,
    )  # fmt: skip
    total = loss(terms)[0].sum()
    if not total.requires_grad:
        raise InputError(f"{where}: its loss has no gradient; compute it from terms.logprobs without detach or item")
    total.backward()
    if logprobs.grad is None or not bool(logprobs.grad.isfinite().all()):
        raise InputError(f"{where}: the gradient of its loss by terms.logprobs is missing or not finite")
