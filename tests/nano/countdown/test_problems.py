import dataclasses
from random import Random

import pytest

from r1kit.errors import InputError
from r1kit.nano.countdown.problems import (
    CountdownConfig,
    Problem,
    draw_problem,
    draw_wide_problem,
    multisets,
    question,
    targets,
    trains_on,
)
from r1kit.seeds import stream


def test_the_split_covers_every_multiset_once() -> None:
    config = CountdownConfig()
    parts = {part: set(multisets(config, part)) for part in ("train", "dev", "test")}
    assert {part: len(found) for part, found in parts.items()} == {"train": 261, "dev": 24, "test": 79}
    assert len(parts["train"] | parts["dev"] | parts["test"]) == 364  # 14 choose 3


def test_the_split_does_not_move_with_the_training_seed() -> None:
    assert multisets(CountdownConfig(seed=1), "test") == multisets(CountdownConfig(seed=2), "test")
    assert multisets(CountdownConfig(split_seed=1), "test") != multisets(CountdownConfig(), "test")
    assert multisets(CountdownConfig(), "test")[:2] == ((5, 12, 12), (4, 7, 10))  # pinned


def test_drawn_problems_are_training_ones_and_cover_the_settings() -> None:
    config, rng = CountdownConfig(), Random(0)
    problems = [draw_problem(rng, config) for _ in range(4000)]
    assert {tuple(sorted(problem.numbers)) for problem in problems} <= set(multisets(config, "train"))
    assert {number for problem in problems for number in problem.numbers} == set(range(1, 13))
    assert 0.27 < sum(problem.language == "zh" for problem in problems) / 4000 < 0.33


def test_what_trains_is_what_is_not_held_out() -> None:
    config = CountdownConfig()
    assert all(trains_on(config, multiset) for multiset in multisets(config, "train"))
    assert not any(trains_on(config, multiset) for part in ("dev", "test") for multiset in multisets(config, part))


def test_wide_problems_have_a_number_above_the_highest_and_a_target_they_can_make() -> None:
    config, rng = CountdownConfig(), Random(1)
    problems = [draw_wide_problem(rng, config) for _ in range(4000)]
    held = {*multisets(config, "dev"), *multisets(config, "test")}
    assert not held & {tuple(sorted(problem.numbers)) for problem in problems}
    assert {max(problem.numbers) for problem in problems} == set(range(13, 25))
    assert {number for problem in problems for number in problem.numbers} == set(range(1, 25))
    assert all(problem.target in targets(config, tuple(sorted(problem.numbers))) for problem in problems)
    assert 0.27 < sum(problem.language == "zh" for problem in problems) / 4000 < 0.33


def test_wide_problems_that_make_nothing_within_the_limit_are_given_up() -> None:
    with pytest.raises(InputError, match="no wide problem"):
        draw_wide_problem(
            Random(0),
            CountdownConfig(
                numbers=6, highest=2, limit=2, targets=(0, 2), ops=("+",), dev_multisets=1, test_multisets=1
            ),
        )


EVERYONES = CountdownConfig(
    numbers=3, most=4, highest=99, divide="exact", limit=9999, targets=(10, 99), dev_multisets=20, test_multisets=40
)


def test_the_game_with_three_or_four_numbers_up_to_99() -> None:
    held = {*multisets(EVERYONES, "dev"), *multisets(EVERYONES, "test")}
    assert len(held) == 60
    assert {len(numbers) for numbers in held} == {3, 4}
    problems = [draw_problem(Random(seed), EVERYONES) for seed in range(40)]
    for problem in problems:
        assert tuple(sorted(problem.numbers)) not in held
        assert all(1 <= number <= 99 for number in problem.numbers)
        assert 10 <= problem.target <= 99
        assert problem.target in targets(EVERYONES, tuple(sorted(problem.numbers)))
    assert 10 < sum(len(problem.numbers) == 4 for problem in problems) < 30
    assert not any(trains_on(EVERYONES, numbers) for numbers in held)
    assert trains_on(EVERYONES, (19, 35, 44))  # 44 + 19 + 35 = 98
    assert not trains_on(EVERYONES, (19, 35, 100))
    assert not trains_on(EVERYONES, (19, 35))


def test_held_out_problems_of_a_large_game_do_not_move_with_the_training_seed() -> None:
    again = dataclasses.replace(EVERYONES, seed=3)
    assert multisets(again, "test") == multisets(EVERYONES, "test")
    assert multisets(dataclasses.replace(EVERYONES, split_seed=3), "test") != multisets(EVERYONES, "test")


def test_targets_by_hand() -> None:
    # 2 and 6: 8, 4, 12 and 6 / 2 = 3
    two = CountdownConfig(numbers=2, dev_multisets=1, test_multisets=1)
    assert list(targets(dataclasses.replace(two, divide="exact"), (2, 6))) == [3, 4, 8, 12]
    assert list(targets(dataclasses.replace(two, targets=(4, 10)), (2, 6))) == [4, 8]
    # with numbers left over 3 numbers make what any 2 of them do
    assert set(targets(two, (2, 6))) <= set(targets(CountdownConfig(use_all=False), (1, 2, 6)))


def test_questions() -> None:
    problem = Problem((44, 19, 35), 98, "en")
    assert question(problem) == "use 44 19 35 make 98"
    assert question(dataclasses.replace(problem, language="ko")) == "사용 44 19 35 만들기 98"
    assert question(problem, "Of {numbers} make {target}, {target}!") == "Of 44, 19, 35 make 98, 98!"


def test_a_share_in_korean_moves_nothing_else() -> None:
    """The draw that says Chinese or not says Korean too: the other problems stay as they are."""
    with_korean = CountdownConfig(korean_share=0.2)
    counts = {"en": 0, "zh": 0, "ko": 0}
    for index in range(2000):
        one, other = (draw_problem(stream(0, "x", index), config) for config in (CountdownConfig(), with_korean))
        counts[other.language] += 1
        assert (one.numbers, one.target) == (other.numbers, other.target)
        assert other.language == one.language or (one.language, other.language) == ("en", "ko")
    assert counts["zh"] / 2000 == pytest.approx(0.3, abs=0.03)
    assert counts["ko"] / 2000 == pytest.approx(0.2, abs=0.03)


def test_streams_of_different_names_seeds_and_indices_differ() -> None:
    drawn = {stream(seed, name, index).random() for seed in (0, 1) for name in ("a", "b") for index in (0, 1)}
    assert len(drawn) == 8
    assert stream(1, "a", 2).random() == stream(1, "a", 2).random()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"numbers": 1}, "numbers = 1; allowed is 2..6"),
        ({"highest": 100}, "highest = 100"),
        ({"ops": ("+", "/")}, 'divide = "exact" adds /'),
        ({"chinese_share": 1.2}, "chinese_share = 1.2"),
        ({"chinese_share": 0.3, "korean_share": 0.8}, "korean_share = 0.8; allowed is 0..1 - chinese_share = 0.7"),
        ({"test_multisets": 340}, "leave none of the 364 multisets"),
        ({"test_targets": 0}, "at least 1"),
        ({"most": 2}, "most = 2; allowed is 0 or numbers..6"),
        ({"lowest": 13}, "lowest = 13"),
        ({"targets": (10, 120)}, r"targets = \[10, 120\]"),
        ({"question": "make {target}"}, "must hold {numbers} and {target}"),
    ],
)
def test_wrong_settings_are_told_in_one_line(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        CountdownConfig(**wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
