"""A cold start that waits for people: for how many, what becomes of the rest, and how it goes on by itself."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from r1kit import interrupts
from r1kit.errors import InputError, MissingError
from r1kit.factory import cold_start, review_wait
from r1kit.factory.review import Decision
from r1kit.factory.review_file import ReviewFile
from r1kit.factory.samples import read_samples
from r1kit.recipe import Recipe, parse_recipe
from r1kit.stages import cold_start as stage
from r1kit.workspace import Workspace

SAMPLES = 6


def recipe_of(**settings: Any) -> Recipe:
    settings = {"review": "human", "limit": 0, "decontaminate": 0, **settings}
    stages = {"r1_zero": {}, "cold_start": settings}
    return parse_recipe({"name": "x", "tasks": {"countdown": {}}, "stages": stages, "model": {"name": "some/model"}})


@dataclass
class Collected:
    """A run whose cold start has sampled what it wanted."""

    run: Path
    said: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.run / "02_cold_start"

    @property
    def file(self) -> ReviewFile:
        return ReviewFile(self.folder / "review.jsonl")

    def end(self, **settings: Any) -> dict[str, Any]:
        recipe = recipe_of(**settings)
        place = Workspace(run=self.run, stage="cold_start", index=2, recipe=recipe, key="k", say=self.said.append)
        return dict(stage.run(recipe.stages["cold_start"], place).metrics)


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collected:
    monkeypatch.setattr(cold_start, "token_counter", lambda name, workspace: lambda text: len(text.split()))
    monkeypatch.setattr(review_wait, "LOOK_SECONDS", 0.01)
    found = Collected(tmp_path)
    found.folder.mkdir()
    lines = [
        {"sample": {"id": f"s{n}", "prompt": f"q {n}", "response": f"r {n}", "domain": "countdown",
                    "provenance": {"route": "r1_zero", "edits": []}}, "tokens": 2, "consistency": [1.0, 1.0]}
        for n in range(SAMPLES)
    ]  # fmt: skip
    (found.folder / "candidates.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (found.folder / "collected.json").write_text('{"seconds": 1.0, "cursor": {}, "steps": 1}')
    (found.folder / "metrics.jsonl").write_text("")
    return found


def decide(collected: Collected, count: int, status: Any = "accepted") -> None:
    file = collected.file
    for identity in [each.id for each in file.items().values() if each.open][:count]:
        file.decide(identity, Decision(status=status, by="ann", reason="too long" if status == "rejected" else ""))


def test_enough_are_decided_and_the_rest_is_left_out(collected: Collected) -> None:
    settings = {"review_least": 3}
    with pytest.raises(MissingError, match=r"^cold_start: 6 of 6 samples wait .*, 3 of them before .*; decide with r1"):
        collected.end(**settings)
    decide(collected, 1, "rejected")
    decide(collected, 1)
    with pytest.raises(MissingError, match=r"^cold_start: 4 of 6 samples wait .*, 1 of them before the run goes on"):
        collected.end(**settings)
    decide(collected, 1)
    metrics = collected.end(**settings)
    assert (metrics["samples"], metrics["dropped"]) == (2, {"rejected": 1, "undecided": 3})
    assert metrics["review"] == {"accepted": 2, "pending": 3, "rejected": 1}
    card = json.loads((collected.folder / "card.json").read_text())
    assert card["rejections"] == {"too long": 1}
    assert "Rejected by people: too long 1." in (collected.folder / "card.md").read_text()


def test_the_rest_may_be_accepted_and_more_decisions_count_when_it_ends_anew(collected: Collected) -> None:
    with pytest.raises(MissingError):
        collected.end(review_least=2)
    decide(collected, 2, "rejected")
    assert collected.end(review_least=2, review_rest="accept")["samples"] == 4
    reviews = [sample.provenance["review"] for sample in read_samples(collected.folder / "samples.jsonl")]
    assert reviews == ["automatic"] * 4
    with pytest.raises(MissingError, match=r"4 of 6 samples wait .*, 1 of them"):  # what nobody saw is open still
        collected.end(review_least=3)
    decide(collected, 1)
    assert collected.end(review_least=3)["review"] == {"accepted": 1, "pending": 3, "rejected": 2}
    assert collected.end(review="automatic")["review"] == {"accepted": 4, "rejected": 2}


def test_more_than_there_are_is_all(collected: Collected) -> None:
    with pytest.raises(MissingError):
        collected.end(review_least=100)
    decide(collected, SAMPLES)
    assert collected.end(review_least=100)["samples"] == SAMPLES


def test_people_who_disagree_are_waited_for(collected: Collected) -> None:
    with pytest.raises(MissingError):
        collected.end(review_twice=1.0)
    file = collected.file
    for identity in file.items():
        file.decide(identity, Decision(status="accepted", by="ann", blind=True))
        file.decide(identity, Decision(status="accepted" if identity != "s0" else "rejected", by="bob", blind=True))
    with pytest.raises(MissingError, match="1 of 6 samples wait"):
        collected.end(review_twice=1.0)
    file.decide("s0", Decision(status="accepted", by="cy"))
    assert collected.end(review_twice=1.0)["samples"] == SAMPLES
    agreement = json.loads((collected.folder / "card.json").read_text())["agreement"]
    assert agreement == {"items": 6, "share": pytest.approx(5 / 6), "kappa": 0.0}  # ann keeps all: p_o = p_e = 5 / 6


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def until(said: list[str], word: str) -> None:
    while not any(word in line for line in said):
        threading.Event().wait(0.005)


def test_a_run_that_stays_goes_on_by_itself(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is broken in an editor meanwhile, and mended."""
    monkeypatch.setattr(review_wait, "TELL_SECONDS", 0.0)
    said, path = collected.said, collected.folder / "review.jsonl"

    def people() -> None:
        until(said, "6 of 6 samples wait")
        whole = path.read_text()
        path.write_text(whole.replace('"pending"', '"pendign"', 1))
        until(said, "status 'pendign' is unknown")
        path.write_text(whole)
        decide(collected, 2)

    thread = beside(people)
    assert collected.end(review_least=2, review_wait=True)["samples"] == 2
    thread.join()
    assert said[0].endswith("; the run goes on by itself")


def test_a_signal_ends_the_wait(collected: Collected) -> None:
    def kill() -> None:
        until(collected.said, "samples wait")
        signal.raise_signal(signal.SIGTERM)

    with interrupts.heeded():
        thread = beside(kill)
        with pytest.raises(interrupts.Stopped, match="interrupted by SIGTERM: cold_start: 6 of 6 samples wait"):
            collected.end(review_wait=True)
    thread.join()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"review_least": -1}, "stages.cold_start.review_least = -1: must be at least 0"),
        ({"review_twice": 1.5}, "stages.cold_start.review_twice = 1.5: a share is at most 1"),
        ({"review_twice": -0.5}, "stages.cold_start.review_twice = -0.5: must be at least 0"),
        ({"review_rest": "drop"}, "review_rest = 'drop': allowed are 'leave_out', 'accept'"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], told: str) -> None:
    def check() -> None:
        recipe = recipe_of(**settings)
        recipe.stages["cold_start"].check("cold_start", recipe)

    with pytest.raises(InputError, match=told):
        check()
