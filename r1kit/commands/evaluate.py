"""``r1 eval``: avg@k, cons@k and pass@k of a model on a task, with intervals (R1 paper, evaluation protocol)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from r1kit.commands.options import JsonFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from r1kit.commands.arguments import Subject
    from r1kit.contracts import Recipe
    from r1kit.evals.evaluator import Evaluation
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.records import Prompt
    from r1kit.stages.evaluate import Config as Stage

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
    paraphrases: Annotated[
        list[str] | None, typer.Option(help="Ask in other words too: nano, english, or a text with {question}; repeat.")
    ] = None,
    shots: Annotated[int, typer.Option(min=0, help="Ask with so many worked examples too.")] = 0,
    examples: Annotated[str, typer.Option(help="With --shots: a file of samples; default: of the task's own.")] = "",
    seed: Annotated[int | None, typer.Option(help="Of the sampling; default: the recipe's.")] = None,
) -> None:
    """Evaluate a model on held-out problems: avg@k, cons@k, pass@k with 95% intervals."""
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
    stage = _asking(subject.recipe, tuple(paraphrases or ()), shots, examples)
    stage.check_asked("r1 eval", subject.recipe)
    check_model(model)
    found, others, config = _evaluated(subject, config, name, stage)
    line = {"model": model, "split": split, **_line(found, config), **_otherwise(found, others, config)}
    typer.echo("\n".join((_spelled(line, config), *_told_otherwise(line))))
    if json_file:
        write_json(json_file, line)


def _asking(recipe: Recipe, texts: tuple[str, ...], shots: int, examples: str) -> Stage:
    """How else to ask, as a stage's settings: examples are written as the recipe's own evaluation writes them."""
    from r1kit.stages.evaluate import Config as Stage

    own = next((config for config in recipe.stages.values() if isinstance(config, Stage)), Stage())
    shown = replace(own.few_shot, shots=shots, path=examples or own.few_shot.path)
    return Stage(paraphrases=texts, few_shot=shown, template_tasks=tuple(recipe.tasks))


def _evaluated(
    subject: Subject, config: EvaluationConfig, name: str, stage: Stage
) -> tuple[Evaluation, dict[str, Evaluation], EvaluationConfig]:
    """Sample and score, in the recipe's prompt and, by name, in others; and the settings, ``max_tokens`` filled in.
    What loads first fails first: task, then model."""
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.backends.verifiers import open_verifier
    from r1kit.cluster.cores import cores
    from r1kit.commands.arguments import longest_completion
    from r1kit.evals.evaluator import sample_evaluation
    from r1kit.reward.scorer import Scorer
    from r1kit.rollout.streams import stream_seed
    from r1kit.stages.evaluate import ways_to_ask

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

        def asked(render: Callable[[Prompt], Sequence[int]]) -> Evaluation:
            return sample_evaluation(
                prompts,
                config.draws(subject.sampling),
                engine,
                Scorer(verifier=verifier),
                render,
                lambda index: stream_seed(recipe.seed, "evaluation", name, config.split, index),
                backend.ranks,
            )

        ways = ways_to_ask(stage, loaded, recipe.built((name,)), recipe.seed)
        return asked(loaded.render), {way: asked(render) for way, _, render in ways}, config


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
    from r1kit.evals.thinking import easy_tokens, is_easy

    metrics = numbers(
        found.groups, found.scores, found.diagnostics, config.budgets, resamples=config.resamples, seed=config.seed
    )
    arrays = outcomes(found.groups, found.scores)
    passed = mean_interval(arrays.right.max(axis=1), arrays.clusters, config.resamples, config.seed)
    drawn: dict[str, Any] = {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": config.max_tokens}
    if metrics["solved_tokens_per_problem"] is not None:
        easy = is_easy([group.prompt for group in found.groups], metrics["per_problem"], config)
        drawn["easy_tokens"] = easy_tokens(metrics, easy)
    return {**metrics, "pass_interval": [passed.low, passed.high], **drawn}


def _otherwise(found: Evaluation, others: Mapping[str, Evaluation], config: EvaluationConfig) -> dict[str, Any]:
    """What the same problems give in other words, and with examples; empty where nothing else was asked."""
    from r1kit.evals.numbers import numbers
    from r1kit.evals.paired import paired_difference
    from r1kit.evals.prompting import sensitivity

    def told(one: Evaluation) -> dict[str, Any]:
        return numbers(one.groups, one.scores, resamples=config.resamples, seed=config.seed)

    lines = {way: told(one) for way, one in others.items()}
    own, shown, line = told(found), lines.pop("few_shot", None), dict[str, Any]()
    if lines and own["avg_at_k"] is not None:
        averages = {way: one["avg_at_k"] for way, one in lines.items()}
        line |= {"templates": averages, **sensitivity({"": own["avg_at_k"], **averages})}
    if shown and own["avg_at_k"] is not None:
        clusters = [group.prompt.cluster or group.prompt.id for group in found.groups]
        line["few_shot"] = {
            **{name: shown[name] for name in ("avg_at_k", "interval", "response_tokens")},
            "minus_zero_shot": paired_difference(shown["per_problem"], own["per_problem"], clusters),
        }
    return line


def _told_otherwise(line: dict[str, Any]) -> list[str]:
    """The terminal's lines on it, on languages where there are several, and on the length of what is easy."""
    found = []
    if line.get("easy_tokens") is not None:
        found.append(f"{line['easy_tokens']:.1f} tokens a solved easy problem")
    if len(line["by_language"]) > 1:
        found += [
            f"questions in {language}: {one['problems']}, avg@{line['k']} {one['avg_at_k']:.3f}, "
            f"language consistency {one['language_consistency']:.3f}"
            for language, one in line["by_language"].items()
            if one["language_consistency"] is not None
        ]
    if "templates" in line:
        found.append(
            f"{1 + len(line['templates'])} templates: worst {line['worst_template']:.3f}, mean "
            f"{line['mean_template']:.3f}, spread {line['template_spread']:.3f}"
        )
        found += [f"  {average:.3f}  {text!r}" for text, average in line["templates"].items()]
    if "few_shot" in line:
        one, minus = line["few_shot"], line["few_shot"]["minus_zero_shot"]
        low, high = minus["interval"]
        found.append(
            f"with examples {one['avg_at_k']:.3f}, less zero-shot {minus['difference']:+.3f}  [{low:.3f}, {high:.3f}]"
        )
    return found


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
