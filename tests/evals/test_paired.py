from r1kit.evals.interval import paired_difference
from r1kit.evals.told import asked_of
from r1kit.records import Message, Prompt


def test_the_difference_is_paired_by_problem() -> None:
    """What is equal in every problem has no width, however much the problems differ."""
    one, other = [0.9, 0.5, 0.3, 0.8], [0.8, 0.4, 0.2, 0.7]
    found = paired_difference(one, other, ["a", "b", "c", "d"])
    assert [round(value, 6) for value in (found["difference"], *found["interval"])] == [0.1, 0.1, 0.1]
    assert found["problems"] == 4


def test_one_cluster_counts_once() -> None:
    found = paired_difference([1, 1, 1, 0], [0, 0, 0, 1], ["a", "a", "a", "b"])
    assert found["difference"] == 0.5
    assert found["interval"] == [-1.0, 1.0]


def test_problems_behind_other_turns_are_not_the_same_problems() -> None:
    def after(text: str) -> Prompt:
        return Prompt(question="And twice that?", answer="6", history=(Message(role="user", content=text),))

    assert asked_of([after("Take 3.")]) == asked_of([after("Take 3.")])
    assert len({asked_of([one]) for one in (after("Take 3."), after("Take 4."), Prompt(question="a", answer="6"))}) == 3
