"""``r1 eval``: avg@k, cons@k and pass@k of a model on a task, with intervals (R1 paper, evaluation protocol)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from r1kit.commands.options import JsonFile, spelled_out
from r1kit.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from r1kit.commands.arguments import Subject
    from r1kit.evals.evaluator import Evaluation
    from r1kit.evals.settings import EvaluationConfig
    from r1kit.records import Prompt
    from r1kit.stages.evaluate import Config as Stage
    from r1kit.tasks.task import Task

__all__ = ["evaluate"]

CACHE_BYTES = 4_000_000_000
"""Keys and values in flight stay below this."""
FEW_ROWS = 16
PROMPT_TOKENS = 256
"""Allowed for a prompt when rows in flight are counted."""
K = 16
"""Completions a problem, where neither the user nor the benchmark says."""
KEY = "OPENAI_API_KEY"
"""Environment variable with the key of an address."""


def evaluate(
    model: Annotated[
        str, typer.Argument(help="DIR:STAGE, a model folder, a hub name, a GGUF file or pypi:PACKAGE.")
    ] = "",
    task: Annotated[str, typer.Option(help="A task by name; r1 tasks lists the kinds.")] = "",
    k: Annotated[int, typer.Option(min=0, help="Completions a problem; 0: the benchmark's own, else 16.")] = 0,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    json_file: JsonFile = None,
    temperature: Annotated[float, typer.Option(min=0.0)] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.95,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest completion; 0: the benchmark's or stage's own, else 1024 or what fits.")
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
    dtype: Annotated[Literal["auto", "float32", "bfloat16"], typer.Option(help="Of the products.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the task.")] = None,
    against: Annotated[
        str, typer.Option(help="Another model, or a FILE that --json wrote: the paired difference.")
    ] = "",
    address: Annotated[str, typer.Option(help=f"An OpenAI-compatible URL in place of a model; key: ${KEY}.")] = "",
    served: Annotated[str, typer.Option("--model", help="The model's name at --address.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Questions out at a time, with --address.")] = 8,
    out: Annotated[
        Path | None,
        typer.Option(callback=spelled_out, help="Folder for lm-evaluation-harness's samples and results files."),
    ] = None,
    search: Annotated[
        str, typer.Option(help="Tree search by a value model (a folder, or RUN:STAGE of kind mcts), rollouts or none.")
    ] = "",
    search_set: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A setting of the search: simulations=64.")
    ] = None,
) -> None:
    """Evaluate a model on held-out problems: avg@k, cons@k, pass@k with 95% intervals."""
    asks = _Asks(
        task=task, k=k, limit=limit, temperature=temperature, top_p=top_p, max_tokens=max_tokens, split=split,
        seed=seed, subject=(recipe, template, suffix, answer_style), settings=tuple(set_ or ()), out=out,
        address=address, concurrency=concurrency, paraphrases=tuple(paraphrases or ()), shots=shots, examples=examples,
        search=(search, tuple(search_set or ())), dtype=dtype,
    )  # fmt: skip
    _check(asks, model, served, against, json_file)
    one = asks.judge(served, address) if address else asks.judge(model)
    _compare_and_write(one, asks, against, json_file)


def _check(asks: _Asks, model: str, served: str, against: str, json_file: Path | None) -> None:
    """Before anything is loaded."""
    from r1kit.checkpoint.source import check_model
    from r1kit.evals.address import base_of
    from r1kit.evals.told import read_line
    from r1kit.files import check_text, check_writable

    check_writable(json_file)
    check_writable(asks.out and asks.out / "results.json")
    for text in asks.paraphrases:
        check_text(text, "--paraphrases")
    if not asks.task:
        raise InputError("name a task: --task NAME; r1 tasks lists the kinds")
    if bool(asks.address) == bool(model) or bool(asks.address) != bool(served):
        raise InputError("name either a MODEL, or --address URL with --model NAME, as the server at that URL calls it")
    if asks.address:
        base_of(asks.address)
        if asks.paraphrases or asks.shots or asks.dtype != "auto":
            raise InputError("--paraphrases, --shots and --dtype are of a model that runs here, not behind --address")
    if asks.examples and not asks.shots:
        raise InputError("--examples is for --shots: say how many of them are shown, for example --shots 1")
    if asks.search[1] and not asks.search[0]:
        raise InputError("--search-set is for --search: say by what it values, for example --search none")
    if asks.search[0] and (asks.address or asks.out or asks.paraphrases or asks.shots):
        raise InputError("--search takes a model that runs here, and neither --out nor --paraphrases nor --shots")
    if Path(against).suffix == ".json":
        read_line(Path(against).expanduser())
    elif against:
        check_model(against)


def _compare_and_write(one: _Judged, asks: _Asks, against: str, json_file: Path | None) -> None:
    from r1kit.evals import told
    from r1kit.evals.otherwise import told_otherwise
    from r1kit.files import write_json

    typer.echo("\n".join((told.spelled(one.line), *told_otherwise(one.line))))
    line = one.line
    if "search" in line:
        from r1kit.search.asked import told as searched

        typer.echo("\n".join(searched(line["search"])))
    file = Path(against).suffix == ".json"
    other = told.read_line(Path(against).expanduser()) if file else {}  # --json may name the same file
    if json_file:  # before the comparison, which may end in a line
        write_json(json_file, line)
    if against:
        other = other or asks.judge(against).line
        clusters = [group.prompt.cluster or group.prompt.id for group in one.found.groups]
        found = told.against(line, other, clusters)
        if not file:
            typer.echo(told.spelled(other))
        typer.echo(told.difference(line, other, found))
        if json_file:
            write_json(json_file, {**line, "against": found})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    line: dict[str, Any]
    found: Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    """How a model is asked, whichever it is."""

    task: str
    k: int
    limit: int | None
    temperature: float
    top_p: float
    max_tokens: int
    split: Literal["dev", "test"]
    seed: int | None
    subject: tuple[str, str, str, str]
    """Recipe, template, suffix and answer style, as the user named them."""
    settings: tuple[str, ...]
    """``KEY=VALUE`` of the task."""
    out: Path | None
    address: str
    concurrency: int
    dtype: Literal["auto", "float32", "bfloat16"]
    """Of the matrix products of a model that is opened here."""
    paraphrases: tuple[str, ...]
    shots: int
    examples: str
    search: tuple[str, tuple[str, ...]]
    """What a search values by, empty: none is made; and ``KEY=VALUE`` of it."""

    def judge(self, model: str, address: str = "") -> _Judged:
        """Sample and score; ``out`` is written."""
        from r1kit.commands.arguments import named_task, open_subject
        from r1kit.evals.harness import write_harness
        from r1kit.evals.otherwise import otherwise
        from r1kit.evals.told import evaluation_line

        subject = open_subject("" if address else model, *self.subject)
        name, (kind, table) = named_task(self.task, subject.recipe, self.settings)
        settings = replace(subject.recipe, tasks={name: table}, task_kinds={name: kind})
        subject = replace(subject, recipe=settings if self.seed is None else replace(settings, seed=self.seed))
        task = settings.task(name)
        config, subject = self._config(task, subject)
        stage = self._stage(subject)
        others: dict[str, Evaluation] = {}
        searched: dict[str, Any] = {}
        if address:
            found, config, asked = self._behind(address, model, subject, config, task)
        elif self.search[0]:
            from r1kit.search.asked import evaluated

            arguments = (subject.name, subject.recipe, subject.reward, subject.sampling)
            (found, config, searched), asked = evaluated(*arguments, config, task, *self.search, self.dtype), []
        else:
            found, config, asked, others = _local(subject, config, task, stage, self.dtype)
        line = {"model": model, "split": self.split, **evaluation_line(found, config), **searched}
        line |= otherwise(found, others, config)
        if task.reads == "answer":
            line["answer_style"] = subject.reward.answer_style
        if self.out:
            about = {"template": settings.model.template.name, **({"address": address} if address else {})}
            samples, _ = write_harness(self.out, line, found, asked, config.draws(subject.sampling), about)
            typer.echo(f"{samples.parent}: samples and results in lm-evaluation-harness's format", err=True)
        return _Judged(line=line, found=found)

    def _stage(self, subject: Subject) -> Stage:
        """How else to ask; examples are written as the recipe's stages write them."""
        from r1kit.factory.examples import FewShot
        from r1kit.stages.evaluate import Config as Stage

        recipe = subject.recipe
        own = [
            shown for config in recipe.stages.values() if (shown := getattr(config, "few_shot", None)) and shown.shots
        ]
        shown = replace(next(iter(own), FewShot()), shots=self.shots)
        stage = Stage(
            paraphrases=self.paraphrases,
            few_shot=replace(shown, path=self.examples or shown.path) if self.shots else FewShot(shots=0),
            template_tasks=tuple(recipe.tasks),
            sampling=replace(subject.sampling, max_tokens=self.max_tokens or subject.sampling.max_tokens),
        )
        stage.check_asked("r1 eval", recipe)
        return stage

    def _config(self, task: Task, subject: Subject) -> tuple[EvaluationConfig, Subject]:
        """The user's settings, where there are none the benchmark's, else the stage's or ours."""
        from r1kit.evals.settings import EvaluationConfig
        from r1kit.tasks.benchmark.task import Benchmark

        k = K
        if isinstance(task, Benchmark):
            k = task.sampling.n
            subject = replace(subject, sampling=replace(subject.sampling, max_tokens=task.sampling.max_tokens))
        config = EvaluationConfig.final(
            tasks=(task.name,), k=self.k or k, limit=self.limit, split=self.split, temperature=self.temperature,
            top_p=self.top_p, max_tokens=self.max_tokens,
        )  # fmt: skip
        return config, subject

    def _behind(
        self, address: str, model: str, subject: Subject, config: EvaluationConfig, task: Task
    ) -> tuple[Evaluation, EvaluationConfig, list[str]]:
        """The same of a model behind an address; what it answered is kept in ``out``."""
        import os

        from r1kit.backends.verifiers import open_verifier
        from r1kit.evals.address import Address
        from r1kit.evals.answers import Answers, ask_all
        from r1kit.evals.evaluator import Evaluation
        from r1kit.evals.told import asked_of
        from r1kit.recipe import fingerprint
        from r1kit.rollout.streams import stream_seed
        from r1kit.tasks.benchmark.task import Benchmark

        recipe = subject.recipe
        prompts = task.held_out(config.split, config.limit)
        behind = Address(address, model, os.environ.get(KEY, ""), recipe.model.template, _tell)
        if not config.max_tokens:
            named = isinstance(task, Benchmark) or bool(recipe.stages)
            config = replace(config, max_tokens=behind.longest(prompts, subject.sampling.max_tokens, named=named))
        sampling = config.draws(subject.sampling)
        head = {
            "model": model, "task": task.name, "problems": asked_of(prompts), "k": sampling.n, "seed": recipe.seed,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens,
            "stop": list(sampling.stop), "asked": fingerprint(*map(behind.spelled, prompts)),
        }  # fmt: skip
        with open_verifier([task.name], recipe, subject.reward, opens=behind.opens) as verifier:
            groups = ask_all(
                behind, prompts, sampling,
                lambda index: stream_seed(recipe.seed, "evaluation", task.name, config.split, index),
                Answers(self.out and self.out / "answers.jsonl", head), self.concurrency, _tell,
            )  # fmt: skip
            scores, diagnostics = verifier.score_groups(groups), verifier.diagnose_groups(groups)
        found = Evaluation(groups=groups, scores=scores, diagnostics=diagnostics)
        return found, config, [behind.spelled(prompt) for prompt in prompts]


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _local(
    subject: Subject, config: EvaluationConfig, task: Task, stage: Stage, dtype: Literal["auto", "float32", "bfloat16"]
) -> tuple[Evaluation, EvaluationConfig, list[str], dict[str, Evaluation]]:
    """Sample and score; the settings, ``max_tokens`` filled in; the prompts as text; the same asked otherwise, by name.
    What loads first fails first: task, then model."""
    import torch

    from r1kit.backends.backend import backend_of
    from r1kit.backends.verifiers import open_verifier
    from r1kit.cluster.cores import cores
    from r1kit.commands.arguments import longest_completion
    from r1kit.evals.evaluator import sample_evaluation
    from r1kit.reward.scorer import Scorer
    from r1kit.rollout.streams import stream_seed
    from r1kit.stages.evaluate import other_ways
    from r1kit.text.template import prompt_text

    recipe, backend = subject.recipe, backend_of(subject.recipe)
    prompts = task.held_out(config.split, config.limit)
    torch.set_num_threads(cores())
    loaded = backend.load(subject.name)
    longest = longest_completion(subject.sampling, loaded.positions, map(loaded.render, prompts))
    config = replace(config, max_tokens=config.max_tokens or longest)
    assert loaded.folder is not None
    rows = _rows(loaded.folder, config.max_tokens)
    with (
        open_verifier([task.name], recipe, subject.reward, opens=loaded.opens_think) as verifier,
        closing(backend.open_engine(loaded, dtype=dtype, max_rows=rows)) as engine,
    ):

        def sampled(render: Callable[[Prompt], Sequence[int]]) -> Evaluation:
            return sample_evaluation(
                prompts,
                config.draws(subject.sampling),
                engine,
                Scorer(verifier=verifier),
                render,
                lambda index: stream_seed(recipe.seed, "evaluation", task.name, config.split, index),
                backend.ranks,
            )

        found = sampled(loaded.render)
        ways = other_ways(stage, loaded, {task.name: task}, recipe.seed)
        others = {way: sampled(render) for way, _, render in ways}
    asked = [prompt_text(loaded.template, loaded.tokenizer, one.question, one.history) for one in prompts]
    return found, config, asked, others


def _rows(folder: Path, max_tokens: int) -> int:
    """Completions in flight, so that their cache fits."""
    from r1kit.plan.known import shape_of_hub

    try:
        a_row = shape_of_hub(folder / "config.json").cache_bytes(4) * (max_tokens + PROMPT_TOKENS)
    except InputError:  # another architecture: it may well run, only its cache is not known beforehand
        return FEW_ROWS
    return max(4, min(512, CACHE_BYTES // a_row))
