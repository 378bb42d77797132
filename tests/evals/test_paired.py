from r1kit.evals.paired import paired_difference


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
