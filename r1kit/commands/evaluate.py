"""``r1 eval``: avg@k, cons@k and pass@k of a model on a task, with intervals (R1 paper, evaluation protocol)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from r1kit.commands.options import JsonFile

if TYPE_CHECKING:
    from r1kit.backends.models import LoadedModel
    from r1kit.commands.arguments import Subject
    from r1kit.evals.evaluator import Evaluation
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.reward.verifier import Verifying
    from r1kit.rollout.engine import Engine
    from r1kit.search.settings import Search

__all__ = ["evaluate"]

CACHE_BYTES = 4_000_000_000
"""Keys and values in flight stay below this."""
FEW_ROWS = 16
PROMPT_TOKENS = 256
"""Allowed for a prompt when rows in flight are counted."""


def evaluate(
    model: Annotated[str, typer.Argument(help="DIR:STAGE, a model folder, a hub name, a GGUF file or pypi:PACKAGE.")],
    task: Annotated[str, typer.Option(help="A task by name; r1 tasks lists the kinds.")],
    k: Annotated[int, typer.Option(help="Completions a problem.")] = 16,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    json_file: JsonFile = None,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest completion; 0: the stage's own, else 1024 or what fits.")
    ] = 0,
    split: Annotated[Literal["dev", "test"], typer.Option()] = "test",
    recipe: Annotated[str, typer.Option(help="Whose template, task and reward settings count.")] = "",
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    suffix: Annotated[str, typer.Option(help="Put after every question.")] = "",
    answer_style: Annotated[str, typer.Option(help="tag, boxed, last_number or last_line.")] = "",
    seed: Annotated[int | None, typer.Option(help="Of the sampling; default: the recipe's.")] = None,
    search: Annotated[
        str, typer.Option(help="Search by a value model (its folder, or RUN:STAGE of kind mcts), rollouts or none.")
    ] = "",
    search_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of the search: simulations=64.")
    ] = None,
) -> None:
    """Evaluate a model on held-out problems: avg@k, cons@k, pass@k with 95% intervals; with --search, tree search
    beside majority voting, best of N and beam search at equal tokens."""
    from r1kit.checkpoint.source import check_model
    from r1kit.commands.arguments import named_task, open_subject
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.files import check_writable, write_json

    check_writable(json_file)
    subject = open_subject(model, recipe, template, suffix, answer_style)
    named = named_task(task, subject.recipe)
    name, (kind, table) = named
    settings = replace(subject.recipe, tasks={name: table}, task_kinds={name: kind})
    subject = replace(subject, recipe=settings if seed is None else replace(settings, seed=seed))
    config = EvaluationConfig.final(
        tasks=(name,), k=k, limit=limit, split=split, temperature=temperature, top_p=top_p,
        max_tokens=max_tokens,
    )  # fmt: skip
    asked = _search(search, search_set or [], subject)
    check_model(model)
    found, config, more = _evaluated(subject, config, name, asked)
    line = {"model": model, "split": split, **_line(found, config), **more}
    typer.echo(_spelled(line, config))
    if asked is not None:
        from r1kit.search.asked import told

        typer.echo("\n".join(told(more["search"], asked[0])))
    if json_file:
        write_json(json_file, line)


def _search(value: str, settings: list[str], subject: Subject) -> tuple[Search, Path | None] | None:
    """The search's settings, and where its value model is; None: no search. Those of the model's stage count where it
    has some, and its longest completion."""
    from r1kit.errors import InputError
    from r1kit.recipe import put_setting
    from r1kit.search.asked import by_what
    from r1kit.search.settings import Search
    from r1kit.structure import plain, structure

    if not value:
        if settings:
            raise InputError("--search-set is for --search: say by what the search values, for example --search none")
        return None
    own = [getattr(config, "search", None) for config in subject.recipe.stages.values()]
    start = next((one for one in reversed(own) if isinstance(one, Search)), None)
    table = plain(start or Search(max_tokens=subject.sampling.max_tokens))
    for each in settings:
        put_setting(table, each)
    return by_what(value, structure(Search, table, "search"))


def _evaluated(
    subject: Subject, config: EvaluationConfig, name: str, asked: tuple[Search, Path | None] | None
) -> tuple[Evaluation, EvaluationConfig, dict[str, Any]]:
    """Sample and score; the settings, ``max_tokens`` filled in; and what a search found. What loads first fails first:
    task, then model."""
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.backends.verifiers import open_verifier
    from r1kit.cluster.cores import cores
    from r1kit.commands.arguments import longest_completion
    from r1kit.evals.evaluator import sample_evaluation
    from r1kit.reward.scorer import Scorer
    from r1kit.rollout.streams import stream_seed

    recipe, backend = subject.recipe, backend_of(subject.recipe)
    prompts = recipe.task(name).held_out(config.split, config.limit)
    torch.set_num_threads(cores())
    loaded = backend.load(subject.name)
    longest = longest_completion(subject.sampling, loaded.positions, map(loaded.render, prompts))
    config = replace(config, max_tokens=config.max_tokens or longest)
    assert loaded.folder is not None
    rows = _rows(loaded.folder, config.max_tokens)
    with (
        open_verifier([name], recipe, subject.reward, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype="auto", max_rows=rows)) as engine,
    ):
        if asked is not None:
            return _found(*asked, subject, config, name, loaded, engine, verifier)
        found = sample_evaluation(
            prompts,
            config.draws(subject.sampling),
            engine,
            Scorer(verifier=verifier),
            loaded.render,
            lambda index: stream_seed(recipe.seed, "evaluation", name, config.split, index),
            backend.ranks,
        )
    return found, config, {}


def _found(
    search: Search, folder: Path | None, subject: Subject, config: EvaluationConfig, name: str, loaded: LoadedModel,
    engine: Engine, verifier: Verifying,
) -> tuple[Evaluation, EvaluationConfig, dict[str, Any]]:  # fmt: skip
    """As ``_evaluated``, with the search: the plain chains are the first of those that the controls draw."""
    from typing import cast

    from r1kit.evals.evaluator import Evaluation
    from r1kit.search.asked import searched, table_of
    from r1kit.search.player import Player

    player = Player(
        engine=engine,
        tokenizer=cast(Any, loaded.tokenizer),
        ends=frozenset(loaded.stop_ids),
        render=loaded.render,
        grade=verifier.score_groups,
    )
    prompts = subject.recipe.task(name).held_out(config.split, config.limit)
    found = searched(
        prompts, search, config.draws(subject.sampling), player, folder, subject.recipe.seed, loaded.device
    )
    plain = Evaluation(groups=found.groups, scores=found.scores, diagnostics=verifier.diagnose_groups(found.groups))
    return plain, config, {"search": {**table_of(found), "settings": asdict(search)}}


def _rows(folder: Path, max_tokens: int) -> int:
    """Completions in flight, so that their cache fits."""
    from r1kit.errors import InputError
    from r1kit.plan.known import shape_of_hub

    try:
        a_row = shape_of_hub(folder / "config.json").cache_bytes(4) * (max_tokens + PROMPT_TOKENS)
    except InputError:  # another architecture: it may well run, only its cache is not known beforehand
        return FEW_ROWS
    return max(4, min(512, CACHE_BYTES // a_row))


def _line(found: Evaluation, config: EvaluationConfig) -> dict[str, Any]:
    """The fields of ``eval.jsonl``, the interval of pass@k, and how completions were drawn."""
    from r1kit.evals.interval import mean_interval
    from r1kit.evals.numbers import numbers, outcomes

    metrics = numbers(
        found.groups, found.scores, found.diagnostics, config.budgets, resamples=config.resamples, seed=config.seed
    )
    arrays = outcomes(found.groups, found.scores)
    passed = mean_interval(arrays.right.max(axis=1), arrays.clusters, config.resamples, config.seed)
    drawn = {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens}
    return {**metrics, "pass_interval": [passed.low, passed.high], **drawn}


def _spelled(line: dict[str, Any], config: EvaluationConfig) -> str:
    """What the terminal says."""
    k = line["k"]
    rows = [
        f"{name}@{k}".ljust(9) + f"{line[key]:.3f}  [{line[interval][0]:.3f}, {line[interval][1]:.3f}]"
        for name, key, interval in (
            ("avg", "avg_at_k", "interval"),
            ("cons", "cons_at_k", "cons_interval"),
            ("pass", "pass_at_k", "pass_interval"),
        )
        if line[key] is not None  # as of a task that grades nothing
    ]
    head = (
        f"{line['model']} on {line['task']} ({line['split']}): {line['problems']} problems x {k}, temperature "
        f"{config.temperature:g}, top-p {config.top_p:g}, at most {config.max_tokens} tokens"
    )
    tail = (
        f"{line['response_tokens']:.1f} tokens a response, format {line['format_rate']:.3f}, "
        f"cut short {line['truncated_share']:.3f}, not judged {line['failed_share']:.3f}"
    )
    return "\n".join((head, *rows, tail))
