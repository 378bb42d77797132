"""The stages after R1-Zero, planned by hand-computed numbers and as recipe nano has them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from r1kit.plan.cost import Plan
from r1kit.plan.devices import Device
from r1kit.plan.shape import Shape
from r1kit.plan.sizes import Many, Sizes, sizes_of
from r1kit.plan.stage_cost import COSTS, plan_recipe, plan_stage
from r1kit.evals.settings import EvaluationConfig
from r1kit.factory.preferences import PairData
from r1kit.loops.settings import RL, SFT
from r1kit.model.template import Template
from r1kit.recipe import Model, load_recipe
from r1kit.records import Sampling
from r1kit.stages import STAGES, load
from r1kit.stages.cold_start import Config as ColdStart
from r1kit.stages.distill import Config as Distill
from r1kit.stages.distill import Student
from r1kit.stages.evaluate import Config as Evaluate
from r1kit.stages.pretrain import Config as Pretrain
from r1kit.stages.rejection_sampling import Config as RejectionSampling
from r1kit.stages.reward_models import Config as RewardModels

SHAPE = Shape(vocab=100, hidden=8, ffn=16, layers=2, heads=2, kv_heads=1, head_dim=4, tied=True)
BODY = 2 * (64 + 32 + 32 + 64 + 384)
N = BODY + 800
ATTENTION = 4 * 2 * 2 * 4
"""Operations of a token's attention to one earlier token: layers, heads, head size."""
PLAN = Plan(
    device=Device(bf16=4e6, fp32=2e6, bandwidth=1e6, memory=0, price=1), devices=1, mfu=0.5, mbu=0.5, mean_share=0.5
)
TEN = Sampling(n=4, max_tokens=10)


def test_every_stage_is_planned() -> None:
    for name in STAGES:
        assert any(cls in COSTS for cls in load(name).Config.__mro__), name


def test_sft_by_hand() -> None:
    work = plan_stage(SFT(epochs=3), SHAPE, Sizes(samples=Many(40, 20)), PLAN)
    assert work.trained_tokens == 3 * 40 * 20
    assert work.flops == 2400 * (6 * N + 3 * ATTENTION * 10)
    assert work.seconds == pytest.approx(work.flops / 1e6)
    assert work.sampled_tokens == 0


def test_a_finished_sft_model_is_judged_once() -> None:
    config = SFT(epochs=1, evaluation=EvaluationConfig(k=2), sampling=TEN)
    work = plan_stage(config, SHAPE, Sizes(prompt=6, problems=lambda evaluation: 3), PLAN)
    assert work.sampled_tokens == 3 * 2 * 5
    assert work.flops == 2 * N * (3 * 6 + 30) + 30 * ATTENTION * (6 + 2.5)


def test_a_collection_by_hand() -> None:
    config = RejectionSampling(prompts=100, prompts_per_step=20, sampling=TEN)
    work = plan_stage(config, SHAPE, Sizes(asked=(Many(100, 6),)), PLAN)
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
    alone = plan_stage(rules, SHAPE, sizes, PLAN).sampled_tokens
    assert alone == 64 * 4 * 5
    assert plan_stage(written, SHAPE, sizes, PLAN).sampled_tokens == alone + 64 * 4 * 15
    assert plan_stage(judged, SHAPE, replace(sizes, judged=0.5), PLAN).sampled_tokens == alone + 32 * 4 * 20


def test_both_reward_models_by_hand() -> None:
    config = RewardModels(epochs=2, held_out_share=0.25)
    examples = {"helpfulness": Many(40, 10), "safety": Many(80, 20)}
    work = plan_stage(config, SHAPE, Sizes(examples=examples), PLAN)
    helpful, safe = 2 * 40 * 10, 80 * 20  # a pair has two responses
    assert work.trained_tokens == 2 * 0.75 * (helpful + safe)
    weights = BODY + 8  # a head of one row
    per_token = {helpful: 6 * weights + 3 * ATTENTION * 5, safe: 6 * weights + 3 * ATTENTION * 10}
    assert work.flops == sum(tokens * each * (1.5 + 0.25 / 3) for tokens, each in per_token.items())
    own = replace(config, helpfulness=PairData(own_samples=10, sampling=Sampling(n=2, max_tokens=10)))
    assert plan_stage(own, SHAPE, Sizes(prompt=6, examples=examples), PLAN).sampled_tokens == 10 * 2 * 5


def test_every_checkpoint_on_every_problem_and_some_in_other_templates() -> None:
    config = Evaluate(
        stages=("base", "r1_zero"), evaluation=EvaluationConfig(k=4), sampling=TEN,
        templates={"plain": Template(name="plain"), "r1_zero": Template(name="r1_zero")},
    )  # fmt: skip
    work = plan_stage(config, SHAPE, Sizes(problems=lambda evaluation: 7, template_problems=3), PLAN)
    assert work.sampled_tokens == 2 * (7 + 2 * 3) * 4 * 5
    assert work.trained_tokens == 0


def test_students_by_hand() -> None:
    small = Shape(vocab=100, hidden=4, ffn=8, layers=1, heads=1, kv_heads=1, head_dim=4, tied=True)
    config = Distill(
        students={"one": Student(model=Model()), "two": Student(model=Model(name="named"), direct_rl=True)},
        base_steps=10,
        sft=SFT(epochs=2),
        rl=RL(steps=100, prompts_per_step=2, sampling=TEN, evaluate_every=2),
    )
    sizes = Sizes(
        samples=Many(30, 20), students={"one": SHAPE, "two": small}, pretrain=Pretrain(tokens_per_step=50),
        data_flops=1e5,
    )  # fmt: skip
    work = plan_stage(config, SHAPE, sizes, PLAN)
    n, attention = 1 * (4 * 16 + 3 * 32) + 400, 4 * 4
    learnt = 1200 * (6 * n + 3 * attention * 10)
    a_step = 4 * (2 * n * 40 + 40 * attention * 2.5)  # sampled once, three forwards for its update
    steps = -(-(learnt + 1e5) // (2 * a_step)) * 2  # up to the next evaluation
    assert 0 < steps < 100
    assert work.trained_tokens == 10 * 50 + 2 * 1200 + steps * 40
    assert work.sampled_tokens == steps * 40
    base, first = 500 * 6 * N, 1200 * (6 * N + 3 * ATTENTION * 10)
    assert work.flops == pytest.approx(base + first + learnt + steps * a_step)
    few = replace(config, rl=replace(config.rl, steps=1))
    assert plan_stage(few, SHAPE, sizes, PLAN).sampled_tokens == 40, "steps is the most that RL may take"


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
