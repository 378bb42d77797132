"""The command's table and its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app


def test_the_table_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    said = CliRunner().invoke(
        app, ["plan", "nano-zero", "--gpus", "2", "--price", "3", "--json", str(file)], catch_exceptions=False
    ).output  # fmt: skip
    found = json.loads(file.read_text())
    assert (found["device"], found["devices"], list(found["stages"])) == ("h100", 2, ["pretrain", "r1_zero"])
    assert found["usd"] == pytest.approx(found["hours"] * 2 * 3)
    assert "Assumed, not measured:" in said


def test_a_price_that_is_no_number() -> None:
    said = CliRunner().invoke(app, ["plan", "nano", "--price", "inf"])
    assert (said.exit_code, "--price" in said.output) == (2, True)


def test_cores_compute_what_auto_means_on_this_machine_and_gpus_bfloat16(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def memory(here: str, *arguments: str) -> float:
        monkeypatch.setattr("r1kit.backends.processor.auto_dtype", lambda device: here)
        words = ["plan", "smollm2-zero", "--set", "model.name=HuggingFaceTB/SmolLM2-135M", *arguments]
        CliRunner().invoke(app, [*words, "--json", str(tmp_path / "plan.json")], catch_exceptions=False)
        return float(json.loads((tmp_path / "plan.json").read_text())["stages"]["r1_zero"]["memory"])

    named = [memory("float32", "--set", f"dtype={dtype}") for dtype in ("float32", "bfloat16")]
    assert [memory("float32"), memory("bfloat16")] == named
    on_gpu = memory("float32", "--gpus", "1", "--set", "dtype=bfloat16")
    assert memory("float32", "--gpus", "1") == memory("bfloat16", "--gpus", "1") == on_gpu < named[1]


def simulated(*arguments: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["plan", *arguments, "--simulate"])
    return found.exit_code, found.output if found.exit_code == 0 else str(found.exception)


def test_a_simulation_s_table_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "simulated.json"
    code, said = simulated("nano-zero", "--gpus", "8", "--lags", "0,1", "--json", str(file))
    assert code == 0
    in_turn, ahead = json.loads(file.read_text())["scenarios"]
    assert (in_turn["name"], in_turn["ranks"], in_turn["engines"], in_turn["lag"]) == ("in turn", 8, 0, 0.0)
    assert (ahead["name"], ahead["ranks"] + ahead["engines"], ahead["lag"]) == ("ahead by 1", 8, 1.0)
    assert in_turn["device_hours"] == pytest.approx(in_turn["step_seconds"] * 60 * 8 / 3600)
    assert "ahead by 1" in said


def test_cores_are_simulated_by_what_was_measured_with_the_lengths_of_a_run(tmp_path: Path) -> None:
    """1 s for a token of any number of rows and nothing else: a step takes as long as its longest row, 7 s."""
    names = ("step", "row", "key", "prompt", "learn", "read", "update", "score", "hand_over")
    pace = tmp_path / "pace.json"
    pace.write_text(json.dumps({"pace": {"seconds": {name: float(name == "step") for name in names}}}))
    (tmp_path / "run" / "02_r1_zero").mkdir(parents=True)
    lines = [{"kind": "train", "tokens": 7}, {"kind": "evaluation", "tokens": 99}]
    (tmp_path / "run" / "02_r1_zero" / "rollouts.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    file = tmp_path / "simulated.json"
    code, _ = simulated(
        "nano-zero", "--gpu", "cpu", "--gpus", "4", "--lags", "0", "--pace", str(pace), "--json", str(file),
        "--lengths", f"{tmp_path / 'run'}:r1_zero",
    )  # fmt: skip
    (scenario,) = json.loads(file.read_text())["scenarios"]
    assert code == 0
    assert scenario["step_seconds"] == pytest.approx(7)
    assert scenario["sampled_tokens"] == 24 * 16 * 7


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nano-zero"], "r1 doctor --pace nano-zero --json pace.json"),
        (["recipes/nano-zero.toml", "--set", "seed=2"], "r1 plan recipes/nano-zero.toml --set seed=2 --simulate"),
        (["nano-zero", "--pace", "/nowhere"], "no such file; r1 doctor --pace RECIPE --json /nowhere writes it"),
        (["nano-zero", "--gpus", "2", "--lags", "0,x"], "write bounds of staleness with commas"),
        (["nano-zero", "--gpus", "2", "--stage", "pretrain"], "RL stages are r1_zero"),
        (["nano-zero", "--gpus", "2", "--lengths", "nowhere"], "write DIR:STAGE of a run's RL stage"),
        (["nano-zero", "--gpus", "1", "--lags", "1"], "needs devices for engines and for ranks, 2 x 1"),
        (["r1-671b", "--gpus", "40"], "40 devices do not divide into engines of 32"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_one_line(arguments: list[str], line: str) -> None:
    code, said = simulated(*arguments)
    assert line in said
    assert code != 0
    assert "\n" not in said


@pytest.mark.parametrize(
    "option", [["--pace", "p.json"], ["--lengths", "runs/a:r1_zero"], ["--stage", "r1_zero"], ["--lags", "1"]]
)
def test_what_only_a_simulation_reads_is_not_passed_over(option: list[str]) -> None:
    found = CliRunner().invoke(app, ["plan", "nano-zero", *option])
    assert str(found.exception) == f"{option[0]} is what --simulate reads: add --simulate, or leave it out"


def test_a_sharded_learner_and_an_engine_over_several_devices_hold_their_share(tmp_path: Path) -> None:
    def memory(*settings: str) -> float:
        file = tmp_path / "plan.json"
        arguments = ["plan", "r1-671b", "--gpus", "512", "--json", str(file)]
        CliRunner().invoke(app, [*arguments, *(f"--set={one}" for one in settings)], catch_exceptions=False)
        return float(json.loads(file.read_text())["stages"]["r1_zero"]["memory"])

    whole, sharded = memory("learner=local"), memory()
    parameters = 671e9
    assert whole - sharded == pytest.approx(parameters * 20 * (1 - 1 / 512), rel=0.2)
    assert memory('learner={kind="fsdp",replicate=2}') > sharded


def test_what_does_not_fit_is_told_what_takes_the_most_off(tmp_path: Path) -> None:
    """A model held whole on each of several devices is first of all to be shared out."""
    path = tmp_path / "mine.toml"
    path.write_text("model.name = 'Qwen/Qwen2.5-7B'\n[tasks.countdown]\n[stages.r1_zero]\nsampling.max_tokens = 4096\n")
    arguments = ["plan", str(path), "--gpus", "8", "--gpu", "h100"]
    said = [
        CliRunner().invoke(app, [*arguments, f"--set=learner={kind}"], catch_exceptions=False).output
        for kind in ("local", "fsdp")
    ]
    assert "does not fit" in said[0]
    assert 'set learner = "fsdp", which shares weights and optimiser over the 8 devices; lower micro' in said[0]
    assert 'set learner = "fsdp"' not in said[1]
