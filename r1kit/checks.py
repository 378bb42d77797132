"""What ``r1 check`` and ``r1 run`` verify before anything heavy loads: names, paths, batch divisions, options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from r1kit.checkpoint.fits import Fits
from r1kit.checkpoint.source import check_model, local_folder
from r1kit.contracts import BASE, Recipe
from r1kit.errors import InputError, nearest
from r1kit.factory.filters import FilterConfig
from r1kit.factory.sources import check_rows
from r1kit.loops.own_trial import try_losses
from r1kit.loops.settings import RL, SFT
from r1kit.model.families import fresh_family
from r1kit.records import Prompt, Sample, Sampling
from r1kit.reward.language import check_detector, check_told
from r1kit.reward.settings import TARGETS, RewardConfig
from r1kit.reward.trial import try_rewards
from r1kit.suits import check_engine, check_experts
from r1kit.tasks.corpora import CorpusConfig, build_corpus
from r1kit.tasks.task import Split, Task
from r1kit.tasks.trial import Trial, try_tasks
from r1kit.text.paraphrases import paraphrased, paraphrases
from r1kit.text.template import NAMED, Template
from r1kit.trackers import check_trackers
from r1kit.unread import check_unread, recipe_of_run

__all__ = ["check_recipe", "check_stage", "check_stages"]

COUNTED = 10_000
"""Prompts of a task whose length is counted, where the model's tokenizer is here."""
LOOKED_AT = 16
"""Held-out problems of a split whose length is looked at."""
TOLD_WORDS = 5
"""Unknown words that are named."""


def check_recipe(recipe: Recipe, folder: Path | None = None) -> list[str]:
    """Warnings, a line each; raises InputError or MissingError, one line, for the first thing that could not work.

    Args:
        folder: of the run, which may go on.
    """
    check_trackers(recipe.trackers)
    check_experts(recipe)
    warnings = check_engine(recipe)
    # first: a stage's own check may ask a task for prompts
    warnings += try_tasks([_trial(recipe, name) for name in recipe.tasks])
    check_stages(recipe)
    warnings += check_unread(recipe, recipe_of_run(folder) if folder else None)
    try_rewards(recipe)
    try_losses(recipe)
    built = recipe.built(recipe.tasks)

    @cache
    def looked_at(task: str, split: Split) -> list[Prompt]:
        return built[task].held_out(split, LOOKED_AT)

    for stage, config in recipe.stages.items():
        prompts = [looked_at(task, split) for task in recipe.tasks_of(stage) for split in config.splits]
        languages = {language for task in recipe.tasks_of(stage) for language in built[task].languages}
        _check_languages(stage, config, languages | {prompt.language for prompt in chain(*prompts)})
        _check_histories(recipe, stage, chain(*prompts))
        warnings += _cut_short(stage, config, {task: built[task] for task in recipe.tasks_of(stage)})
        warnings += _unpaid(stage, config, list(chain(*prompts)))
        if not recipe.model.name:
            _check_positions(recipe, stage, config, chain(*prompts))
            if (lora := getattr(config, "lora", None)) is not None and lora.rank:
                lora.chosen(_linears_of_fresh(recipe), f"stages.{stage}.lora")
    for task in built.values():
        task.check()
    for name in _models(recipe):
        check_model(name)
    if recipe.model.name and (folder := local_folder(recipe.model.name)):
        fits = Fits(folder, recipe.model.template)
        for stage, config in recipe.stages.items():
            asked = [looked_at(task, split) for task in recipe.tasks_of(stage) for split in config.splits]
            if not hasattr(config, "students"):  # they have models of their own
                if (lora := getattr(config, "lora", None)) is not None and lora.rank:
                    lora.chosen(fits.linears, f"stages.{stage}.lora")
                fits.check(stage, config, list(chain(*asked)))
                warnings += _too_long(fits, stage, config, recipe, built)
            if isinstance(config, SFT):
                warnings += fits.samples_too_long(stage, config, _samples(config, stage, recipe))
    return [*warnings, *_read_otherwise(recipe, built), *_unknown_words(recipe, built), *_doubts(built)]


def _cut_short(stage: str, config: Any, tasks: Mapping[str, Task]) -> list[str]:
    """Programs that may run for longer than the verifier waits: what is slow is not judged, in place of failing."""
    deadline, found = getattr(config, "deadline", None), list[str]()
    for name, task in tasks.items():
        ladder = getattr(getattr(task, "config", None), "ladder", None)
        total = getattr(ladder, "total_seconds", 0.0)
        if deadline is not None and total >= deadline:
            found.append(
                f"warning: stages.{stage}.deadline = {deadline:g} is not above tasks.{name}.ladder.total_seconds = "
                f"{total:g}: a slow program ends the verifier and is not judged, not failed; raise the deadline"
            )
    return found


def _unpaid(stage: str, config: Any, prompts: Sequence[Prompt]) -> list[str]:
    """A schema that is paid for and that no prompt has."""
    reward = getattr(config, "reward", None)
    paid = isinstance(reward, RewardConfig) and reward.parts.get("schema") and prompts
    if not paid or any(prompt.facts.get("schema") for prompt in prompts):
        return []
    return [
        f"warning: stages.{stage}.reward pays for the schema, and none of {len(prompts)} held-out prompts has one (a "
        f"fact 'schema'): it pays nothing there"
    ]


def _read_otherwise(recipe: Recipe, built: Mapping[str, Task]) -> list[str]:
    """Stages that take a task's answers out of a text in another way than all RL that trains it."""
    judging = {
        stage: config.reward.answer_style
        for stage, config in recipe.stages.items()
        if isinstance(getattr(config, "reward", None), RewardConfig)
    }
    paid: dict[str, dict[str, str]] = {}
    """Task -> the RL stages that train it -> how they read its answers."""
    for stage, style in judging.items():
        for task in recipe.tasks_of(stage) if isinstance(recipe.stages[stage], RL) else ():
            if task in built and built[task].reads == "answer":
                paid.setdefault(task, {})[stage] = style
    found = []
    for stage, style in judging.items():
        unlike = (task for task in recipe.tasks_of(stage) if task in paid and style not in paid[task].values())
        if task := next(unlike, ""):
            other, theirs = list(paid[task].items())[-1]
            found.append(
                f"warning: stages.{stage} reads answers to tasks.{task} by {style} and stages.{other} pays for them by "
                f"{theirs}: set stages.{stage}.reward.answer_style if both should be read alike"
            )
    return found


def _linears_of_fresh(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """[out, in] of what an adapter may be put beside in a fresh model, by its hub name."""
    import torch

    from r1kit.model.adapter import linears_of

    with torch.device("meta"):  # a shape without numbers
        model = fresh_family(recipe.model.family, "model").fresh(recipe.model.shape, 1)
    return {name: one.shape for name, one in linears_of(model).items()}


def _unknown_words(recipe: Recipe, built: Mapping[str, Task]) -> list[str]:
    """What questions and paraphrases say that the corpus of a fresh base never does."""
    corpus = getattr(recipe.stages.get(recipe.base_stage), "corpus", None)
    if recipe.model.name or not isinstance(corpus, CorpusConfig) or not corpus.shares:
        return []
    known, found = set(build_corpus(corpus).vocabulary()), []
    asked = {
        f"tasks.{name}": [task.train(index).question for index in range(4 * LOOKED_AT)] for name, task in built.items()
    }
    for stage, config in recipe.stages.items():
        texts = paraphrases(getattr(config, "paraphrases", ()), f"stages.{stage}.paraphrases")
        asked[f"stages.{stage}.paraphrases"] = [paraphrased(text, "") for text in texts]
    for where, questions in asked.items():
        words = list(dict.fromkeys(word for text in questions for word in text.split() if word not in known))
        if words:
            told = ", ".join(words[:TOLD_WORDS]) + (" ..." if len(words) > TOLD_WORDS else "")
            found.append(f"warning: {where}: the base's corpus has no word {told}: the model reads them as one unknown")
    return found


def _samples(config: SFT, stage: str, recipe: Recipe) -> list[Sample]:
    """Those that are here before anything runs: no stage's."""
    sources = [one for one in config.sources.values() if one.data not in recipe.stages]
    return [sample for one in sources for sample in check_rows(one.data, one.read, "responses", f"stages.{stage}")]


def _too_long(fits: Fits, stage: str, config: Any, recipe: Recipe, built: Mapping[str, Task]) -> list[str]:
    """Prompts that are left out, or count as wrong, because the model cannot take them in."""
    found = []
    for task in recipe.tasks_of(stage):
        if hasattr(config, "long_prompts"):
            listed = built[task].listed()[:COUNTED]
            found += fits.too_long(stage, config, listed, f"train prompts of {task}")
        for split in dict.fromkeys(config.splits):
            held = built[task].held_out(split, COUNTED)
            found += fits.too_long(stage, config, held, f"{split} prompts of {task}")
    return found


def _doubts(built: Mapping[str, Task]) -> list[str]:
    return [f"warning: tasks.{name}: {line}" for name, task in built.items() for line in task.doubts()]


def _models(recipe: Recipe) -> Iterator[str]:
    """The base, and every model that a stage names: who judges, refines or is taught."""
    named = [recipe.model.name]
    for config in recipe.stages.values():
        named += config.model_sources
        named += [student.model.name for student in getattr(config, "students", {}).values()]
    yield from dict.fromkeys(name for name in named if name and name != BASE and name not in recipe.stages)


def _trial(recipe: Recipe, name: str) -> Trial:
    """A task with the splits that stages look at."""
    used = [config.splits for stage, config in recipe.stages.items() if name in recipe.tasks_of(stage)]
    return Trial(name, *recipe.spec(name), tuple(dict.fromkeys(chain(*used))))


def _check_languages(stage: str, config: Any, languages: Iterable[str]) -> None:
    """A stage that looks at the language must be able to tell it from others."""
    for filters in (getattr(config, name, None) for name in ("filters", "refined")):
        if isinstance(filters, FilterConfig) and filters.language:
            check_detector(filters.detector)
    for holder in (config, getattr(config, "rl", None)):  # students have an RL of their own
        reward = getattr(holder, "reward", None)
        if not isinstance(reward, RewardConfig):
            continue
        check_detector(reward.detector)
        if reward.parts.get("language") and reward.detector == "script":
            fixed = reward.language_target not in TARGETS
            check_told([reward.language_target] if fixed else languages, f"stages.{stage}.reward")


def _check_histories(recipe: Recipe, stage: str, prompts: Iterable[Prompt]) -> None:
    """A template of one question has no place for a system prompt or earlier turns."""
    name = recipe.model.template.name
    if name != "chat" and (found := next((prompt for prompt in prompts if prompt.history), None)):
        raise InputError(
            f"stages.{stage}: prompt {found.id} has a system prompt or earlier turns, which template {name[:9]!r} does "
            f'not know; set model.template.name = "chat", or tasks.{found.task}.history = "drop" to ask the question '
            f"alone"
        )


def _check_positions(recipe: Recipe, stage: str, config: Any, prompts: Iterable[Prompt]) -> None:
    """A fresh model, whose tokens are words, must hold a prompt and a whole completion; engines check the others."""
    longest = max((_words(recipe.model.template, prompt.question) for prompt in prompts), default=0)
    room = recipe.model.max_positions - longest
    if room < 1:
        raise InputError(
            f"stages.{stage}: a prompt of its tasks has {longest} tokens, model.max_positions = "
            f"{recipe.model.max_positions}; raise it to at least {longest + max(config.lengths.values(), default=1)}, "
            f"or leave such prompts out"
        )
    for key, value in config.lengths.items():
        if value > room:
            raise InputError(
                f"stages.{stage}.{key} = {value} after a prompt of {longest} tokens passes "
                f"model.max_positions = {recipe.model.max_positions}; lower it to {room} or raise max_positions"
            )


def _words(template: Template, question: str) -> int:
    """Tokens of a prompt, the begin token counted; a fresh tokenizer's chat template writes what ``plain`` does."""
    text = NAMED.get(template.name, template.name) or NAMED["plain"]
    return 1 + len((text.replace("{question}", question + template.suffix) + template.prefill).split())


def check_stages(recipe: Recipe) -> None:
    """Each stage's own numbers: batch divisions, ranges."""
    for name, config in recipe.stages.items():
        config.check(name, recipe)
        for where, sampling in _samplings(config, f"stages.{name}"):
            _check_sampling(sampling, where)


def _check_sampling(sampling: Sampling, where: str) -> None:
    for name, least in (("n", 1), ("max_tokens", 1), ("temperature", 0)):
        if getattr(sampling, name) < least:
            raise InputError(f"{where}.{name} = {getattr(sampling, name)}: must be at least {least}")
    if not 0 < sampling.top_p <= 1:
        raise InputError(f"{where}.top_p = {sampling.top_p}: must be above 0 and at most 1")
    if "" in sampling.stop:
        raise InputError(f"{where}.stop holds an empty text, which ends nothing; leave it out")


def _samplings(config: Any, where: str) -> Iterator[tuple[str, Sampling]]:
    """Each of a stage's ways to draw, with its dotted name."""
    if isinstance(config, Sampling):
        yield where, config
    elif is_dataclass(config):
        for one in fields(config):
            yield from _samplings(getattr(config, one.name), f"{where}.{one.name}")
    elif isinstance(config, Mapping):
        for key, value in config.items():
            yield from _samplings(value, f"{where}.{key}")


def check_stage(recipe: Recipe, stage: str) -> None:
    if stage not in recipe.stages:
        raise InputError(
            f"stage {stage!r} is not in recipe {recipe.name!r}; its stages are {', '.join(recipe.stages)}."
            f"{nearest(stage, recipe.stages)}"
        )
