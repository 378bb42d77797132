"""A prompt that is out: dealt, and not learnt from yet. How those that are survive a kill."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from r1kit.loops.dealing import Scored
from r1kit.records import Completion, Group, Prompt, Score
from r1kit.structure import structure

__all__ = ["Out", "read", "settle", "write"]


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
