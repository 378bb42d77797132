"""The stages after R1-Zero, planned by hand-computed numbers and as recipe nano has them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.preferences import PairData
from r1kit.loops.caps import Shorter
from r1kit.loops.settings import RL, SFT
from r1kit.nano.countdown.task import Countdown
from r1kit.plan.cost import Many, Plan, Work
from r1kit.plan.devices import Device
from r1kit.plan.planner import Planner, plan_recipe
from r1kit.plan.shape import Shape
from r1kit.plan.sizes import Sizes, sizes_of
from r1kit.plan.stage_cost import FORMULAS
from r1kit.recipe import Model, load_recipe
from r1kit.records import Prompt, Sampling
from r1kit.stages import STAGES
from r1kit.stages.cold_start import Config as ColdStart
from r1kit.stages.distill import Config as Distill
from r1kit.stages.distill import Student
from r1kit.stages.evaluate import Config as Evaluate
from r1kit.stages.pretrain import Config as Pretrain
from r1kit.stages.rejection_sampling import Config as RejectionSampling
from r1kit.stages.reward_models import Config as RewardModels
from r1kit.tasks.task import Split
from r1kit.text.template import Template

SHAPE = Shape(vocab=100, hidden=8, ffn=16, layers=2, heads=2, kv_heads=1, head_dim=4, tied=True)
BODY = 2 * (64 + 32 + 32 + 64 + 384)
N = BODY + 800
ATTENTION = 4 * 2 * 2 * 4
"""Operations of a token's attention to one earlier token: layers, heads, head size."""
PLAN = Plan(
    device=Device(bf16=4e6, fp32=2e6, bandwidth=1e6, memory=0, price=1), devices=1, mfu=0.5, mbu=0.5, mean_share=0.5
)
TEN = Sampling(n=4, max_tokens=10)


def test_every_kind_is_planned() -> None:
    assert set(FORMULAS) == set(STAGES)


def test_sft_by_hand() -> None:
    work = FORMULAS["sft"](SFT(epochs=3, dtype="float32"), SHAPE, Sizes(samples=Many(40, 20)), PLAN)
    assert work.trained_tokens == 3 * 40 * 20
    assert work.flops == 2400 * (6 * N + 3 * ATTENTION * 10)
    assert work.seconds == pytest.approx(work.flops / 1e6)
    assert work.sampled_tokens == 0


def test_steps_of_a_lower_cap_are_charged_at_it() -> None:
    """3 of 5 steps of 2 prompts x 4 completions, half of 4 tokens long on average, then half of 10."""
    config = RL(steps=5, prompts_per_step=2, sampling=TEN, shorter=(Shorter(until=3, max_tokens=4),), final_split="")
    sizes = Sizes(prompt=6)
    work = FORMULAS["r1_zero"](config, SHAPE, sizes, PLAN)
    assert work.trained_tokens == 3 * (2 * 4 * 2 + 2 * 6) + 2 * (2 * 4 * 5 + 2 * 6)


def test_a_finished_sft_model_is_judged_once() -> None:
    config = SFT(epochs=1, evaluation=EvaluationConfig(k=2), sampling=TEN)
    work = FORMULAS["cold_start_sft"](config, SHAPE, Sizes(prompt=6, problems=lambda evaluation: 3), PLAN)
    assert work.sampled_tokens == 3 * 2 * 5
    assert work.flops == 2 * N * (3 * 6 + 30) + 30 * ATTENTION * (6 + 2.5)


def test_a_collection_by_hand() -> None:
    config = RejectionSampling(prompts=100, prompts_per_step=20, sampling=TEN, dtype="float32")
    work = FORMULAS["rejection_sampling"](config, SHAPE, Sizes(asked=(Many(100, 6),)), PLAN)
    assert (work.trained_tokens, work.sampled_tokens) == (0, 100 * 4 * 5)
    assert work.flops == 2 * N * (100 * 6 + 2000) + 2000 * ATTENTION * (6 + 2.5)
    moved = 5 * 10 * SHAPE.parameters * 4 + 2000 * 8.5 * SHAPE.cache_bytes(4)  # each of 5 steps waits for its longest
    assert work.seconds == pytest.approx(max(work.flops / 1e6, moved / 5e5))
    assert work.memory == SHAPE.parameters * 4 + 80 * 16 * SHAPE.cache_bytes(4)


def test_a_refiner_and_a_judge_that_are_models_read_every_response() -> None:
    rules = ColdStart(sampling=TEN)
    written = replace(rules, refiner="r1_zero", refiner_sampling=Sampling(n=1, max_tokens=30))
    judged = replace(rules, judge_sampling=Sampling(n=1, max_tokens=40))
    sizes = Sizes(asked=(Many(64, 6),))
    alone = FORMULAS["cold_start"](rules, SHAPE, sizes, PLAN).sampled_tokens
    assert alone == 64 * 4 * 5
    assert FORMULAS["cold_start"](written, SHAPE, sizes, PLAN).sampled_tokens == alone + 64 * 4 * 15
    assert FORMULAS["cold_start"](judged, SHAPE, replace(sizes, judged=0.5), PLAN).sampled_tokens == alone + 32 * 4 * 20


def test_both_reward_models_by_hand() -> None:
    config = RewardModels(epochs=2, held_out_share=0.25)
    examples = {"helpfulness": Many(40, 10), "safety": Many(80, 20)}
    work = FORMULAS["reward_models"](config, SHAPE, Sizes(examples=examples), PLAN)
    helpful, safe = 2 * 40 * 10, 80 * 20  # a pair has two responses
    assert work.trained_tokens == 2 * 0.75 * (helpful + safe)
    weights = BODY + 8  # a head of one row
    per_token = {helpful: 6 * weights + 3 * ATTENTION * 5, safe: 6 * weights + 3 * ATTENTION * 10}
    assert work.flops == sum(tokens * each * (1.5 + 0.25 / 3) for tokens, each in per_token.items())
    own = replace(config, helpfulness=PairData(own_samples=10, sampling=Sampling(n=2, max_tokens=10)))
    assert FORMULAS["reward_models"](own, SHAPE, Sizes(prompt=6, examples=examples), PLAN).sampled_tokens == 10 * 2 * 5


def test_every_checkpoint_on_every_problem_and_some_in_other_templates() -> None:
    config = Evaluate(
        stages=("base", "r1_zero"), evaluation=EvaluationConfig(k=4), sampling=TEN,
        templates={"plain": Template(name="plain"), "r1_zero": Template(name="r1_zero")},
    )  # fmt: skip
    work = FORMULAS["evaluate"](config, SHAPE, Sizes(problems=lambda evaluation: 7, template_problems=3), PLAN)
    assert work.sampled_tokens == 2 * (7 + 2 * 3) * 4 * 5
    assert work.trained_tokens == 0


def test_students_by_hand() -> None:
    small = Shape(vocab=100, hidden=4, ffn=8, layers=1, heads=1, kv_heads=1, head_dim=4, tied=True)
    config = Distill(
        students={"one": Student(model=Model()), "two": Student(model=Model(name="named"), direct_rl=True)},
        base_steps=10,
        sft=SFT(epochs=2),
        rl=RL(steps=200, prompts_per_step=2, sampling=TEN, evaluate_every=25),
    )
    sizes = Sizes(
        samples=Many(30, 20), students={"one": SHAPE, "two": small}, pretrain=Pretrain(tokens_per_step=50),
        data_flops=1e5,
    )  # fmt: skip
    work = FORMULAS["distill"](config, SHAPE, sizes, PLAN)
    # the small one: 4 x 16 attention, 3 x 32 feed-forward and the head make 560 parameters; 16 operations a token and
    # earlier token. It learns 2 x 30 x 20 tokens of 20: 1,200 x (6 x 560 + 3 x 16 x 10)
    learnt = 1200 * 3840
    # a step: 2 x 4 responses of 5 tokens, sampled once and three forwards for the update, each 40 x (1,120 + 16 x 2.5)
    a_step = 4 * 40 * 1160
    steps = 26  # (4,608,000 + 100,000) / 185,600 = 25.4: not at the next evaluation, which is at step 50
    assert work.trained_tokens == 10 * 50 + 2 * 1200 + steps * 40
    assert work.sampled_tokens == steps * 40
    base, first = 500 * 6 * N, 1200 * (6 * N + 3 * ATTENTION * 10)
    assert work.flops == pytest.approx(base + first + learnt + steps * a_step)
    few = replace(config, rl=replace(config.rl, steps=1))
    assert FORMULAS["distill"](few, SHAPE, sizes, PLAN).sampled_tokens == 40, "steps is the most that RL may take"


def test_what_is_looked_up_in_the_recipe() -> None:
    own = ["rejection_sampling.prompts=10", "rejection_sampling.limit=35", "rejection_sampling.general.count=400"]
    own += ["cold_start.limit=0", "cold_start.keep=2", "cold_start.general.count=40"]
    recipe = load_recipe("nano", own)
    cold, learnt = (sizes_of(recipe, stage, SHAPE, 0.5) for stage in ("cold_start", "cold_start_sft"))
    routes = recipe.stages["cold_start"].routes
    assert sum(many.number for many in cold.asked) == sum(routes.values())
    assert learnt.samples.number == 2 * sum(routes.values()) + 3 * 40, "two kept a question, three kinds of others"
    assert sizes_of(recipe, "sft", SHAPE, 0.5).samples.number == 35 + 3 * 400
    students = sizes_of(recipe, "distill", SHAPE, 0.5).students
    assert students["qwen-s"].qk_norm
    assert {shape.vocab for shape in students.values()} == {100}
    assert set(sizes_of(recipe, "reward_models", SHAPE, 0.5).examples) == {"helpfulness", "safety"}
    assert plan_recipe(recipe, SHAPE, PLAN)["evaluate"].sampled_tokens > 0


# ---- stages by kind, and of the user's own -----------------------------------------------------------------------

OWN = """
from dataclasses import dataclass
from r1kit.loops.settings import RL

class Silent:
    def run(self, workspace):
        "A stage that says nothing of its cost."

class Weighed:
    tokens: float = 1000.0
    leaves = "a table"
    def run(self, workspace): ...
    def plan(self, planner):
        return planner.train(tokens=self.tokens, length=20) + planner.sample(prompts=3, n=2, max_tokens=10)

class Wrong:
    def run(self, workspace): ...
    def plan(self, planner):
        return 7

class Broken:
    def run(self, workspace): ...
    def plan(self, planner):
        return planner.train(tokens=1 / 0, length=1)

@dataclass(frozen=True, slots=True, kw_only=True)
class Mine(RL):
    def run(self, workspace): ...
"""


def own_recipe(folder: Path, stages: str) -> Recipe:
    (folder / "own.py").write_text(OWN)
    text = f"[model]\nname = 'org/none'\n[tasks.countdown]\n{stages}".replace("OWN", str(folder / "own.py"))
    (folder / "own.toml").write_text(text)
    return load_recipe(str(folder / "own.toml"))


def test_two_rl_stages_under_other_names_are_planned_by_their_kind(tmp_path: Path) -> None:
    stages = "[stages.maths]\nkind = 'reasoning_rl'\nstart = 'base'\nsteps = 3\n"
    stages += "[stages.again]\nkind = 'r1_zero'\nstart = 'maths'\nsteps = 6\n"
    works = plan_recipe(own_recipe(tmp_path, stages), SHAPE, PLAN)
    assert list(works) == ["maths", "again"]
    assert works["maths"] is not None
    assert works["again"] is not None
    assert works["again"].trained_tokens == 2 * works["maths"].trained_tokens > 0


def test_a_user_s_stage_brings_its_own_formula_or_is_not_planned(tmp_path: Path) -> None:
    """1,000 tokens of length 20 learnt; 3 prompts x 2 completions x 5 tokens sampled."""
    stages = "[stages.silent]\nkind = 'OWN:Silent'\n[stages.weighed]\nkind = 'OWN:Weighed'\n"
    stages += (
        "[stages.mine]\nkind = 'OWN:Mine'\nstart = 'base'\nsteps = 2\n[stages.ours]\nkind = 'r1_zero'\nsteps = 2\n"
    )
    works = plan_recipe(own_recipe(tmp_path, stages), SHAPE, PLAN)
    assert works["silent"] is None
    weighed = works["weighed"]
    assert weighed is not None
    assert (weighed.trained_tokens, weighed.sampled_tokens) == (1000, 30)
    learnt = 1000 * (6 * N + 3 * ATTENTION * 10)
    prompt = (weighed.flops - learnt - 30 * (2 * N + ATTENTION * 2.5)) / (3 * 2 * N + 30 * ATTENTION)
    assert 5 < prompt < 60, "what is left is three prompts, read once each and attended to by 30 tokens"
    assert works["mine"] == works["ours"], "settings that are an RL cost what RL does"


def test_a_formula_that_gives_no_work_is_one_line(tmp_path: Path) -> None:
    recipe = own_recipe(tmp_path, "[stages.wrong]\nkind = 'OWN:Wrong'\n")
    with pytest.raises(InputError, match=r"stage 'wrong': its plan\(planner\) gave 7; give a Work"):
        plan_recipe(recipe, SHAPE, PLAN)


def test_a_formula_that_raises_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    recipe = own_recipe(tmp_path, "[stages.broken]\nkind = 'OWN:Broken'\n")
    line = OWN.splitlines().index("        return planner.train(tokens=1 / 0, length=1)") + 1
    said = rf"^own\.py:Broken\.plan: own\.py:{line}: ZeroDivisionError: division by zero$"
    with pytest.raises(InputError, match=said):
        plan_recipe(recipe, SHAPE, PLAN)


def test_a_planner_knows_our_stages_and_what_came_before(tmp_path: Path) -> None:
    recipe = own_recipe(tmp_path, "[stages.silent]\nkind = 'OWN:Silent'\n")
    planner = Planner(recipe=recipe, stage="silent", shape=SHAPE, where=PLAN, earlier={"before": Work(flops=3.0)})
    assert planner.of("sft", SFT(epochs=3, data="before")).trained_tokens == 0
    config = RL(steps=3, prompts_per_step=2, sampling=TEN, tasks=("countdown",), final_split="")
    assert planner.of("r1_zero", config).sampled_tokens >= 3 * 2 * 4 * 5
    with pytest.raises(InputError, match="kind 'own', which has no formula"):
        planner.of("own", object())


def test_the_command_says_what_it_cannot_plan(tmp_path: Path) -> None:
    own_recipe(tmp_path, "[stages.silent]\nkind = 'OWN:Silent'\n[stages.rl]\nkind = 'r1_zero'\nsteps = 2\n")
    shape = ["--set", "model.hidden_size=64", "--set", "model.num_layers=2", "--vocab", "100"]
    file = tmp_path / "plan.json"
    said = CliRunner().invoke(
        app, ["plan", str(tmp_path / "own.toml"), *shape, "--json", str(file)], catch_exceptions=False
    )
    assert re.search(r"^silent +not planned: own.py:Silent brings no formula$", said.output, re.MULTILINE)
    stages = json.loads(file.read_text())["stages"]
    assert (stages["silent"], stages["rl"]["trained_tokens"] > 0) == (None, True)


def test_a_plan_draws_the_problems_of_a_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two RL stages evaluate before, under way and after: the same splits, which a generator is slow to draw."""
    asked: list[tuple[str, str, int | None]] = []
    held_out = Countdown.held_out

    def counted(task: Countdown, split: Split, limit: int | None = None) -> list[Prompt]:
        asked.append((task.name, split, limit))
        return held_out(task, split, limit)

    monkeypatch.setattr(Countdown, "held_out", counted)
    plan_recipe(load_recipe("nano", ["name=plan"]), SHAPE, PLAN)
    assert asked
    assert len(asked) == len(set(asked))
