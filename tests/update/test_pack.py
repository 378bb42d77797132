from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from r1kit.update.learner import Batch, Row
from r1kit.update.pack import assign, build, units


def batch(prompts: list[int], rows: list[tuple[int, int]]) -> Batch:
    """Prompt lengths, and (prompt, length) of each row; every token id is its own running number."""
    count = iter(range(10**6))
    return Batch(
        prompts=[torch.tensor([next(count) for _ in range(n)]) for n in prompts],
        rows=[Row(prompt=p, tokens=torch.tensor([next(count) for _ in range(n)]), weight=1.0) for p, n in rows],
    )


def test_a_group_holds_its_prompt_once_and_no_last_tokens() -> None:
    given = batch([3], [(0, 2), (0, 4), (0, 1)])  # prompt 0 1 2; rows 3 4 | 5 6 7 8 | 9
    (unit,) = units(given, range(3), 100)
    micro = build(given, [unit])
    assert unit.tokens == 7
    assert micro.segments.tokens.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert micro.segments.lengths == (3, 1, 3)
    assert micro.segments.parents == (-1, 0, 0)
    assert micro.targets.tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert micro.index is not None
    assert micro.index.tolist() == [2, 3, 2, 4, 5, 6, 2]  # each first token is predicted by the prompt's last


def test_documents_need_no_index() -> None:
    given = batch([], [(-1, 3), (-1, 2)])
    micro = build(given, units(given, range(2), 100))
    assert micro.segments.tokens.tolist() == [0, 1, 3]
    assert micro.targets.tolist() == [1, 2, 4]
    assert micro.index is None


def test_groups_and_documents_mix() -> None:
    given = batch([2], [(-1, 4), (0, 2)])  # prompt 0 1; document 2 3 4 5; completion 6 7
    micro = build(given, units(given, range(2), 100))
    tokens, targets = micro.segments.tokens, micro.targets
    assert micro.index is not None
    assert sorted(zip(tokens[micro.index].tolist(), targets.tolist(), strict=True)) == [
        (1, 6), (2, 3), (3, 4), (4, 5), (6, 7),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(-1, 3), st.integers(2, 30)), min_size=1, max_size=20),
    st.integers(20, 80),
    st.integers(1, 3),
)
def test_every_row_once_within_the_budget_and_balanced(
    prompts: list[int], rows: list[tuple[int, int]], budget: int, ranks: int
) -> None:
    given = batch(prompts, [(min(p, len(prompts) - 1), n) for p, n in rows])
    found = units(given, range(len(rows)), budget)
    shares = assign(found, budget, ranks)
    assert sorted(row for share in shares for micro in share for unit in micro for row in unit.rows) == list(
        range(len(rows))
    )
    for share in shares:
        for micro in share:
            assert sum(unit.tokens for unit in micro) <= budget or len(micro) == 1
            assert len(build(given, micro).segments.tokens) == sum(unit.tokens for unit in micro)
    loads = [sum(unit.tokens for micro in share for unit in micro) for share in shares]
    assert max(loads) - min(loads) <= max(unit.tokens for unit in found)
