"""The report's section on process rewards, from a run folder written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from r1kit.report.draw.sections import sections
from r1kit.report.read.experiments import process_rewards
from r1kit.report.read.run_folder import RunFolder
from r1kit.report.read.run_view import read_run
from r1kit.report.read.status import run_status

RECIPE = 'name = "steps"\n[model]\nname = "none"\n[tasks.countdown]\nkind = "countdown"\n[stages.prm]\nkind = "prm"\n'
CURVES = {
    "majority": {"1": [0.5, 0.4, 0.6], "4": [0.8, 0.7, 0.9]},
    "process": {"1": [0.5, 0.4, 0.6], "4": [0.7, 0.6, 0.8]},
    "process_last": {"1": [0.5, 0.4, 0.6], "4": [0.75, 0.6, 0.8]},
}
RESULTS: dict[str, dict[str, Any]] = {
    "labels": {"solutions": 64, "steps": 4.5, "tokens_ratio": 11.5, "agreement": 0.93},
    "labels_2": {"solutions": 32, "steps": 5.5},
    "process": {"accuracy": 0.92, "auc": 0.93},
    "process_2": {"accuracy": 0.73, "before": {"accuracy": 0.67}},
    "outcome": {"accuracy": 0.97},
    "best_of": {
        "countdown": {
            "by": "min",
            "curves": CURVES,
            "process_minus": {"majority": {"difference": -0.1, "interval": [-0.2, -0.03]}},
        },
        "seconds": 3.0,
    },
    "process_rl": {"hacking": {"reason": "reward hacking: it rose while it fell"}, "cost": {"training_flops": 2e12}},
}  # fmt: skip


def written(folder: Path, parts: dict[str, dict[str, Any]]) -> RunFolder:
    (folder / "01_prm").mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    for name, result in parts.items():
        part = folder / "01_prm" / name
        part.mkdir()
        (part / "result.json").write_text(json.dumps(result))
        if "rl" in name:
            rows = [{"step": n, "accuracy": 1 - n / 4, "process_reward": n / 4, "process_steps": n} for n in (1, 2, 3)]
            evals = [{"step": n, "task": "countdown", "split": "dev", "avg_at_k": 1 - n / 4} for n in (0, 3)]
            for log, lines in (("metrics", [{**row, "response_tokens": 9} for row in rows]), ("eval", evals)):
                (part / f"{log}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunFolder(folder)


def test_what_is_read_of_the_parts(tmp_path: Path) -> None:
    (found,) = process_rewards(written(tmp_path / "run", RESULTS))
    names = ["process reward model", "outcome reward model", "process reward model, round 2"]
    assert [model.name for model in found.models] == names
    assert [model.labels.get("solutions") for model in found.models] == [64, None, 32]
    assert found.models[2].before == {"accuracy": 0.67}
    (chosen,) = found.chosen
    assert [(one.name, one.drawn) for one in chosen.choices] == [
        ("majority vote", True), ("process reward", True), ("process_last", False)
    ]  # fmt: skip
    assert chosen.choices[1].points == [(1, 0.5, (0.4, 0.6)), (4, 0.7, (0.6, 0.8))]
    assert chosen.minus == {"majority vote": (-0.1, (-0.2, -0.03))}
    (course,) = found.courses
    assert course.steps_a_chain.values == [1.0, 2.0, 3.0]
    assert [(name, first["step"], last["step"]) for name, first, last in course.ends] == [("countdown, dev", 0, 3)]
    assert (course.flops, course.stopped) == (2e12, "reward hacking: it rose while it fell")


def test_the_section_is_drawn_and_is_not_there_before_a_model_is(tmp_path: Path) -> None:
    bodies = {one.anchor: str(one.body) for one in sections(read_run(written(tmp_path / "run", RESULTS)))}
    body = bodies["process-rewards"]
    assert "Best of N on countdown." in body
    assert "reward hacking: it rose while it fell" in body
    assert "the same steps, before it was trained on" in body
    early = sections(read_run(written(tmp_path / "early", {"labels": RESULTS["labels"]})))
    assert "process-rewards" not in [one.anchor for one in early]


def test_the_status_says_how_far_it_is_and_what_came_out(tmp_path: Path) -> None:
    def reached(run: RunFolder) -> str:
        return run_status(run, now=0.0).stages[0].reached

    labelled = written(tmp_path / "labelled", {"labels": RESULTS["labels"]})
    (labelled.path / "01_prm" / "labels" / "metrics.jsonl").write_text('{"step": 1, "solutions": 64}\n')
    assert reached(RunFolder(labelled.path)) == "at labels"
    one = reached(written(tmp_path / "one", {"process_rl": RESULTS["process_rl"]}))
    assert one.endswith("1.000 → .250 by steps")
    both = reached(written(tmp_path / "both", {"process_rl": RESULTS["process_rl"], "rule_rl": {}}))
    assert both.endswith("by steps, " + one.removesuffix("by steps") + "by rules")
