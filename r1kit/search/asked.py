"""``r1 eval --search``: a search of held-out problems by any model, beside its controls at equal tokens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from r1kit.errors import InputError, MissingError
from r1kit.evals.evaluator import Evaluation
from r1kit.files import is_there
from r1kit.recipe import put_setting
from r1kit.records import Sampling
from r1kit.rollout.streams import stream_seed
from r1kit.search.compare import compare, shape_of, summed_up
from r1kit.search.explore import planted
from r1kit.search.player import Player, valuer_of
from r1kit.search.settings import Search
from r1kit.structure import plain, structure

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel
    from r1kit.contracts import Recipe
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.model.reward_model import RewardModel
    from r1kit.reward.settings import RewardConfig
    from r1kit.search.tree import Tree
    from r1kit.tasks.task import Task

__all__ = ["asked_search", "by_what", "evaluated", "told"]

ROWS = 256
"""Completions in flight."""

SHOWN = {
    "search": "tree search", "majority": "majority vote", "best_of_n": "best of N by value",
    "weighted": "vote by value", "beam": "beam search",
}  # fmt: skip


def by_what(text: str, config: Search) -> tuple[Search, Path | None]:
    """What ``--search`` names: ``rollouts``, ``none``, a value model's folder, or ``RUN:STAGE`` of a tree search.

    Raises:
        InputError: it is none of these, or the folder holds no value model.
        MissingError: the stage is not done yet.
    """
    if text == "rollouts":
        return replace(config, value="rollouts"), None
    if text == "none":
        return replace(config, value="none"), None
    folder = Path(text).expanduser()
    run, colon, stage = text.rpartition(":")
    if colon and not is_there(folder):
        done = sorted(Path(run).expanduser().glob(f"[0-9]*_{stage}/result.json"))
        if not done:
            raise MissingError(
                f"--search {text}: {run} has no finished stage {stage!r}; r1 status {run} says which are"
            )
        value = json.loads(done[0].read_text(encoding="utf-8"))["metrics"].get("value")
        if not isinstance(value, str):
            raise InputError(f"--search {text}: stage {stage!r} left no value model; a stage of kind mcts does")
        folder = Path(run).expanduser() / value
    if not (folder / "r1kit_reward.json").is_file():
        raise InputError(
            f"--search {text}: no value model there; give the folder of one (a stage of kind mcts leaves "
            f"NN_STAGE/round-N/value/checkpoint), RUN:STAGE of such a stage, rollouts or none"
        )
    return replace(config, value="model"), folder


def asked_search(
    value: str, settings: Sequence[str], recipe: Recipe, sampling: Sampling
) -> tuple[Search, Path | None]:  # fmt: skip
    """The search's settings and its value model's folder: those of the recipe's last stage that searches, else the
    defaults and the stage's longest completion, with the user's in their place.

    Args:
        value: what ``--search`` says.
        settings: ``KEY=VALUE`` each.
        recipe: of the model.
        sampling: of its stage.
    """
    own = [getattr(config, "search", None) for config in recipe.stages.values()]
    start = next((one for one in reversed(own) if isinstance(one, Search)), Search(max_tokens=sampling.max_tokens))
    table = plain(start)
    for each in settings:
        put_setting(table, each, "--search-set", "simulations=64")
    return by_what(value, structure(Search, table, "search"))


def fitting(search: Search, room: int, settings: Sequence[str], recipe: Recipe) -> Search:
    """With steps, and then chains, as long as fit, where nobody said how long: neither a stage nor the user.

    Args:
        search: that was asked for.
        room: tokens that the model's positions leave after the longest prompt.
        settings: ``KEY=VALUE`` of the user.
        recipe: of the model.

    Raises:
        InputError: what was said does not fit.
    """
    if search.max_tokens + search.steps.most <= room:
        return search
    said = any(each.split("=")[0].strip() in ("max_tokens", "steps", "steps.most") for each in settings)
    if said or room < 2 or any(isinstance(getattr(one, "search", None), Search) for one in recipe.stages.values()):
        raise InputError(
            f"search.max_tokens = {search.max_tokens} and a step of steps.most = {search.steps.most} tokens pass the "
            f"{room} that the model's positions leave after the longest prompt; lower them with --search-set "
            f"max_tokens=N --search-set steps.most=N"
        )
    most = min(search.steps.most, max(room - search.max_tokens, room // 4, 1))
    return replace(search, max_tokens=min(search.max_tokens, room - most), steps=replace(search.steps, most=most))


def _value_model(folder: Path, loaded: LoadedModel, model: str) -> RewardModel:
    """On the policy's device.

    Raises:
        InputError: it reads other tokens than the policy writes.
    """
    from r1kit.model.reward_model import RewardModel

    reader = RewardModel.open(folder)
    if not spelled_alike(loaded.tokenizer, reader.tokenizer):
        raise InputError(
            f"--search: the value model in {folder} reads other tokens than {model} writes; give one that was trained "
            f"on this model's chains, or rollouts or none"
        )
    reader.model.to(loaded.device)
    return reader


def spelled_alike(one: Any, other: Any) -> bool:
    """Whether each of two tokenizers' tokens is written alike in both."""
    return len(one) == len(other) and all(
        one.convert_ids_to_tokens(place) == other.convert_ids_to_tokens(place) for place in range(len(one))
    )


def marked(trees: Sequence[Tree], most: int) -> float:
    """Share of the steps, those that end a chain or fail aside, that a mark ended and not their length."""
    lengths = [
        len(node.tokens) - len(node.parent.tokens)
        for tree in trees
        for node in tree.nodes()
        if node.parent is not None and not node.closed
    ]
    return sum(length < most for length in lengths) / len(lengths) if lengths else 1.0


def evaluated(
    model: str, recipe: Recipe, reward: RewardConfig, own: Sampling, config: EvaluationConfig, task: Task, value: str,
    settings: Sequence[str], dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> tuple[Evaluation, EvaluationConfig, dict[str, Any]]:  # fmt: skip
    """Search and controls of held-out problems; nobody looks at an answer before all is drawn. The plain chains, the
    settings with ``max_tokens`` filled in, and under ``search`` a table: of each method what ``summed_up`` says, the
    trees' shape, the search's settings.

    Args:
        model: by name.
        recipe: whose task, template and seed count.
        reward: how an answer is read.
        own: of the model's stage.
        config: of the evaluation.
        task: that is evaluated.
        value: what ``--search`` says.
        settings: ``KEY=VALUE`` of the search.
        dtype: of the matrix products.
    """
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.backends.verifiers import open_verifier
    from r1kit.cluster.cores import cores

    search, folder = asked_search(value, settings, recipe, own)
    prompts, backend = task.held_out(config.split, config.limit), backend_of(recipe)
    torch.set_num_threads(cores())
    loaded = backend.load(model)
    reader = None if folder is None else _value_model(folder, loaded, model)
    room = loaded.positions - max((len(loaded.render(prompt)) for prompt in prompts), default=0)
    search = fitting(search, room, settings, recipe)
    config = replace(config, max_tokens=config.max_tokens or max(1, min(own.max_tokens, room)))
    with (
        open_verifier([task.name], recipe, reward, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype=dtype, max_rows=ROWS)) as engine,
    ):
        player = Player.of(engine, loaded, verifier.score_groups)
        trees = planted(prompts, player.render, lambda place: stream_seed(recipe.seed, "search", prompts[place].id))
        valuer = valuer_of(search, player, reader, ruled=False)
        found = compare(trees, search, config.draws(own), engine, valuer, player.grade, player.decode, player.ends)
        diagnostics = verifier.diagnose_groups(found.groups)
    clusters = [prompt.cluster or prompt.id for prompt in prompts]
    table = {
        "methods": summed_up(found.methods, clusters),
        "shape": shape_of(found.trees),
        "marked": marked(found.trees, search.steps.most),
        "settings": plain(search),
    }
    evaluation = Evaluation(groups=found.groups, scores=found.scores, diagnostics=diagnostics)
    return evaluation, config, {"search": table}


def told(table: dict[str, Any]) -> list[str]:
    """What the terminal says of it, a line each."""
    used = table["settings"]
    head = (
        f"search: {used['simulations']} simulations, {used['children']} children, value by {used['value']}, "
        f"prior by {used['prior']}; at equal tokens:"
    )
    rows = [
        f"{SHOWN[name]:<19}{row['accuracy']:.3f}  [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}]  "
        f"{row['tokens']:.0f} tokens, {row['ended']:.1f} chains, a right one among them {row['found']:.3f}"
        for name, row in table["methods"].items()
    ]
    if table["marked"] == 0.0:
        steps = used["steps"]
        rows.append(
            f"no step ended at one of the marks {', '.join(map(repr, steps['marks']))}: each was cut after steps.most "
            f"= {steps['most']} tokens; name what this model writes between steps: --search-set 'steps.marks=[\"...\"]'"
        )
    return [head, *rows]
