"""Worked examples with a long chain, for few-shot prompting (R1 paper, section 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from r1kit.errors import InputError
from r1kit.factory.refine import RuleRefiner
from r1kit.factory.samples import read_samples
from r1kit.nano.countdown import Countdown, CountdownConfig, CountdownCorpus, CountdownCorpusConfig
from r1kit.nano.countdown.corpus import STYLES
from r1kit.nano.countdown.problems import Problem
from r1kit.nano.list_ops.corpus import STYLES as CODE_STYLES
from r1kit.nano.list_ops.corpus import ListOpsCorpus, ListOpsCorpusConfig
from r1kit.nano.list_ops.problems import draw_problem
from r1kit.nano.list_ops.steps import expression
from r1kit.nano.list_ops.steps import question as steps_question
from r1kit.records import Prompt, Sample
from r1kit.seeds import stream
from r1kit.tasks.code.config import CodeConfig

__all__ = ["FewShot", "can_write", "few_shot_question", "worked_examples"]

_DRAWS = 1000
_APART = 1 << 40
"""Places of the training stream that no stage reaches, so that no example is asked as a question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShot:
    """Worked examples that stand before the question."""

    shots: int = 1
    path: str = ""
    """A JSONL file of samples to take them from; empty: the nano task writes its own."""
    text: str = "Question: {question}\nAnswer: {response}\n\n"
    """One worked example; they stand before the question, one after the other."""
    last: str = "Question: "
    """Between the examples and the question."""
    longest: int = 80
    """Words of an example's response at most: the model must hold the examples, the question and a completion."""


def can_write(config: Any) -> bool:
    """Whether a task writes worked examples of its own."""
    if isinstance(config, CodeConfig):
        return config.generator == "list_ops"
    return isinstance(config, CountdownConfig) and config.numbers == 3


def worked_examples(settings: FewShot, tasks: Mapping[str, Any], seed: int) -> dict[tuple[str, str], list[Sample]]:
    """(task, language) -> its examples; a file's samples serve the task that is their domain, or else every task."""
    found: dict[tuple[str, str], list[Sample]] = {}
    given = read_samples(Path(settings.path)) if settings.path else []
    for name, config in tasks.items():
        own = [sample for sample in given if sample.domain == name] or given
        for language in sorted({sample.language for sample in own} if given else {"en", "zh"}):
            if given:
                chosen = [sample for sample in own if sample.language == language and _fits(sample, settings)]
            else:
                write = _list_ops if isinstance(config, CodeConfig) else _countdown
                chosen = [write(name, config, language, settings, seed, shot) for shot in range(settings.shots)]
            if len(chosen) < settings.shots:
                raise InputError(
                    f"{settings.path}: {len(chosen)} samples in {language!r} have at most {settings.longest} words; "
                    f"few_shot.shots = {settings.shots} are needed: add some, or raise few_shot.longest"
                )
            found[name, language] = chosen[: settings.shots]
    return found


def few_shot_question(settings: FewShot, examples: Mapping[tuple[str, str], Sequence[Sample]], prompt: Prompt) -> str:
    """The question with its language's examples before it; with any language's, where it has none."""
    shots = examples.get((prompt.task, prompt.language)) or next(
        shots for (task, _), shots in examples.items() if task == prompt.task
    )
    told = [settings.text.replace("{question}", s.prompt).replace("{response}", s.response) for s in shots]
    return "".join(told) + settings.last + prompt.question


def _fits(sample: Sample, settings: FewShot) -> bool:
    return len(sample.response.split()) <= settings.longest


def _countdown(name: str, config: CountdownConfig, language: str, settings: FewShot, seed: int, shot: int) -> Sample:
    """A training problem worked until it is solved, without a slip, in one language, with a summary."""
    task = Countdown(name, config)
    one = dict.fromkeys(STYLES, (1.0, 0.0, 0.0))
    writer = CountdownCorpus(
        CountdownCorpusConfig(
            problems=config, slips=dict.fromkeys(STYLES, 0.0), languages=one, tag_share=1.0, wide_share=0.0
        )
    )
    share = 1.0 if language == "zh" else 0.0
    asker = Countdown(name, replace(config, chinese_share=share))
    for draw in range(_DRAWS):
        prompt = asker.train(_APART + (shot << 20) + draw)
        problem = Problem(tuple(prompt.facts["numbers"]), prompt.facts["target"], "zh" if share else "en")
        response = writer.response(stream(seed, f"{name}/examples/{language}/{shot}", draw), problem, "long")
        refined = RuleRefiner().refine([prompt], [response], [0])[0].response
        answer = refined.partition("<answer>")[2].partition("</answer>")[0].strip()
        found = Sample(
            id=f"{prompt.id}/example", prompt=prompt.question, response=refined, domain=name, language=language
        )
        turns = sum(word in ("wait", "等等") for word in refined.split())
        if task.grade(prompt, answer).correct and turns and _fits(found, settings):
            return found
    raise InputError(f"few_shot.longest = {settings.longest}: no worked example of {name!r} is that short; raise it")


def _list_ops(name: str, config: CodeConfig, language: str, settings: FewShot, seed: int, shot: int) -> Sample:
    """A training problem worked step by step with a step taken back, in one language, with a summary."""
    one = dict.fromkeys(CODE_STYLES, (1.0, 0.0, 0.0))
    problems = replace(config.list_ops, chinese_share=1.0 if language == "zh" else 0.0)
    writer = ListOpsCorpus(ListOpsCorpusConfig(problems=problems, languages=one, tag_share=1.0))
    for draw in range(_DRAWS):
        rng = stream(seed, f"{name}/examples/{language}/{shot}", draw)
        problem = draw_problem(rng, problems)
        response = writer.response(rng, problem, "long")
        prompt = Prompt(
            id=f"{name}/example/{shot}", task=name, question=steps_question(problem.steps, language),
            answer=expression(problem.steps), language=language, facts={"steps": []},
        )  # fmt: skip
        refined = RuleRefiner().refine([prompt], [response], [0])[0].response
        found = Sample(id=prompt.id, prompt=prompt.question, response=refined, domain=name, language=language)
        if any(word in ("wait", "等等") for word in refined.split()) and _fits(found, settings):
            return found
    raise InputError(f"few_shot.longest = {settings.longest}: no worked example of {name!r} is that short; raise it")
