"""The forms task: prompts, and the verdict on the JSON of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property

from r1kit.nano.forms.problems import (
    FormsConfig,
    Problem,
    answer_of,
    cluster_of,
    draw_problem,
    pairs,
    question,
    schema_of,
)
from r1kit.records import Prompt
from r1kit.seeds import stream
from r1kit.tasks.split import Part
from r1kit.tasks.structured import grade_json, told
from r1kit.tasks.task import Grade, Split, Task

__all__ = ["Forms"]

HELD_OUT = 100
"""Problems of a split."""


class Forms(Task):
    Config = FormsConfig

    def __init__(self, name: str, config: FormsConfig) -> None:
        self.name, self.config = name, config

    def train(self, index: int) -> Prompt:
        return self._prompt("train", index, self._pairs["train"], self.config.seed)

    def held_out(self, split: Split, limit: int | None = None) -> list[Prompt]:
        """A fixed draw, each pair once before any twice, so that a limit keeps clusters."""
        among = self._pairs[split]
        count = min(limit or HELD_OUT, HELD_OUT)
        order = stream(self.config.split_seed, f"forms/{split}/order", 0).sample(among, len(among))
        return [self._prompt(split, at, [order[at % len(order)]], self.config.split_seed) for at in range(count)]

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        """1 for JSON that satisfies the schema and holds every value, else 0."""
        return grade_json(prompt, answer)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        return told(prompt, text)

    def check(self) -> None:
        """Raises MissingError without jsonschema."""
        self.train(0)
        grade_json(self.train(0), "{}")

    @cached_property
    def _pairs(self) -> dict[Part, list[tuple[int, int]]]:
        return {part: pairs(self.config, part) for part in ("train", "dev", "test")}

    def _prompt(self, part: Part, index: int, among: list[tuple[int, int]], seed: int) -> Prompt:
        problem = draw_problem(stream(seed, f"forms/{part}", index), self.config, among)
        return self.prompt_of(f"{self.name}/{part}/{index}", problem)

    def prompt_of(self, identity: str, problem: Problem) -> Prompt:
        answer = json.dumps(answer_of(problem))
        return Prompt(
            id=identity,
            task=self.name,
            question=question(problem),
            answer=answer,
            cluster=cluster_of(problem.numbers),
            facts={"schema": json.dumps(schema_of(problem.keys)), "expected": answer},
        )
