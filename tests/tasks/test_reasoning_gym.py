import re
import subprocess
import sys

import pytest

from r1kit.errors import InputError
from r1kit.tasks.reasoning_gym import ReasoningGym, ReasoningGymConfig

ONE_DIGIT = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}


def sums(**settings: object) -> ReasoningGym:
    config = {"generator": "chain_sum", "options": ONE_DIGIT, "test_share": 0.2, "test_size": 500, **settings}
    return ReasoningGym("sums", ReasoningGymConfig(**config))  # type: ignore[arg-type]


def test_a_question_is_in_one_part_only() -> None:
    task = sums()
    train = {task.train(index).question for index in range(2500)}
    test = {prompt.question for prompt in task.held_out("test")}
    dev = {prompt.question for prompt in task.held_out("dev")}
    assert len(train) + len(test) + len(dev) == 200  # a + b and a - b, a and b of 0..9: all that there are
    assert len(train | test | dev) == 200
    assert len(test) == len(task.held_out("test"))


def test_train_is_a_pure_function_and_seeds_are_far_apart() -> None:
    first = [sums().train(index).question for index in range(200)]
    task = sums()
    assert [task.train(index).question for index in reversed(range(200))] == first[::-1]
    second = [sums(seed=1).train(index).question for index in range(200)]
    agreeing = max(sum(a == b for a, b in zip(first[shift:], second, strict=False)) for shift in range(3))
    assert agreeing < 20
    assert sums(seed=1).held_out("test") == task.held_out("test")


def test_grades_by_its_own_scorer_in_another_process_too() -> None:
    prompt = next(prompt for prompt in sums().held_out("test") if len(prompt.answer or "") == 2)
    task, answer = sums(), prompt.answer or ""
    assert task.grade(prompt, f" {answer}.0 ").correct == 1
    assert task.grade(prompt, f" {answer}.0 ").canonical == answer
    assert task.grade(prompt, "no idea").correct == 0
    assert task.grade(prompt, f"{answer} or 77").correct == 0
    partial = sums(partial_credit=True).grade(prompt, f"{answer}--").correct
    assert partial == 0.5  # 2 of 4 characters


def test_levels_are_those_of_the_generator_s_curriculum_and_held_out_stays_as_the_options_say() -> None:
    """Level 0 of chain_sum has 2 terms of 1 digit, level 2 has 4 terms of 3 digits."""
    task = sums(levels=3, options={**ONE_DIGIT, "max_terms": 3})
    assert task.levels == 3

    def shape(question: str) -> tuple[int, set[int]]:
        numbers = re.findall(r"\d+", question)
        return len(numbers), {len(number) for number in numbers}

    assert {shape(task.train_at(index, 0).question)[0] for index in range(50)} == {2}
    for index in range(50):
        terms, digits = shape(task.train_at(index, 2).question)
        assert (terms, digits) == (4, {3})
    assert task.train_at(7, 1) == sums(levels=2).train_at(7, 1)
    assert task.held_out("dev") == sums(options={**ONE_DIGIT, "max_terms": 3}).held_out("dev")
    assert task.train(7) == sums(options={**ONE_DIGIT, "max_terms": 3}).train(7)
    prompt = task.train_at(3, 2)
    assert sums(levels=3).grade(prompt, prompt.answer or "").correct == 1  # in another process
    assert task.grade(prompt, "1").correct == 0
    held = {prompt.question for prompt in sums(levels=1).held_out("test")}
    assert held.isdisjoint(sums(levels=1).train_at(index, 0).question for index in range(300))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"levels": 99}, "has 11 levels; lower levels to 11"),
        ({"levels": -1}, "levels = -1 must be at least 0"),
        ({"generator": "composite", "options": {}, "levels": 1}, "."),
    ],
)
def test_levels_that_are_not_there(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        sums(**settings)


def test_held_out_sizes_and_suffix() -> None:
    task = ReasoningGym("gcd", ReasoningGymConfig(generator="gcd", test_size=30, dev_size=10, suffix=" Be brief."))
    assert len(task.held_out("test")) == len({prompt.cluster for prompt in task.held_out("test")}) == 30
    assert task.held_out("test", limit=5) == task.held_out("test")[:5]
    assert len(task.held_out("dev")) == 10
    assert task.train(0).question.endswith(" Be brief.")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"generator": "chain_sums"}, "no generator 'chain_sums'.*Did you mean 'chain_sum'"),
        ({"options": {"min_term": 2}}, "no option 'min_term'.*Did you mean 'min_terms'"),
        ({"options": {"min_terms": 5, "max_terms": 2}}, "refuses its options: max_terms must be >= min_terms"),
        ({"options": {"seed": 3}}, "option 'seed'"),
        ({"dev_share": 0.6, "test_share": 0.5}, "together below 1"),
        ({"test_size": 0}, "at least 1"),
    ],
)
def test_wrong_settings(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        sums(**settings)
    assert "\n" not in str(caught.value)


def test_too_few_questions_are_told() -> None:
    with pytest.raises(InputError, match="no question for the test split"):
        sums(test_share=0.0, dev_share=0.0).held_out("test")
    task = sums(options={**ONE_DIGIT, "min_terms": 1, "max_terms": 1}, test_share=0.5, dev_share=0.499999)
    with pytest.raises(InputError, match="met only held-out questions"):
        task.train(0)


def test_the_library_is_imported_late() -> None:
    program = (
        "import sys, r1kit.tasks as tasks; tasks.settings('sums', 'reasoning_gym/chain_sum', {});"
        "print(sorted({'torch', 'transformers', 'reasoning_gym', 'math_verify', 'sympy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.slow
def test_every_generator_serves() -> None:
    from reasoning_gym.factory import DATASETS

    left_out = {"composite", "futoshiki", "arc_agi", "knight_swap"}  # needs options; seconds an item; opens files
    for generator in sorted(set(DATASETS) - left_out):
        settings = ReasoningGymConfig(generator=generator, test_size=1, dev_size=1)
        task, again = ReasoningGym("x", settings), ReasoningGym("x", settings)
        prompt = task.train(0)
        assert again.train(0) == prompt, generator
        if prompt.answer is not None and generator != "propositional_logic":
            assert task.grade(prompt, prompt.answer).correct == 1, generator
