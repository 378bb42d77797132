"""Worked examples with a long chain, for few-shot prompting (R1 paper, section 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.sources import samples_from
from r1kit.records import Prompt, Sample
from r1kit.tasks.task import Task

__all__ = ["FewShot", "few_shot_question", "worked_examples"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FewShot:
    """Worked examples that stand before the question."""

    shots: int = 1
    path: str = ""
    """A file, a folder or a hub data set of samples to take them from; empty: the task writes its own, if it can."""
    text: str = "Question: {question}\nAnswer: {response}\n\n"
    """One worked example; they stand before the question, one after the other."""
    last: str = "Question: "
    """Between the examples and the question."""
    longest: int = 80
    """Words of an example's response at most: the model must hold the examples, the question and a completion."""


def worked_examples(settings: FewShot, tasks: Mapping[str, Task], seed: int) -> dict[tuple[str, str], list[Sample]]:
    """(task, language) -> its examples; a file's samples serve the task that is their domain, or else every task."""
    found: dict[tuple[str, str], list[Sample]] = {}
    given = samples_from(settings.path, Reading()) if settings.path else []
    for name, task in tasks.items():
        own = [sample for sample in given if sample.domain == name] or given
        for language in sorted({sample.language for sample in own} if given else task.languages):
            if given:
                chosen = [sample for sample in own if sample.language == language and _fits(sample, settings)]
            else:
                shots = range(settings.shots)
                chosen = [task.worked_example(language, shot, settings.longest, seed) for shot in shots]
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
