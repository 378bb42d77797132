"""The local engine with its door open: who joins, what new weights change, and what they leave."""

from __future__ import annotations

import pytest
import torch
from test_engines import PROMPTS, SEEDS, Words, decoder

from r1kit.errors import InputError
from r1kit.model.decoder import Decoder
from r1kit.model.weights import NamedWeights
from r1kit.records import Completion, Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.session import Session

SAMPLING = Sampling(n=3, max_tokens=40)
Told = dict[int, tuple[Completion, ...]]


def engine(model: Decoder | None = None, **settings: int) -> LocalEngine:
    return LocalEngine(model or decoder(), Words(), max_rows=settings.pop("max_rows", 6), **settings)


def other() -> Decoder:
    """The same model a few updates later."""
    model = decoder()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name) + 9)) * 0.05)
    return model


def add(session: Session, told: Told, *places: int) -> None:
    for place in places:
        session.add(PROMPTS[place], SAMPLING, SEEDS[place], lambda found, place=place: told.__setitem__(place, found))  # type: ignore[misc]


def same(one: Completion, two: Completion) -> None:
    assert one.token_ids == two.token_ids
    assert (one.text, one.finish) == (two.text, two.finish)
    torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(two.logprobs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("max_rows", [4, 64])
def test_a_row_draws_its_own_numbers_whenever_it_joins(max_rows: int) -> None:
    """As in a closed call: from the start, in the middle, after others have ended and their places are used again."""
    expected = engine().generate(PROMPTS, SAMPLING, SEEDS)
    session, told, again = Session(engine(max_rows=max_rows)), Told(), Told()
    add(session, told, 2)
    session.advance()
    add(session, told, 0, 3)
    session.advance()
    add(session, told, 1)
    while session.advance():
        pass
    add(session, again, 1, 0)
    session.advance()
    add(session, again, 2)
    while session.advance():
        pass
    for found in (told, again):
        for place, completions in found.items():
            for one, two in zip(completions, expected[place], strict=True):
                same(one, two)
    assert set(told) == {0, 1, 2, 3}
    assert set(again) == {0, 1, 2}


def test_two_samplings_go_side_by_side() -> None:
    short = Sampling(n=2, max_tokens=5, temperature=0.0)
    expected = engine().generate(PROMPTS[:1], short, SEEDS[:1])[0]
    session, told, found = Session(engine()), Told(), list[tuple[Completion, ...]]()
    add(session, told, 0, 1)
    session.add(PROMPTS[0], short, SEEDS[0], found.append)
    while session.advance():
        pass
    assert [one.token_ids for one in found[0]] == [one.token_ids for one in expected]
    assert set(told) == {0, 1}


def test_new_weights_come_in_between_two_tokens_and_the_spans_say_where() -> None:
    """Before them the tokens of the old weights; a row that joins later is written by the new ones alone."""
    made = engine()
    old, new = made.generate(PROMPTS, SAMPLING, SEEDS), engine(other()).generate(PROMPTS, SAMPLING, SEEDS)
    session, told = Session(made), Told()
    add(session, told, 0)
    session.advance()  # the first token and four more
    made.load_weights(NamedWeights(other().hub_weights()), 7)
    add(session, told, 1)
    while session.advance():
        pass
    rows = list(zip(told[0], old[0], strict=True))
    crossed = [(row, was) for row, was in rows if len(was.token_ids) > 5]
    assert crossed
    for row, was in crossed:
        assert row.token_ids[:5] == was.token_ids[:5]
        assert (row.version, row.spans) == (0, ((0, 5), (7, len(row.token_ids) - 5)))
    assert any(row.token_ids != was.token_ids for row, was in crossed)
    for row, fresh in zip(told[1], new[1], strict=True):
        same(row, fresh)
        assert (row.version, row.spans) == (7, ())


@pytest.mark.parametrize("recompute", [True, False])
def test_log_probs_after_an_update_are_the_new_weights_own_where_the_cache_is_made_again(recompute: bool) -> None:
    """Against the new weights over the whole text; over old keys and values they are another's."""
    made = engine()
    session, told = Session(made, recompute=recompute), Told()
    add(session, told, 0, 1, 3)
    for _ in range(3):
        session.advance()
    made.load_weights(NamedWeights(other().hub_weights()), 1)
    while session.advance():
        pass
    gaps = []
    for place, completions in told.items():
        for one in completions:
            if one.spans:
                first = one.spans[0][1]
                gaps.append((torch.tensor(one.logprobs) - logprobs(other(), place, one))[first:].abs().max())
    assert gaps
    assert bool(max(gaps) < 1e-4) is recompute


def logprobs(model: Decoder, place: int, completion: Completion) -> torch.Tensor:
    from r1kit.model.segments import Segments

    ids = torch.tensor([*PROMPTS[place], *completion.token_ids])
    with torch.no_grad():
        logits = model.hidden(Segments.pack([ids])) @ model.head.T
    found = logits.log_softmax(-1)[len(PROMPTS[place]) - 1 : -1]
    return found.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]


def test_prompts_that_wait_are_read_by_the_weights_that_answer_them() -> None:
    """With room for one row at a time, the second prompt was not begun when the weights came."""
    made = engine(max_rows=1)
    session, told = Session(made), Told()
    add(session, told, 0, 1)
    session.advance()
    made.load_weights(NamedWeights(other().hub_weights()), 1)
    while session.advance():
        pass
    for row, fresh in zip(told[1], engine(other()).generate(PROMPTS, SAMPLING, SEEDS)[1], strict=True):
        same(row, fresh)


def test_a_prompt_without_room_is_refused_and_the_others_go_on() -> None:
    session, told = Session(engine(decoder(max_positions=64))), Told()
    add(session, told, 0)
    with pytest.raises(InputError, match="64 positions"):
        session.add([5] * 30, SAMPLING, 1, lambda found: None)
    while session.advance():
        pass
    assert set(told) == {0}
