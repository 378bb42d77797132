"""A process reward model of labelled steps, and an outcome reward model of the same solutions, which sees only how each
ended; both judged on prompts that are held out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from r1kit.errors import InputError
from r1kit.files import forgiving_lines, object_of
from r1kit.loops.preference import learn_items
from r1kit.loops.step_labels import LOG
from r1kit.maths.preference import calibration_error, reliability
from r1kit.seeds import shuffled
from r1kit.tasks.split import fraction
from r1kit.update.reward import Item

if TYPE_CHECKING:
    from r1kit.loops.prm_settings import PRM
    from r1kit.model.reward_model import RewardModel
    from r1kit.workspace import Workspace

__all__ = ["Sees", "items_of", "judge", "learnt", "read_labels", "split", "with_replay"]

Line = Mapping[str, Any]
Sees = Literal["process", "outcome"]


def read_labels(folder: Path) -> list[dict[str, Any]]:
    """Solutions that a part labelled.

    Raises:
        InputError: some of those that its result counts are not there.
    """
    path = folder / f"{LOG}.jsonl"
    found, torn = forgiving_lines(path)
    told = object_of((folder / "result.json").read_text(encoding="utf-8")) or {}
    if torn or len(found) != told.get("solutions"):
        raise InputError(
            f"{path} is damaged: {len(found)} solutions of {told.get('solutions')}; copy the run folder again, or "
            f"delete {folder} to label them again"
        )
    return found


def split(lines: Sequence[Line], share: float) -> tuple[list[Line], list[Line]]:
    """(to train on, held out): solutions of one cluster of prompts are on one side, and neither side is empty.

    Raises:
        InputError: they are of less than two clusters.
    """
    places = {line["cluster"]: fraction(f"steps {line['cluster']}", 0) for line in lines}
    if len(places) < 2:
        raise InputError(
            f"{len(lines)} labelled solutions are of {len(places)} problems, and a reward model needs one to train on "
            f"and another held out; raise labels.prompts"
        )
    least, *_, largest = sorted(places.values())
    sides: tuple[list[Line], list[Line]] = ([], [])
    for line in lines:
        place = places[line["cluster"]]
        sides[place == least or (place < share and place != largest)].append(line)
    return sides


def with_replay(new: Sequence[Line], old: Sequence[Line], share: float, seed: int) -> list[Line]:
    """New solutions, and so many old ones that these are ``share`` of all; as many as there are at most."""
    count = min(len(old), round(len(new) * share / (1 - share)))
    return [*new, *(old[place] for place in sorted(shuffled(len(old), seed)[:count]))]


def step_labels(line: Line, label: Literal["hard", "soft"]) -> list[float]:
    """Of each step; the last one's is the solution's own."""
    shares = [sum(hits) / len(hits) for hits in line["hits"]]
    return [*(float(share > 0) if label == "hard" else share for share in shares), float(line["right"])]


def items_of(lines: Sequence[Line], sees: Sees, label: Literal["hard", "soft"]) -> list[Item]:
    """Solutions as a reward model learns them: every step, or the last alone."""
    found = []
    for line in lines:
        first, labels = len(line["prompt_ids"]), step_labels(line, label)
        kept = slice(-1, None) if sees == "outcome" else slice(None)
        found.append(
            Item(
                rows=((*line["prompt_ids"], *line["token_ids"]),),
                ends=tuple(first + end for end in line["ends"][kept]),
                labels=tuple(labels[kept]),
            )
        )
    return found


def learnt(config: PRM, sees: Sees, model: RewardModel, lines: Sequence[Line], workspace: Workspace) -> None:
    """Train the model in place."""
    learn_items(config.model, sees, model, items_of(lines, sees, config.labels.label), workspace)


def judge(config: PRM, sees: Sees, model: RewardModel, lines: Sequence[Line], workspace: Workspace) -> dict[str, Any]:
    """How well the model does on solutions that it has not seen, the same on every rank; see ``summed_up``."""
    ranks, items = workspace.ranks, items_of(lines, sees, config.labels.label)
    hard = [step_labels(line, "hard")[-len(item.ends) :] for line, item in zip(lines, items, strict=True)]
    model.read = 0
    mine = items[ranks.rank :: ranks.size]
    found = model.steps_of(
        [item.rows[0] for item in mine], [item.ends for item in mine], config.model.micro_batch_tokens
    )
    workspace.spend_read({model.parameters: model.read}, evaluating=True)
    shares = [iter(share) for share in ranks.gather_objects(found)]
    predicted = [value for place in range(len(items)) for value in next(shares[place % ranks.size])]
    labels = [label for item in items for label in item.labels]
    return {"held_out": len(items), **summed_up(predicted, [bool(one) for row in hard for one in row], labels)}


def summed_up(predicted: Sequence[float], hard: Sequence[bool], labels: Sequence[float]) -> dict[str, Any]:
    """Of steps: predicted probability, hard label, the label that was learnt.

    ``accuracy``: share whose hard label is the likelier one; ``usual``: share of the more frequent hard label, which a
    constant would reach. ``auc``: chance that of a good and a bad step the good one has the higher score, ties half.
    ``brier``: mean squared distance from the label that was learnt. ``calibration_error``, ``reliability``: of the
    probability that the hard label is 1.
    """
    good = sum(hard) / len(hard)
    table = reliability(predicted, hard)
    return {
        "judged": len(hard),
        "accuracy": sum((value > 0.5) == one for value, one in zip(predicted, hard, strict=True)) / len(hard),
        "usual": max(good, 1 - good),
        "auc": _auc(predicted, hard),
        "brier": sum((value - one) ** 2 for value, one in zip(predicted, labels, strict=True)) / len(labels),
        "calibration_error": calibration_error(table),
        "reliability": table,
    }


def _auc(predicted: Sequence[float], hard: Sequence[bool]) -> float:
    """By ranks (Mann and Whitney): ties share theirs."""
    order = sorted(range(len(predicted)), key=predicted.__getitem__)
    rank_sum, first, good = 0.0, 0, sum(hard)
    while first < len(order):
        last = first
        while last + 1 < len(order) and predicted[order[last + 1]] == predicted[order[first]]:
            last += 1
        rank_sum += sum(hard[place] for place in order[first : last + 1]) * (first + last + 2) / 2
        first = last + 1
    bad = len(hard) - good
    return (rank_sum - good * (good + 1) / 2) / (good * bad) if good and bad else float("nan")
