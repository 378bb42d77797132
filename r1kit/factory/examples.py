"""Worked examples with a long chain, for few-shot prompting (R1 paper, section 2.3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.asking import filled
from r1kit.factory.sources import samples_from
from r1kit.records import Prompt, Sample
from r1kit.reward.extract import marked
from r1kit.reward.settings import AnswerStyle
from r1kit.tasks.task import Task

__all__ = ["FewShot", "check_room", "check_shown", "few_shot_question", "shown_examples", "worked_examples"]

ASKED_FOR_EXAMPLES = 64
"""Training prompts of a task looked at for some with a reference answer."""


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


def check_shown(settings: FewShot, where: str) -> None:
    """Refuse examples of which nothing would be shown, and a file of examples that nobody asks for."""
    if settings.path and not settings.shots:
        raise InputError(
            f"{where}: few_shot.path = {settings.path!r} and few_shot.shots = 0, so nothing of it is shown; say how "
            f"many, for example shots = 1"
        )
    for field in ("{question}", "{response}") if settings.shots else ():
        if field not in settings.text:
            raise InputError(
                f"{where}: few_shot.text = {settings.text!r} has no {field}; an example is a text with {{question}} "
                f"and {{response}} in it"
            )


def check_room(settings: FewShot, max_tokens: int, positions: int, where: str) -> None:
    """Refuse examples that leave a model whose tokens are words no room for a completion."""
    words = settings.shots * (settings.longest + len(settings.text.split()))
    if words + max_tokens > positions:
        raise InputError(
            f"{where}: few_shot.shots = {settings.shots} of up to few_shot.longest = {settings.longest} words and "
            f"sampling.max_tokens = {max_tokens} pass model.max_positions = {positions}; "
            + (f"max_tokens = {positions - words} fits" if words < positions else "lower shots or longest")
        )


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


def shown_examples(
    settings: FewShot, tasks: Mapping[str, Task], style: AnswerStyle, seed: int
) -> dict[tuple[str, str], list[Sample]]:
    """As ``worked_examples``; a task that writes none shows training problems with their reference answers alone.

    Raises:
        InputError: a task has neither worked examples nor reference answers.
    """
    if settings.path:
        return worked_examples(settings, tasks, seed)
    working = {name: task for name, task in tasks.items() if "worked_example" in task.offers}
    found = worked_examples(settings, working, seed)
    for name in tasks.keys() - working.keys():
        answered = _answered(name, tasks[name])
        if len(answered) < settings.shots:
            raise InputError(
                f"few_shot.shots = {settings.shots}: task {name!r} has no worked examples, and {len(answered)} of "
                f"{ASKED_FOR_EXAMPLES} training prompts have a reference answer; name samples in few_shot.path"
            )
        shots = list(answered.values())[: settings.shots]
        found[name, shots[0].language] = [
            Sample(
                id=f"{prompt.id}/example", prompt=prompt.question, response=marked(prompt.answer or "", style),
                domain=name, language=prompt.language,
            )
            for prompt in shots
        ]  # fmt: skip
    return found


def _answered(name: str, task: Task) -> dict[str, Prompt]:
    """Some training prompts that have a reference answer, by their question."""
    try:
        asked = [task.train(index) for index in range(ASKED_FOR_EXAMPLES)]
    except InputError as error:  # a file that is a test split as a whole
        raise InputError(
            f"few_shot: task {name!r} has no training problems to show; name a file of samples in few_shot.path "
            f"(r1 eval: --examples). {error}"
        ) from error
    return {prompt.question: prompt for prompt in asked if prompt.answer}


def few_shot_question(settings: FewShot, examples: Mapping[tuple[str, str], Sequence[Sample]], prompt: Prompt) -> str:
    """The question with its language's examples before it; with any language's, where it has none."""
    shots = examples.get((prompt.task, prompt.language)) or next(
        shots for (task, _), shots in examples.items() if task == prompt.task
    )
    told = [filled(settings.text, question=s.prompt, response=s.response) for s in shots]
    return "".join(told) + settings.last + prompt.question


def _fits(sample: Sample, settings: FewShot) -> bool:
    return len(sample.response.split()) <= settings.longest
