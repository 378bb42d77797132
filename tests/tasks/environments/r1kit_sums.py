"""An environment as verifiers' users write them: sums, a parser of tags, an async rubric; and ones that are refused."""

from __future__ import annotations

from typing import Any

import verifiers as vf
from datasets import Dataset

PARSER = vf.XMLParser(["think", "answer"], answer_field="answer")


async def correct(completion: Any, answer: str) -> float:
    return 1.0 if PARSER.parse_answer(completion) == answer else 0.0


def short(completion: Any, state: dict[str, Any], info: dict[str, Any], parser: Any) -> float:
    assert state["info"] == info
    assert parser is PARSER
    return 0.5 if len(completion[-1]["content"]) < 60 else 0.0


def compared(completions: list[Any]) -> list[float]:
    return [0.0 for _ in completions]


def rows(first: int, count: int) -> Dataset:
    numbers = range(first, first + count)
    return Dataset.from_list([{"question": f"{n} + 1 =", "answer": str(n + 1), "info": {"n": n}} for n in numbers])


def load_environment(kind: str = "single", own_tests: bool = True) -> Any:
    rubric = vf.Rubric(funcs=[correct, short], weights=[0.8, 0.4], parser=PARSER)
    data = {"dataset": rows(0, 60), "system_prompt": "Add.", "parser": PARSER}
    if own_tests:
        data["eval_dataset"] = rows(100, 5)
    if kind == "multi":
        return Turns(**data, rubric=rubric)
    if kind == "grouped":
        return vf.SingleTurnEnv(**data, rubric=vf.Rubric(funcs=[compared]))
    if kind == "broken":
        raise ZeroDivisionError("no data today")
    return vf.SingleTurnEnv(**data, rubric=rubric)


class Turns(vf.MultiTurnEnv):
    async def env_response(self, messages: Any, state: Any, **kwargs: Any) -> Any:
        return []
