"""Open engines: what is told while it is written, rows that are let go, each row's own way of drawing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from test_engines import PROMPTS, SEEDS, Words, decoder, hub_model

from r1kit.errors import InputError
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Engine
from r1kit.rollout.hub import HubEngine
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.piece import Open, Piece
from r1kit.rollout.session import Session
from r1kit.rollout.waves import Waves

SAMPLING = Sampling(n=2, max_tokens=16)


def local(max_rows: int = 64) -> tuple[Engine, Open]:
    engine = LocalEngine(decoder(), Words(), max_rows=max_rows)
    return engine, Session(engine, serving=True)


def fallback(max_rows: int = 64) -> tuple[Engine, Open]:
    engine = HubEngine(hub_model(), Words(), max_rows=max_rows)
    return engine, Waves(engine)


BOTH = pytest.mark.parametrize("opened", [local, fallback])
Opened = Callable[..., tuple[Engine, Open]]


class Heard:
    """All pieces of one prompt."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def __call__(self, piece: Piece) -> None:
        self.pieces.append(piece)

    def tokens(self, row: int) -> list[int]:
        return [token for piece in self.pieces if piece.row == row for token in piece.token_ids]

    def finish(self, row: int) -> str:
        """Of the last piece; earlier ones say nothing, or the test fails."""
        *before, last = [piece.finish for piece in self.pieces if piece.row == row]
        assert set(before) <= {""}
        return last

    def same(self, expected: tuple[Completion, ...]) -> bool:
        return all(
            (self.tokens(row), self.finish(row)) == (list(one.token_ids), one.finish)
            for row, one in enumerate(expected)
        )


def run(engine: Open) -> None:
    while engine.advance():
        pass


@BOTH
def test_pieces_add_up_to_what_a_closed_call_draws(opened: Opened) -> None:
    engine, session = opened()
    heard = [Heard() for _ in PROMPTS]
    for prompt, seed, one in zip(PROMPTS, SEEDS, heard, strict=True):
        session.listen(prompt, SAMPLING, seed, one)
        session.advance()
    run(session)
    for one, expected in zip(heard, engine.generate(PROMPTS, SAMPLING, SEEDS), strict=True):
        assert one.same(expected)
    assert max(len(one.pieces) for one in heard) > 3  # told as it came


@BOTH
def test_without_progress_only_ends_are_told(opened: Opened) -> None:
    engine, session = opened()
    heard = Heard()
    session.listen(PROMPTS[0], SAMPLING, SEEDS[0], heard)
    while session.advance(False):
        pass
    assert len(heard.pieces) == 2
    assert heard.same(engine.generate(PROMPTS[:1], SAMPLING, SEEDS[:1])[0])


@BOTH
def test_a_row_that_is_let_go_frees_its_slot_and_changes_no_other(opened: Opened) -> None:
    engine, session = opened(6)
    expected = engine.generate(PROMPTS, SAMPLING, SEEDS)
    heard = [Heard() for _ in PROMPTS]
    tickets = [
        session.listen(prompt, SAMPLING, seed, one) for prompt, seed, one in zip(PROMPTS, SEEDS, heard, strict=True)
    ]
    session.advance()
    assert session.running == 6  # the fourth prompt waits
    session.cancel(tickets[1])
    session.cancel(tickets[2], 0)
    assert session.running == 3
    told = [len(heard[1].pieces), len([piece for piece in heard[2].pieces if piece.row == 0])]
    run(session)
    assert heard[0].same(expected[0])
    assert heard[3].same(expected[3])
    assert heard[2].tokens(1) == list(expected[2][1].token_ids)
    assert told == [len(heard[1].pieces), len([piece for piece in heard[2].pieces if piece.row == 0])]
    for ticket in tickets:
        session.cancel(ticket)  # all have ended: nothing happens
    assert not session.advance()


@BOTH
def test_a_prompt_that_waits_is_let_go_before_it_begins(opened: Opened) -> None:
    engine, session = opened(2)
    heard = [Heard(), Heard(), Heard()]
    tickets = [session.listen(PROMPTS[k], SAMPLING, SEEDS[k], heard[k]) for k in range(3)]
    session.advance()
    session.cancel(tickets[1])
    run(session)
    assert heard[1].pieces == []
    expected = engine.generate(PROMPTS, SAMPLING, SEEDS)
    assert heard[0].same(expected[0])
    assert heard[2].same(expected[2])


@BOTH
def test_each_row_is_drawn_by_its_own_temperature_top_p_and_length(opened: Opened) -> None:
    """Side by side in one batch, as each alone."""
    engine, session = opened()
    kinds = [(0.0, 1.0, 9), (1.0, 1.0, 14), (0.7, 0.9, 12), (1.3, 0.5, 14)]
    samplings = [Sampling(n=1, temperature=t, top_p=p, max_tokens=m) for t, p, m in kinds]
    heard = [Heard() for _ in PROMPTS]
    for prompt, sampling, seed, one in zip(PROMPTS, samplings, SEEDS, heard, strict=True):
        session.listen(prompt, sampling, seed, one)
    session.advance()
    assert session.running == 4
    run(session)
    for prompt, sampling, seed, one in zip(PROMPTS, samplings, SEEDS, heard, strict=True):
        assert one.same(engine.generate([prompt], sampling, [seed])[0])
        assert len(one.tokens(0)) <= sampling.max_tokens


@BOTH
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_log_probs_are_the_models_own_whatever_was_drawn_with(opened: Opened, temperature: float) -> None:
    """Of the whole distribution at temperature 1: as ``read`` finds them in the finished text."""
    _, session = opened()
    heard, plain = Heard(), Heard()
    session.listen(PROMPTS[0], Sampling(n=1, max_tokens=12, temperature=temperature), 5, heard, 3)
    session.listen(PROMPTS[1], Sampling(n=1, max_tokens=12), 5, plain)
    run(session)
    found = [one for piece in heard.pieces for one in piece.scored]
    tokens = heard.tokens(0)
    read = session.read([*PROMPTS[0], *tokens], 60)[-len(tokens) :]
    assert len(found) == len(tokens)
    for one, whole, token in zip(found, read, tokens, strict=True):
        assert math.isclose(one.logprob, whole.logprob, abs_tol=1e-4)
        assert math.isclose(sum(math.exp(logprob) for _, logprob in whole.top), 1.0, abs_tol=1e-4)
        assert [token for token, _ in one.top] == [token for token, _ in whole.top[:3]]
        assert dict(whole.top)[token] == pytest.approx(one.logprob, abs=1e-4)
        if temperature == 0.0:
            assert one.top[0][0] == token
    assert all(piece.scored == [] for piece in plain.pieces)


def test_a_prompts_log_probs_by_hand() -> None:
    """Against the model's own forward pass."""
    from r1kit.model.segments import Segments

    _, session = local()
    ids = torch.tensor(PROMPTS[1])
    with torch.no_grad():
        model = decoder()
        expected = (model.hidden(Segments.pack([ids])) @ model.head.T).log_softmax(-1)
    for place, one in enumerate(session.read(PROMPTS[1], 2)):
        assert one.logprob == pytest.approx(float(expected[place, ids[place + 1]]), abs=1e-5)
        assert one.top[0] == (int(expected[place].argmax()), pytest.approx(float(expected[place].max()), abs=1e-5))
    assert session.read([4], 2) == []


@BOTH
def test_a_prompt_without_room_is_refused_and_the_others_go_on(opened: Opened) -> None:
    _, session = opened()
    heard = Heard()
    session.listen(PROMPTS[0], SAMPLING, 1, heard)
    with pytest.raises(InputError, match="positions"):
        session.listen([5] * 30, Sampling(n=1, max_tokens=session.positions), 1, Heard())
    run(session)
    assert heard.finish(0)
