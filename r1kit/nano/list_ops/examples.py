"""Worked examples of list_ops with a step taken back, for few-shot prompting (R1 paper, section 2.3.1)."""

from __future__ import annotations

from r1kit.errors import InputError
from r1kit.nano.list_ops.corpus import STYLES, ListOpsCorpus, ListOpsCorpusConfig
from r1kit.nano.list_ops.problems import ListOpsConfig, draw_problem
from r1kit.nano.list_ops.steps import expression, question
from r1kit.nano.refine import RuleRefiner
from r1kit.records import Prompt, Sample
from r1kit.seeds import stream

__all__ = ["worked_example"]

DRAWS = 1000


def worked_example(name: str, problems: ListOpsConfig, language: str, shot: int, longest: int, seed: int) -> Sample:
    """A training problem worked step by step with a step taken back, in one language, with a summary.

    Args:
        name: of the task.
        problems: its settings, in the one language.
    """
    one = dict.fromkeys(STYLES, (1.0, 0.0, 0.0))
    writer = ListOpsCorpus(ListOpsCorpusConfig(problems=problems, languages=one, tag_share=1.0))
    for draw in range(DRAWS):
        rng = stream(seed, f"{name}/examples/{language}/{shot}", draw)
        problem = draw_problem(rng, problems)
        response = writer.response(rng, problem, "long")
        prompt = Prompt(
            id=f"{name}/example/{shot}", task=name, question=question(problem.steps, language),
            answer=expression(problem.steps), language=language, facts={"steps": []},
        )  # fmt: skip
        refined = RuleRefiner().refine([prompt], [response], [0])[0].response
        words = refined.split()
        if any(word in ("wait", "等等") for word in words) and len(words) <= longest:
            return Sample(id=prompt.id, prompt=prompt.question, response=refined, domain=name, language=language)
    raise InputError(f"few_shot.longest = {longest}: no worked example of {name!r} is that short; raise it")
