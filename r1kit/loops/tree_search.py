"""Rounds of tree search and training: search training prompts, learn the chains and the values found, search again.

Every part of a round has its folder and is not done again after a kill: ``round-2/search`` leaves samples and values,
``round-2/actor`` and ``round-2/value`` the models that learnt them, ``round-2/evaluation`` the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from r1kit.backends.backend import backend_of
from r1kit.errors import InputError
from r1kit.evals.numbers import numbers
from r1kit.evals.transcripts import evaluation_lines
from r1kit.factory.samples import read_samples, write_samples
from r1kit.loops import sft
from r1kit.loops.mcts_settings import MCTS
from r1kit.loops.policy import save_checkpoint
from r1kit.loops.searching import Opened, everyones, mine_of, opened, training_prompts, value_model
from r1kit.loops.value_model import first_value, later_value
from r1kit.model.reward_model import RewardModel
from r1kit.records import Group, Prompt, Sample, Score, StageResult
from r1kit.resume import log_fault, log_marks
from r1kit.rollout.streams import stream_seed
from r1kit.search.calibrate import Example, calibration, examples_of_chains
from r1kit.search.compare import compare, shape_of, summed_up
from r1kit.search.controls import chains, paid_for
from r1kit.search.explore import grown, planted
from r1kit.search.player import Player, valuer_of
from r1kit.search.steps import Cutter
from r1kit.search.tree import Tree
from r1kit.search.value import ModelValue, is_right
from r1kit.workspace import Workspace

__all__ = ["improve"]

Numbers = dict[str, Any]
_Chain = tuple[str, str, Numbers]
"""A right chain: what it is called among its prompt's, its text, where it comes from."""
RECORDED = 8
"""Held-out problems whose chains are written out at every evaluation."""


def improve(config: MCTS, workspace: Workspace) -> StageResult:
    """The stage, whole."""
    workspace.begin()  # its logs are written again from the parts' results, which are kept
    start, name = workspace.start(config.start)
    actor, first = start, workspace.part("value-0", partial(first_value, config, start))
    value = first["checkpoint"]
    found = [_evaluated(config, 0, actor, value, {}, workspace)]
    for number in range(1, config.rounds + 1):
        searched = workspace.part(f"round-{number}/search", partial(_searched, config, number, actor, value))
        folder = _whole(workspace.folder / f"round-{number}" / "search", searched.pop("files", {}))
        kept = config.go_on_from == "last"
        learnt = workspace.part(f"round-{number}/actor", partial(_actor, config, folder, actor if kept else start))
        valued = workspace.part(
            f"round-{number}/value", partial(later_value, config, folder, value if kept else first["checkpoint"])
        )
        actor, value = str(workspace.run / learnt["checkpoint"]), valued["checkpoint"]
        found.append(_evaluated(config, number, actor, value, {**searched, **valued}, workspace))
    last = str(Path(actor).relative_to(workspace.run))
    return StageResult(metrics={"rounds": found, "value": value}, checkpoint=last, inputs=(name,))


# ---- a round ----------------------------------------------------------------------------------------------------


def _searched(config: MCTS, number: int, model: str, value: str, inner: Workspace) -> Numbers:
    """Trees of new training prompts: right chains as samples, or the control's, and visited prefixes as examples of the
    value model."""
    first = config.value.prompts + (number - 1) * config.prompts
    prompts = training_prompts(config, inner, first, config.prompts)
    mine = mine_of(list(enumerate(prompts)), inner)
    reader = value_model(value, inner)
    with opened(config, model, inner) as one:
        player = one.player
        trees = planted(
            [prompt for _, prompt in mine], player.render,
            lambda place: stream_seed(inner.seed, "search", number, mine[place][0]),
        )  # fmt: skip
        valuer = valuer_of(config.search, player, reader, ruled=True)
        grown(trees, config.search, player.engine, valuer, player.ends)
        late = [(tree, node) for tree in trees for node in tree.ended() if node.value is None]
        for (_, node), worth in zip(late, valuer.values(late), strict=True):
            node.value = worth
        whole = config.learns == "whole_chains"
        right = _whole_chains(trees, config, player) if whole else [_chains_of(tree, player) for tree in trees]
        kept = [
            [_sample(tree.prompt, f"{first + place}{name}", text, told) for name, text, told in found[: config.chains]]
            for (place, _), tree, found in zip(mine, trees, right, strict=True)
        ]
        values = [_values(tree, config.least_visits) for tree in trees]
    both = everyones(list(zip(kept, values, (tree.tokens for tree in trees), strict=True)), inner)
    shapes = inner.ranks.gather_objects((shape_of(trees), len(trees)))
    inner.spend_read({reader.parameters: reader.read})
    inner.spend(sampled=sum(tokens for _, _, tokens in both) * (2 if whole else 1))  # the control costs as much again
    if inner.is_writer:
        write_samples(inner.folder / "samples.jsonl", [one for chains, _, _ in both for one in chains])
        text = "".join(json.dumps(one) + "\n" for _, examples, _ in both for one in examples)
        (inner.folder / "values.jsonl").write_text(text, encoding="utf-8")
    inner.ranks.broadcast_object(None)
    count = sum(weight for _, weight in shapes)
    shape = {key: sum(one[key] * weight for one, weight in shapes) / count for key in shapes[0][0]}
    return {
        "solved_share": sum(bool(chains) for chains, _, _ in both) / len(both),
        "samples": sum(len(chains) for chains, _, _ in both),
        "search_tokens": sum(tokens for _, _, tokens in both) / len(both),
        **shape,
        "files": log_marks(inner.folder, None) if inner.is_writer else {},
    }


def _whole(folder: Path, files: Mapping[str, tuple[int, int]]) -> Path:
    """The folder of a round's search. Raises InputError where a file is not as it was written."""
    for name, (size, crc) in files.items():
        if why := log_fault(folder / name, size, crc):
            raise InputError(f"{why}; copy the run folder again, or delete {folder} to search again")
    return folder


def _chains_of(tree: Tree, player: Player) -> list[_Chain]:
    """Right chains of a tree; those with the most visits first."""
    right = sorted((node for node in tree.ended() if node.value == 1.0), key=lambda node: -node.visits)
    return [(node.name, player.decode(node.tokens), {"route": "mcts", "visits": node.visits}) for node in right]


def _whole_chains(trees: Sequence[Tree], config: MCTS, player: Player) -> list[list[_Chain]]:
    """The control: of chains that are drawn whole, as many as each tree's tokens pay for, those that are right."""
    drawn = chains(trees, replace(config.sampling, n=1), player.engine)
    groups = [
        Group(prompt=tree.prompt, prompt_ids=tree.prompt_ids, completions=tuple(some[: paid_for(tree, some)]))
        for tree, some in zip(trees, drawn, strict=True)
    ]
    return [
        [
            (f"/{place}", one.text, {"route": "whole_chain"})
            for place, (one, score) in enumerate(zip(group.completions, row, strict=True))
            if is_right(score) and one.finish == "stop"
        ]
        for group, row in zip(groups, player.grade(groups), strict=True)
    ]


def _sample(prompt: Prompt, name: str, response: str, provenance: Numbers) -> Sample:
    """``name`` tells apart chains of one prompt, which a small data set gives to more than one tree."""
    return Sample(
        id=f"{prompt.id}/{name}", prompt=prompt.question, response=response, domain=prompt.task,
        language=prompt.language, provenance=provenance, history=prompt.history,
    )  # fmt: skip


def _values(tree: Tree, least: int) -> list[Example]:
    """Prefixes with the mean of what came back through them."""
    return [
        (tree.prompt_ids + node.tokens, round(node.mean, 6))
        for node in tree.nodes()
        if node.visits >= least and not node.failed
    ]


def _actor(config: MCTS, data: Path, before: str, inner: Workspace) -> Numbers:
    """What the actor became by a round's right chains; as it was, where there are none."""
    samples = read_samples(data / "samples.jsonl")
    loaded = backend_of(inner.recipe, inner.ranks).load(before)
    inner.parameters = loaded.parameters
    if not samples:
        inner.say(f"{inner.stage}: {inner.name}: no tree holds a right chain, so the actor learns nothing")
        return {"checkpoint": save_checkpoint(inner, loaded)}
    settings = replace(config.actor, start=config.start, dtype=config.dtype, sampling=config.sampling)
    learner, _ = sft.train(settings, samples, loaded, inner)
    return {"checkpoint": save_checkpoint(inner, loaded, learner)}


# ---- evaluations ------------------------------------------------------------------------------------------------


def _evaluated(
    config: MCTS, number: int, actor: str, value: str, of_round: Mapping[str, Any], workspace: Workspace
) -> Numbers:  # fmt: skip
    """A round's numbers, written to the stage's logs as a line each."""
    found = workspace.part(f"round-{number}/evaluation", partial(_evaluation, config, number, actor, value))
    workspace.append("eval", found["lines"])
    told = {key: item for key, item in of_round.items() if key not in ("checkpoint", "seconds", "cost")}
    tasks = found["tasks"]
    line = {**_flat(list(tasks.values())), **told, "tokens_spent": workspace.cost["sampled_tokens"]}
    workspace.append("metrics", [{"step": number, "seconds": workspace.seconds, **line}])
    return {"round": number, **line, "tasks": tasks}


def _flat(tasks: Sequence[Mapping[str, Any]]) -> Numbers:
    """A round's numbers without a table in them, means over the tasks."""
    every = [
        {
            **{key: item for key, item in one.items() if isinstance(item, float)},
            **{f"{name}_accuracy": row["accuracy"] for name, row in one["methods"].items()},
            "search_found": one["methods"]["search"]["found"],
            "sampled_found": one["methods"]["majority"]["found"],
            "tokens_a_problem": one["methods"]["search"]["tokens"],
        }
        for one in tasks
    ]
    return {key: sum(one[key] for one in every) / len(every) for key in every[0]}


def _evaluation(config: MCTS, number: int, actor: str, value: str, inner: Workspace) -> Numbers:
    """Plain chains, the search and its controls on held-out problems of every task; the value model's calibration."""
    own = config.evaluation
    reader = value_model(value, inner)
    lines: list[Numbers] = []
    tasks: Numbers = {}
    value_of = ModelValue(reader, config.micro_batch_tokens)
    with opened(config, actor, inner) as one:
        for name in own.tasks or config.searched(inner.recipe):
            prompts = inner.recipe.task(name).held_out(own.split, own.limit)
            groups, scores, methods, shape = _played(config, name, prompts, one, reader, inner)
            diagnostics = one.verifier.diagnose_groups(groups)
            plain = numbers(groups, scores, diagnostics, own.budgets, resamples=own.resamples, seed=own.seed)
            lines.append({"step": number, "split": own.split, "seconds": inner.elapsed(), **plain})
            inner.append("rollouts", evaluation_lines(number, groups, scores, RECORDED, 2))
            clusters = [prompt.cluster or prompt.id for prompt in prompts]
            cutter = Cutter(one.player.tokenizer, config.search.steps)
            tasks[name] = {
                "plain_accuracy": plain["avg_at_k"],
                "plain_interval": plain["interval"],
                "methods": summed_up(methods, clusters),
                **shape,
                **_diversity(groups, scores),
                **calibration(value_of, examples_of_chains(groups, scores, cutter)),
            }
    inner.spend_read({reader.parameters: reader.read}, evaluating=True)
    return {"lines": lines, "tasks": tasks}


def _played(
    config: MCTS, name: str, prompts: Sequence[Prompt], one: Opened, reader: RewardModel, inner: Workspace
) -> tuple[list[Group], list[list[Score]], dict[str, list[Any]], dict[str, float]]:
    """(plain chains, their scores, what each method made of each problem, the trees' shape), of all ranks."""
    player, mine = one.player, mine_of(list(enumerate(prompts)), inner)
    trees = planted(
        [prompt for _, prompt in mine], player.render,
        lambda place: stream_seed(inner.seed, "held out", name, mine[place][0]),
    )  # fmt: skip
    valuer = valuer_of(config.search, player, reader, ruled=False)
    sampling = config.evaluation.draws(config.sampling)
    found = compare(trees, config.search, sampling, player.engine, valuer, player.grade, player.decode, player.ends)
    rows = {key: everyones(row, inner) for key, row in found.methods.items()}
    inner.spend(evaluated=sum(one.tokens for key, row in rows.items() if key in _DRAWN for one in row))
    shapes = inner.ranks.gather_objects((shape_of(trees), len(trees)))
    count = sum(weight for _, weight in shapes)
    shape = {key: sum(one[key] * weight for one, weight in shapes) / count for key in shapes[0][0]}
    return everyones(found.groups, inner), everyones(found.scores, inner), rows, shape


_DRAWN = ("search", "majority", "beam")
"""Methods that draw for themselves; the others judge the same chains."""


def _diversity(groups: Sequence[Group], scores: Sequence[Sequence[Score]]) -> dict[str, float]:
    """Of a problem's plain chains: different answers, different right answers, share of chains that no other equals."""
    answers = [len({score.answer for score in row if score.answer is not None}) for row in scores]
    right = [len({score.answer for score in row if is_right(score)}) for row in scores]
    texts = [len({one.token_ids for one in group.completions}) / len(group.completions) for group in groups]
    count = max(1, len(groups))
    return {
        "distinct_answers": sum(answers) / count,
        "distinct_right": sum(right) / count,
        "distinct_chains": sum(texts) / count,
    }
