"""Steps brought to a few shapes, as CUDA graphs replay them: on a CPU without the graphs, the same pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_engines import FAMILIES, PROMPTS, SEEDS, Words, decoder, texts

from r1kit.model.families.dense import Layer
from r1kit.model.weights import NamedWeights
from r1kit.records import Sampling
from r1kit.rollout import graphs, local
from r1kit.rollout.graphs import GraphedDecoder, rounded
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.piece import Ticket
from r1kit.rollout.session import Session

SHAPES: dict[str, dict[str, Any]] = FAMILIES | {
    "windows": {"num_layers": 4, "layers": tuple(Layer(window=window) for window in (0, 9, 9, 30))}
}


@pytest.fixture
def shaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every local engine takes steps of few shapes, small ones."""
    monkeypatch.setattr(local, "graphs_serve", lambda *_: True)
    monkeypatch.setattr(graphs, "_LEAST_ROWS", 4)
    monkeypatch.setattr(graphs, "_LEAST_COLUMNS", 8)


@pytest.mark.parametrize(("family", "max_rows"), [*((family, 7) for family in SHAPES), ("llama", 3), ("llama", 64)])
def test_rows_and_columns_beyond_those_in_use_change_no_token(
    family: str, max_rows: int, request: pytest.FixtureRequest
) -> None:
    model, sampling = decoder(**SHAPES[family]), Sampling(n=6, max_tokens=45, stop=("w17",))
    expected = LocalEngine(model, Words(), max_rows=max_rows).generate(PROMPTS, sampling, SEEDS)
    request.getfixturevalue("shaped")
    found = LocalEngine(model, Words(), max_rows=max_rows).generate(PROMPTS, sampling, SEEDS)
    assert texts(found) == texts(expected)
    for one, two in zip(sum(found, ()), sum(expected, ()), strict=True):
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(two.logprobs), rtol=0, atol=1e-5)


def test_a_call_meets_few_shapes(shaped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 rows that end one by one within 45 tokens, in steps of four rows and eight columns."""
    met: list[tuple[int, int]] = []
    plain = GraphedDecoder._padded_pass

    def counted(self: GraphedDecoder, rows: int, columns: int) -> torch.Tensor:
        met.append((rows, columns))
        return plain(self, rows, columns)

    monkeypatch.setattr(GraphedDecoder, "_padded_pass", counted)
    LocalEngine(decoder(), Words(), max_rows=24).generate(PROMPTS, Sampling(n=6, max_tokens=45), SEEDS)
    assert len(met) == 44
    assert all(rows % 4 == 0 and (columns % 8 == 0 or columns == 50) for rows, columns in met)
    assert met[0] == (24, 8)
    assert len(set(met)) <= 12


def test_what_is_captured_serves_half_as_many_rows_until_they_are_met_often(
    shaped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph's stand-in does the work that the graph would. 32 rows are captured when they are met again, 22 and 16
    after 16 steps in the larger graph, 10 with their last five tokens not at all."""
    recorded: list[int] = []

    class StandIn:
        def __init__(self, decoder: GraphedDecoder, shape: graphs._Shape) -> None:
            self.decoder, self.shape = decoder, shape

        def replay(self) -> None:
            self.shape.hidden = self.decoder._padded_pass(self.shape.rows, self.shape.columns)

    def record(self: GraphedDecoder, shape: graphs._Shape) -> None:
        recorded.append(shape.rows)
        shape.graph = StandIn(self, shape)  # type: ignore[assignment]

    sampling, limits = Sampling(n=8, max_tokens=60), [60] * 10 + [55] * 6 + [30] * 6 + [4] * 10
    model = decoder()
    expected = LocalEngine(model, Words(), max_rows=32, end_ids=[]).generate(PROMPTS, sampling, SEEDS, limits)
    monkeypatch.setattr(GraphedDecoder, "_record", record)
    monkeypatch.setattr(graphs, "_LEAST_COLUMNS", 256)
    plain = GraphedDecoder.__init__

    def capturing(self: GraphedDecoder, *arguments: Any) -> None:
        plain(self, *arguments)
        self._capture = True

    monkeypatch.setattr(GraphedDecoder, "__init__", capturing)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    found = LocalEngine(model, Words(), max_rows=32, end_ids=[]).generate(PROMPTS, sampling, SEEDS, limits)
    assert texts(found) == texts(expected)
    assert recorded == [32, 24, 16]


def test_rows_go_on_with_new_weights(request: pytest.FixtureRequest) -> None:
    def told() -> list[tuple[int, ...]]:
        model, found = decoder(), list[tuple[int, ...]]()
        engine = LocalEngine(model, Words(), max_rows=6)
        session = Session(engine)
        for place in (0, 1):
            sampling = Sampling(n=3, max_tokens=30)
            session.add(
                PROMPTS[place], sampling, SEEDS[place], lambda rows: found.extend(row.token_ids for row in rows)
            )
        session.advance()
        model.head.mul_(0.5)
        engine.load_weights(NamedWeights(model.hub_weights()), 1)
        while session.advance():
            pass
        return sorted(found)

    expected = told()
    request.getfixturevalue("shaped")
    assert told() == expected


def test_slots_that_were_left_do_not_spoil_the_rows_that_take_them(request: pytest.FixtureRequest) -> None:
    """A row joins late and leaves; new weights then read the older one again, which ends before where that began."""

    def told() -> list[tuple[int, ...]]:
        model, found = decoder(), list[tuple[int, ...]]()
        engine = LocalEngine(model, Words(), max_rows=4, end_ids=[])
        session, sampling = Session(engine, recompute=True), Sampling(n=1, max_tokens=60)

        def add(seed: int) -> Ticket:
            session.add(PROMPTS[0], sampling, seed, lambda rows: found.extend(row.token_ids for row in rows))
            return next(reversed(next(iter(session._flights.values()))._asked.values()))

        add(0)
        for _ in range(10):
            session.advance()
        late = add(1)
        session.advance()
        session.cancel(late)
        engine.load_weights(NamedWeights(model.hub_weights()), 1)
        for _ in range(2):
            session.advance()
        add(2)
        while session.advance():
            pass
        return found

    expected = told()
    request.getfixturevalue("shaped")
    assert told() == expected


@pytest.mark.parametrize(
    ("count", "least", "up"),
    [(1, 8, 8), (8, 8, 8), (9, 8, 16), (65, 8, 80), (130, 8, 160), (256, 8, 256), (1025, 64, 1280)],
)
def test_shapes_are_an_eighth_apart(count: int, least: int, up: int) -> None:
    assert rounded(count, least) == up
