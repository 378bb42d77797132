"""A run whose cold start waits for people, without having sampled: what the tests of the review page stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from r1kit.factory.collection import Plan
from r1kit.factory.review import Item, write_queue
from r1kit.recipe import as_toml, load_recipe
from r1kit.records import Sample

__all__ = ["SETTINGS", "answered", "waiting_run"]

SETTINGS = ["cold_start.review=human", 'cold_start.tasks=["countdown","code"]', "cold_start.routes={r1_zero=40}"]


def answered(answer: str, chain: str = "try", summary: str = "so") -> str:
    return f"<think> {chain} </think> {summary} <answer> {answer} </answer>"


def waiting_run(folder: Path, count: int = 4, *, stage: str = "03_cold_start", **more: Any) -> Path:
    """A run of ``nano`` with ``count`` code problems in its queue, each answered with its reference, which is right;
    ``more`` are fields of the samples."""
    recipe = load_recipe("nano", SETTINGS)
    (folder / stage).mkdir(parents=True)
    (folder / "recipe.toml").write_text(as_toml(recipe))
    config = recipe.stages["cold_start"]
    plan = Plan(tasks=recipe.built(config.asked(recipe)), routes=config.routes, per_step=1, seed=recipe.seed)
    items = []
    for number in range(1, 2 * count, 2):  # tasks take turns: the odd ones are code
        prompt = plan.prompt(number)
        known = {
            "id": f"{prompt.id}/r1_zero/{number}.0", "prompt": prompt.question, "domain": prompt.task,
            "response": answered(prompt.answer or ""), "language": prompt.language,
            "provenance": {"route": "r1_zero", "edits": []},
        }  # fmt: skip
        sample = Sample(**{**known, **more})
        items.append(Item(id=sample.id, sample=sample))
    write_queue(folder / stage / "review.jsonl", items)
    return folder
