import itertools
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.nano.list_ops.problems import (
    LIMIT,
    ListOpsConfig,
    Problem,
    chains,
    draw_problem,
    held_out_problems,
    shows,
)
from r1kit.nano.list_ops.steps import OPS, Step, evaluate

CONFIG = ListOpsConfig()
PROBES = [Random(seed).choices(range(10 if seed % 3 else 60), k=2 + seed % 8) for seed in range(300)]


def function(steps: tuple[Step, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(evaluate(steps, probe)) for probe in PROBES)


def test_the_parts_share_no_chain() -> None:
    test, dev, train = (set(chains(CONFIG, part)) for part in ("test", "dev", "train"))
    assert (len(test), len(dev)) == (80, 24)
    assert len(train) > 500
    assert not test & dev
    assert not (test | dev) & train
    assert all(len(set(chain)) == 3 and sum(OPS[op].each for op in chain) <= 1 for chain in test | dev | train)


def test_held_out_problems_are_fixed_and_keep_clusters_under_a_limit() -> None:
    problems = held_out_problems(CONFIG, "test")
    assert held_out_problems(ListOpsConfig(seed=5), "test") == problems
    assert len({problem.chain for problem in problems[:80]}) == 80
    assert 140 <= len(problems) <= 160
    assert len({(problem.chain, function(problem.steps)) for problem in problems}) == len(problems)
    assert {problem.language for problem in problems} == {"en", "zh"}


def test_training_meets_no_held_out_chain_and_no_equal_function() -> None:
    held = [*held_out_problems(CONFIG, "test"), *held_out_problems(CONFIG, "dev")]
    closed, functions = {problem.chain for problem in held}, {function(problem.steps) for problem in held}
    lengths = [0, 0, 0]
    for seed in range(1500):
        problem = draw_problem(Random(seed), CONFIG)
        assert problem.chain not in closed
        assert function(problem.steps) not in functions
        lengths[len(problem.steps) - 1] += 1
    assert [count / 1500 for count in lengths] == pytest.approx(CONFIG.lengths, abs=0.05)


def test_what_is_held_out_is_not_shown_in_other_words_either() -> None:
    # first and add commute, so one is held out with the other wherever the numbers are the same.
    pairs = 0
    for problem in held_out_problems(CONFIG, "test"):
        for order in itertools.permutations(problem.steps):
            if function(order) == function(problem.steps):
                assert not shows(CONFIG, order)
                pairs += order != problem.steps
    assert pairs > 20


def test_every_step_does_something_on_the_example() -> None:
    for seed in range(500):
        problem = draw_problem(Random(seed), CONFIG)
        values = list(problem.example)
        for step in problem.steps:
            before, values = values, step.run(values)
            assert values
            assert values != before
            assert max(values) <= LIMIT


def test_drawing_is_a_function_of_the_random_numbers() -> None:
    assert draw_problem(Random(7), CONFIG) == draw_problem(Random(7), ListOpsConfig(test_problems=2))
    assert isinstance(draw_problem(Random(7), CONFIG), Problem)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"ops": ("asc", "desc", "reverse")}, "needed are 4 or more"),
        ({"ops": ("asc", "desc", "reverse", "sort")}, "each once"),
        ({"lengths": (0.5, 0.6)}, "sum to 1"),
        ({"lengths": (0.5, 0.5, 0.0)}, "leave it out"),
        ({"chinese_share": 2.0}, "chinese_share = 2.0"),
        ({"test_chains": 0}, "at least 1"),
        ({"hidden_tests": 0}, "at least 1"),
    ],
)
def test_wrong_settings(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        ListOpsConfig(**wrong)  # type: ignore[arg-type]


def test_holding_out_everything_is_told() -> None:
    with pytest.raises(InputError, match=r"leave none of the \d+ chains of 3 steps to train on"):
        chains(ListOpsConfig(test_chains=2000), "train")
