"""Expert parallel: experts whole on one rank of a group each give what all of them on every rank give."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from r1kit.checks import check_recipe
from r1kit.cluster.settings import FSDP, VLLM, EngineChoice, LearnerChoice, Local
from r1kit.errors import InputError
from r1kit.recipe import load_recipe

Run = Callable[..., list[Any]]
SILU = 1 / (1 + math.exp(-1))
"""silu(1)"""
COUNTED_TWICE = ("sequence", "replay")
"""Cases with tokens that only the ranks' loads count: what fills a slice up, a prompt that two ranks share."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experts")


@pytest.fixture(scope="module")
def two(folder: Path, on_ranks_once: Run) -> list[dict[str, Any]]:
    return on_ranks_once(2, "update.ranked_expert_parallel:everything", str(folder))


@pytest.mark.parametrize(
    ("case", "factors", "sums"),
    [
        # v are 1, 2, 3 for experts 0, 0, 3 and 1, 2, 3, 4 for 0, 3, 3, 3: expert 0 has 1 + 2 + 1, expert 3 has
        # 3 + 2 + 3 + 4, the others nothing
        ("uneven", ([1, 1, 4], [1, 4, 4, 4]), ([4, 0], [0, 12])),
        ("none for rank 0", ([3, 4], [4]), ([0, 0], [1, 3])),
        ("none of rank 1", ([1, 2, 2, 3], []), ([1, 5], [4, 0])),
        ("a rank by itself", ([1, 2], [3, 4, 4]), ([1, 2], [1, 5])),
    ],
)
def test_rows_go_to_their_expert_and_back(
    two: list[dict[str, Any]], case: str, factors: tuple[list[int], ...], sums: tuple[list[int], ...]
) -> None:
    """Expert i gives (i + 1) silu(1) v: the gradient of a row's v is the factor, that of an expert's factor the sum of
    its rows' v, times silu(1)."""
    for rank in range(2):
        made, slopes, experts = two[rank]["sent"][case]
        values = range(1, len(factors[rank]) + 1)
        assert made == pytest.approx([f * v * SILU for f, v in zip(factors[rank], values, strict=True)])
        assert slopes == pytest.approx([f * SILU for f in factors[rank]])
        assert experts == pytest.approx([one * SILU for one in sums[rank]])


def test_two_ranks_equal_the_local_learner_alone(two: list[dict[str, Any]]) -> None:
    """Drawn shapes: loss, norm, loads, balance loss, log-probs, weights; each rank keeps half of the experts."""
    agree([rank["drawn"] for rank in two])


@pytest.mark.slow
def test_four_ranks_equal_the_local_learner_alone(on_ranks: Run) -> None:
    """Four ranks, or two copies of two."""
    agree(on_ranks(4, "update.ranked_expert_parallel:compare", tuple(range(5))))


def agree(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        for case, (wanted, found, kept) in rank.items():
            assert kept, case
            assert found[0] == ranks[0][case][1][0], "metrics are equal on every rank"
            same(wanted, found, case)


def same(wanted: Any, found: Any, case: str) -> None:
    for one, other in zip(wanted[0], found[0], strict=True):
        if case in COUNTED_TWICE:
            one, other = ({k: v for k, v in each.items() if "violation" not in k} for each in (one, other))
        assert other == pytest.approx(one, rel=1e-4, abs=1e-5), case
        assert other["grad_norm"] == pytest.approx(one["grad_norm"], rel=2e-6), case
    torch.testing.assert_close(found[1], wanted[1], rtol=0, atol=1e-5)
    assert set(found[2]) == set(wanted[2])
    for name, weight in wanted[2].items():
        torch.testing.assert_close(found[2][name], weight, rtol=0, atol=5e-5, msg=lambda m, n=name: f"{case}, {n}: {m}")


def test_experts_that_were_sampled_are_taken(two: list[dict[str, Any]]) -> None:
    for alone, found in (rank["replayed"] for rank in two):
        same(alone, found, "replay")


@pytest.mark.parametrize("parts", [1, 2])
def test_a_state_goes_on_with_experts_on_their_ranks_or_shared_out(two: list[dict[str, Any]], parts: int) -> None:
    """Bit for bit as it was, and shared out row by row within rounding."""
    for rank in two:
        (metrics, *rest), (again, *more) = rank["resumed"][0], rank["resumed"][parts]
        same(([metrics], *rest), ([again], *more), f"{parts} parts")
        if parts == 2:
            assert again == metrics
            assert all(torch.equal(weight, more[1][name]) for name, weight in rest[1].items())


def test_what_is_exported_does_not_depend_on_where_experts_are(two: list[dict[str, Any]], folder: Path) -> None:
    for file in (folder / "model-1").iterdir():
        assert file.read_bytes() == (folder / "model-2" / file.name).read_bytes(), file


def test_in_bfloat16_they_agree_as_its_rounding_lets_them(two: list[dict[str, Any]]) -> None:
    for alone, found in (rank["rounded"] for rank in two):
        assert found["loss"] == pytest.approx(alone["loss"], rel=0.02)
        assert found["grad_norm"] == pytest.approx(alone["grad_norm"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "size"), [(4, 4), (4, 2), (1, 1)])
def test_other_ranks_go_on_from_what_two_wrote(
    two: list[dict[str, Any]], folder: Path, on_ranks: Run, ranks: int, size: int
) -> None:
    metrics, *rest = two[0]["resumed"][0]
    for again, *more in on_ranks(ranks, "update.ranked_expert_parallel:gone_on", str(folder), size):
        same(([metrics], *rest), ([again], *more), f"{ranks} ranks")


def test_what_cannot_be_shared_is_one_line(two: list[dict[str, Any]]) -> None:
    none = "learner.expert_parallel = 2: the model has no experts that are shared out; set 1"
    told = [
        "learner.expert_parallel = 2 does not divide the model's 3 experts; choose a divisor",
        none,
        none,
        "learner.expert_parallel = 3 does not divide the 2 ranks; change one of them",
    ]
    assert [rank["refused"] for rank in two] == [told] * 2


@pytest.mark.parametrize(
    ("learner", "line"),
    [
        ('{kind="fsdp", expert_parallel=2}', "learner.expert_parallel = 2: the model has no experts that are shared"),
        ('{kind="local", expert_parallel=2}', "learner: unknown key 'expert_parallel'"),
        ('{kind="fsdp", expert_parallel=0}', "learner.expert_parallel = 0: must be at least 1"),
        ('{kind="fsdp", expert_parallel=3}', "learner.expert_parallel = 3 does not divide the 4 ranks"),
    ],
)
def test_a_recipe_is_refused_before_anything_loads(learner: str, line: str) -> None:
    with pytest.raises(InputError) as refused:
        check_recipe(load_recipe("nano-zero", ["ranks=4", f"learner={learner}"]))
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_dense_students_of_a_mixture_are_trained_as_before() -> None:
    own = ["ranks=2", 'learner={kind="fsdp", expert_parallel=2, offload="all"}']
    recipe = load_recipe("nano-deepseek", own)
    check_recipe(recipe)
    assert recipe.learner.dense().settings == FSDP(offload="all")
    assert LearnerChoice("local").dense() == LearnerChoice("local")
    engine = EngineChoice("vllm", VLLM(tensor_parallel=2, expert_parallel=True))
    assert engine.dense().settings == VLLM(tensor_parallel=2)
    assert EngineChoice("local", Local(draft=True, replay=True)).dense() == EngineChoice("local", Local())


@pytest.mark.parametrize(
    ("settings", "experts"), [(["nano-deepseek"], 8), (["smollm2-zero", "model.name=Qwen3-30B-A3B"], 128)]
)
def test_experts_of_a_recipe_s_model_are_counted(settings: list[str], experts: int) -> None:
    name, *more = settings
    with pytest.raises(InputError, match=rf"learner.expert_parallel = 3 does not divide the model's {experts} experts"):
        check_recipe(load_recipe(name, [*more, "ranks=3", 'learner={kind="fsdp", expert_parallel=3}']))
