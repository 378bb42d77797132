"""Rollouts of which some are out: dealt, and not learnt from yet. How those survive a kill."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from r1kit.loops.dealing import Scored
from r1kit.loops.rollouts import PromptStream, Rollouts
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.resume import Resumable
from r1kit.structure import structure

__all__ = ["InFlight", "Out", "read", "settle", "write"]


@dataclass(eq=False, slots=True, kw_only=True)
class Out:
    number: int
    """Running number of the prompt in the stage."""
    prompt: Prompt
    step: int
    """That it was dealt for."""
    due: int
    """Last step that may learn from what the engine makes of it."""
    rank: int
    """That asks and scores."""
    asked: Future[tuple[Completion, ...]] | None = None
    """On this prompt's rank, once it was."""
    scored: Future[Scored] = field(default_factory=Future)
    """The group, and its scores by the rules."""
    group: Group | None = None
    """What was sampled, where that is known before its scores are."""
    verdict: Future[list[Score]] | None = None
    """What the verifier was asked for, where it may be taken back."""
    sampled: float = 0.0
    """When its last completion ended, by the monotonic clock."""

    @property
    def ended(self) -> bool:
        return self.scored.done()


@dataclass(frozen=True, slots=True)
class InFlight(Rollouts):
    """``Rollouts`` of which some outlive the step that they were dealt in."""

    FILES: ClassVar[str]
    """Of a resume point, one a rank: what their names begin with."""

    out: list[Out] = field(default_factory=list)
    """Those of all ranks, in the order they were dealt; those of others without their completions."""

    def beside(self, learner: Resumable) -> Resumable:
        """What survives a kill: the learner, and what is out."""
        return _Beside(self, learner)

    def stop(self, step: int) -> None:
        """Nothing is waited for any more."""
        for one in self.out:
            if one.asked:
                one.asked.cancel()
        stopped = [one.number for one in self.out]
        self.policy.workspace.append("prompts", [{"step": step, "dealt": [], "stopped": stopped}])
        self.out.clear()

    def mine(self, of: Sequence[Out]) -> list[Out]:
        """Those of this rank."""
        return [one for one in of if one.rank == self.policy.workspace.ranks.rank]

    def lacking(self, rank: int, wanted: int) -> list[int]:
        """A rank, once for each prompt that it has out too few."""
        return [rank] * (wanted - sum(one.rank == rank for one in self.out))

    def deal(self, stream: PromptStream, step: int, ranks: Sequence[int], due: int) -> list[Out]:
        """The next prompts for a step, one for each of the ranks that are named; the same on every rank."""
        dealt = stream.take(self.tasks_at(step), len(ranks))
        new = [
            Out(number=number, prompt=prompt, step=step, due=due, rank=rank)
            for (number, prompt), rank in zip(dealt, ranks, strict=True)
        ]
        self.out.extend(new)
        return new

    def with_models(self, mine: Sequence[Out]) -> list[Scored]:
        """The groups of these prompts, which have ended, with all of their scores."""
        found, scorer = [one.scored.result() for one in mine], self.policy.scorer
        scores = scorer.with_models([group for group, _ in found], [rules for _, rules in found])
        self.policy.workspace.spend_read(scorer.read())
        return [(group, own) for (group, _), own in zip(found, scores, strict=True)]

    def before_save(self, mine: Sequence[Out]) -> None:
        """What a resume point waits for."""

    def after_load(self, mine: Sequence[Out]) -> None:
        """What a run that goes on does with what it had out."""


class _Beside:
    """A learner and what is out, as one resume point."""

    def __init__(self, rollouts: InFlight, learner: Resumable) -> None:
        self._rollouts, self._learner, self._ranks = rollouts, learner, rollouts.policy.workspace.ranks

    def save(self, folder: Path) -> None:
        self._learner.save(folder)
        mine = self._rollouts.mine(self._rollouts.out)
        self._rollouts.before_save(mine)
        self._ranks.broadcast_object(None)  # the folder is there
        write(folder / f"{self._rollouts.FILES}{self._ranks.rank}.pt", mine)
        self._ranks.gather_objects(None)

    def load(self, folder: Path) -> None:
        self._learner.load(folder)
        self._rollouts.out[:] = read(folder, self._rollouts.FILES, self._ranks.size)
        self._rollouts.after_load(self._rollouts.mine(self._rollouts.out))


def settle(to: Future[Scored], group: Group, scores: Future[list[Score]]) -> None:
    """On the verifier's thread: what became of a group."""
    if scores.cancelled():
        to.cancel()
    elif (error := scores.exception()) is not None:
        to.set_exception(error)
    else:
        to.set_result((group, scores.result()))


def write(path: Path, out: Sequence[Out]) -> None:
    """What a rank has out, with the completions and scores of what has ended."""
    torch.save([_table(one) for one in out], path)


def read(folder: Path, name: str, size: int) -> list[Out]:
    """What all ranks had out, in the order it was dealt: each rank's own again, or, where there were more or fewer
    ranks, dealt to them in turn.

    Args:
        name: of the files, before the rank.
        size: ranks now.
    """
    files = list(folder.glob(f"{name}*.pt"))
    kept = {path.stem for path in files} == {f"{name}{rank}" for rank in range(size)}
    tables = [
        (table, int(path.stem.removeprefix(name))) for path in files for table in torch.load(path, weights_only=True)
    ]
    tables.sort(key=lambda told: told[0]["number"])
    return [_out(table, rank if kept else place % size) for place, (table, rank) in enumerate(tables)]


def _table(one: Out) -> dict[str, Any]:
    table = {"number": one.number, "step": one.step, "due": one.due, "prompt": asdict(one.prompt)}
    group = one.group
    if one.ended and not one.scored.cancelled() and one.scored.exception() is None:
        group, scores = one.scored.result()
        table["scores"] = [asdict(score) for score in scores]
    if group is not None:
        table["prompt_ids"] = list(group.prompt_ids)
        table["completions"] = [_written(completion) for completion in group.completions]
    return table


def _written(completion: Completion) -> dict[str, Any]:
    bare = asdict(replace(completion, token_ids=(), logprobs=()))
    tokens, logprobs = torch.tensor(completion.token_ids), torch.tensor(completion.logprobs, dtype=torch.float64)
    return {**bare, "token_ids": tokens, "logprobs": logprobs}


def _out(table: dict[str, Any], rank: int) -> Out:
    prompt = structure(Prompt, table["prompt"], "prompt")
    one = Out(number=table["number"], prompt=prompt, step=table["step"], due=table["due"], rank=rank)
    if "completions" in table:
        completions = tuple(_completion(**written) for written in table["completions"])
        group = Group(prompt=prompt, prompt_ids=tuple(table["prompt_ids"]), completions=completions)
        one.group = group
    if "scores" in table:
        assert one.group is not None
        one.scored.set_result((one.group, [structure(Score, score, "score") for score in table["scores"]]))
    return one


def _completion(token_ids: Tensor, logprobs: Tensor, spans: Sequence[Sequence[int]], **rest: Any) -> Completion:
    return Completion(
        token_ids=tuple(token_ids.tolist()),
        logprobs=tuple(logprobs.tolist()),
        spans=tuple((version, tokens) for version, tokens in spans),
        **rest,
    )
