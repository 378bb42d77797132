"""The schema reward: the final answer is JSON that the prompt's schema accepts (a limit that the R1 paper states)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from r1kit.answers.structured import NotJson, Schema, read_json
from r1kit.records import Prompt
from r1kit.reward.extract import extract_answer
from r1kit.reward.messages import Job
from r1kit.reward.part import Mark, Ours
from r1kit.reward.settings import RewardConfig
from r1kit.tasks.task import Task

__all__ = ["SchemaReward"]


class SchemaReward(Ours):
    """1 where the answer satisfies the schema in the prompt's fact ``schema`` (an object, or its text), else 0; whether
    it parses is logged as ``schema/parses``. It abstains where the prompt has none."""

    def __init__(self, config: RewardConfig, task: Task) -> None:
        self.style = config.answer_style
        self._schemas: dict[str, Schema] = {}

    def __call__(self, prompt: Prompt, jobs: Sequence[Job]) -> list[Mark]:
        if not prompt.facts.get("schema"):
            return [Mark(None) for _ in jobs]
        schema = self._schema(prompt)
        return [self._mark(schema, extract_answer(job.text, self.style)) for job in jobs]

    def _schema(self, prompt: Prompt) -> Schema:
        given = prompt.facts["schema"]
        text = given if isinstance(given, str) else json.dumps(given)
        if text not in self._schemas:
            self._schemas[text] = Schema.of(text, f"fact 'schema' of {prompt.id}")
        return self._schemas[text]

    def _mark(self, schema: Schema, answer: str | None) -> Mark:
        try:
            value = read_json(answer or "")
        except NotJson:
            return Mark(0.0, {"parses": 0.0})
        return Mark(float(not schema.fault(value)), {"parses": 1.0})
