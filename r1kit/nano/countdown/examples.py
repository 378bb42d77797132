"""Worked examples of Countdown with a long chain, for few-shot prompting (R1 paper, section 2.3.1)."""

from __future__ import annotations

from r1kit.errors import InputError
from r1kit.nano.countdown.corpus import CountdownCorpus
from r1kit.nano.countdown.corpus_settings import CountdownCorpusConfig
from r1kit.nano.countdown.problems import CountdownConfig, Problem, Spoken
from r1kit.nano.refine import RuleRefiner
from r1kit.nano.styles import STYLES
from r1kit.nano.words import every
from r1kit.records import Sample
from r1kit.seeds import stream
from r1kit.tasks.task import Task

__all__ = ["APART", "DRAWS", "worked_example"]

DRAWS = 1000
APART = 1 << 40
"""Places of the training stream that no stage reaches, so that no example is asked as a question."""


def worked_example(
    task: Task, config: CountdownConfig, asker: Task, language: str, shot: int, longest: int, seed: int
) -> Sample:
    """A training problem worked until it is solved, without a slip, in one language, with a summary.

    Args:
        task: judges it.
        config: the task's settings.
        asker: the same task in one language.
    """
    one = dict.fromkeys(STYLES, (1.0, 0.0, 0.0))
    writer = CountdownCorpus(
        CountdownCorpusConfig(
            problems=config, slips=dict.fromkeys(STYLES, 0.0), languages=one, korean=(1.0, 0.0, 0.0), wide_share=0.0
        )
    )
    spoken: Spoken = "zh" if language == "zh" else "ko" if language == "ko" else "en"
    for draw in range(DRAWS):
        prompt = asker.train(APART + (shot << 20) + draw)
        problem = Problem(tuple(prompt.facts["numbers"]), prompt.facts["target"], spoken)
        response = writer.response(stream(seed, f"{task.name}/examples/{language}/{shot}", draw), problem, "long", True)
        refined = RuleRefiner().refine([prompt], [response], [0])[0].response
        answer = refined.partition("<answer>")[2].partition("</answer>")[0].strip()
        turns = any(word in every("wait") for word in refined.split())
        if task.grade(prompt, answer).correct and turns and len(refined.split()) <= longest:
            return Sample(
                id=f"{prompt.id}/example",
                prompt=prompt.question,
                response=refined,
                domain=task.name,
                language=language,
            )
    raise InputError(f"few_shot.longest = {longest}: no worked example of {task.name!r} is that short; raise it")
