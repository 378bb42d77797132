"""An advantage and a loss of a user's own, in place of the group's mean and of the clipped surrogate.

Both are called in the training process, on every rank, and must give the same for the same arguments: then a run that
is killed goes on bit for bit, and all ranks learn the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from r1kit.errors import InputError, nearest
from r1kit.faults import parameters_of
from r1kit.maths.loss_terms import LossTerms, TokenLoss
from r1kit.maths.policy_loss import from_settings
from r1kit.maths.settings import PolicyLoss
from r1kit.records import Group, Score
from r1kit.registry import find, short

__all__ = ["ADVANTAGES", "OwnAdvantage", "loss_of"]

ADVANTAGES = {"group_relative": "r1kit.maths.advantage:group_relative"}
LARGEST = torch.finfo(torch.float32).max
LOSSES = {"policy_loss": "r1kit.maths.policy_loss:policy_loss"}


class OwnAdvantage:
    """A user's ``f(rewards, ...) -> list``; it asks by name for what it needs.

    ``rewards`` are the totals of a group's completions, ``group`` and ``scores`` its ``records.Group`` and
    ``records.Score``, ``step`` counts from 0. It gives a number a completion, or a list of one a token.

    Raises:
        InputError: there is no such function, or it asks for something else.
    """

    def __init__(self, reference: str) -> None:
        self.where = short(reference)
        self.function: Callable[..., Any] = find(reference, ADVANTAGES, "advantage")
        there = ("rewards", "group", "scores", "step")
        parameters = parameters_of(self.function, self.where, "f(rewards)")
        self.asks = [name for name in parameters if name in there]
        for name, each in parameters.items():
            if name not in there and each.default is each.empty and each.kind is not each.VAR_KEYWORD:
                raise InputError(
                    f"{self.where} asks for {name!r}; an advantage may ask for {', '.join(there)}."
                    f"{nearest(name, there)}"
                )

    def __call__(self, group: Group, scores: Sequence[Score], step: int) -> list[Tensor] | Tensor:
        """float32 [G], or one [n] a completion.

        Raises:
            InputError: it gave something else, or a number that is not finite.
        """
        there = {"rewards": [score.total for score in scores], "group": group, "scores": list(scores), "step": step}
        found = self.function(**{name: there[name] for name in self.asks})
        lengths = [len(completion.token_ids) for completion in group.completions]
        values = [_listed(value) for value in self._many(_listed(found), len(lengths), "completions")]
        if not any(isinstance(value, list) for value in values):
            return torch.tensor([self._number(value) for value in values])
        return [
            torch.tensor([self._number(each) for each in self._many(value, length, "tokens")])
            if isinstance(value, list)
            else torch.full((length,), self._number(value))
            for value, length in zip(values, lengths, strict=True)
        ]

    def _many(self, found: Any, count: int, of: str) -> list[Any]:
        if not isinstance(found, list):
            raise InputError(
                f"{self.where} gave a {type(found).__name__}; an advantage is a list, a number a completion"
            )
        if len(found) != count:
            raise InputError(f"{self.where} gave {len(found)} advantages for {count} {of}; give each one")
        return found

    def _number(self, value: Any) -> float:
        value = _listed(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
            raise InputError(f"{self.where} gave {str(value)[:60]!r}; an advantage is a finite number")
        return float(value)


def loss_of(settings: PolicyLoss) -> TokenLoss:
    """The loss that settings say: ours with its numbers filled in, or a user's ``f(terms, settings)``.

    A user's gives the loss of each token, a tensor [M], or that and a mapping of tensors [M] to log.

    Raises:
        InputError: there is no such function; when it is called, that it gave something else.
    """
    if settings.function in LOSSES:
        return from_settings(settings)
    function, where = find(settings.function, LOSSES, "loss"), short(settings.function)
    if len(parameters_of(function, where, "f(terms, settings)", named=False)) != 2:
        raise InputError(f"{where} is not a loss: write f(terms, settings)")

    def own(terms: LossTerms) -> tuple[Tensor, Mapping[str, Tensor]]:
        found = function(terms, settings)
        loss, logged = found if isinstance(found, tuple) and len(found) == 2 else (found, {})
        if not isinstance(logged, Mapping):
            raise InputError(f"{where} gave a {type(logged).__name__} beside its loss; give tensors by name to log")
        for name, value in {"": loss, **logged}.items():
            if not isinstance(value, Tensor) or value.shape != terms.logprobs.shape:
                raise InputError(
                    f"{where} gave {name or 'a loss'} of {getattr(value, 'shape', type(value).__name__)}; it gives a "
                    f"tensor of {terms.logprobs.shape}, one value a token, not yet weighted or summed"
                )
        return loss, {name: value.detach().float() for name, value in logged.items()}

    return own


def _listed(value: Any) -> Any:
    """Of numpy or torch as Python's own; a tuple as a list."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, tuple) else value
