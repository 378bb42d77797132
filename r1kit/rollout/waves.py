"""The engine for models that only `transformers` can run, as an open one: a wave at a time.

Prompts that come while a wave decodes wait for its end; rows of the wave tell every token and may leave it at any time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from r1kit.model.segments import Segments
from r1kit.records import Sampling
from r1kit.rollout.hub import HubEngine, Wave
from r1kit.rollout.piece import Piece, Scored, Ticket, Wrote, score, score_states
from r1kit.rollout.stopping import check_room
from r1kit.rollout.streams import row_seeds

__all__ = ["Waves"]


@dataclass(slots=True, eq=False)
class _Row:
    """One completion on its way."""

    asked: _Asked
    own: int
    """Its number among those of its prompt."""
    tokens: list[int] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    told: int = 0
    gone: bool = False


@dataclass(slots=True, eq=False)
class _Asked:
    prompt: Sequence[int]
    sampling: Sampling
    seed: int
    wrote: Wrote
    top: int | None
    rows: list[_Row] = field(default_factory=list)


class Waves:
    """An ``Open`` engine over a ``HubEngine``. ``sampling.stop`` is for whoever listens."""

    def __init__(self, engine: HubEngine) -> None:
        self._engine = engine
        self._waiting: list[_Row] = []
        self._rows: list[_Row] = []
        self._wave: Wave | None = None

    @property
    def positions(self) -> int:
        """See ``Open``."""
        return self._engine.positions

    @property
    def running(self) -> int:
        """See ``Open``."""
        return 0 if self._wave is None else len(self._wave.live)

    def listen(
        self, prompt: Sequence[int], sampling: Sampling, seed: int, wrote: Wrote, top: int | None = None
    ) -> Ticket:
        """See ``Open``."""
        check_room([prompt], sampling.max_tokens, self.positions)
        asked = _Asked(prompt, sampling, seed, wrote, top)
        asked.rows = [_Row(asked, own) for own in range(sampling.n)]
        self._waiting.extend(asked.rows)
        return asked

    def cancel(self, ticket: Ticket, row: int | None = None) -> None:
        """See ``Open``."""
        assert isinstance(ticket, _Asked)
        for one in ticket.rows if row is None else [ticket.rows[row]]:
            one.gone = True
        self._waiting = [one for one in self._waiting if not one.gone]
        if self._wave is not None:
            self._wave.drop({place for place, one in enumerate(self._rows) if one.gone})

    def advance(self, progress: bool = True) -> bool:
        """One token of every row."""
        with torch.inference_mode():
            if self._wave is None or not self._wave.live:
                self._begin()
            if self._wave is None:
                return False
            ended = set()
            for place, token, _, logits in self._wave.step():
                row = self._rows[place]
                row.tokens.append(token)
                if row.asked.top is not None:
                    row.scored += score(logits[None], torch.tensor([token], device=logits.device), row.asked.top)
                over = token in self._engine.ends or len(row.tokens) == row.asked.sampling.max_tokens
                if over:
                    ended.add(place)
                if over or progress:
                    self._tell(row, over)
            self._wave.drop(ended)
        return bool(self._wave.live or self._waiting)

    def read(self, prompt: Sequence[int], top: int) -> list[Scored]:
        """See ``Open``."""
        check_room([prompt], 0, self.positions)
        model = self._engine.model
        with torch.inference_mode():
            ids = torch.tensor(list(prompt), device=model.head.device)
            return score_states(model.logits, model.hidden(Segments.pack([ids]))[:-1], prompt[1:], top)

    def _begin(self) -> None:
        """The rows that wait, as many as fit."""
        self._rows, self._waiting = self._waiting[: self._engine.max_rows], self._waiting[self._engine.max_rows :]
        self._wave = None
        if self._rows:
            streams = [row_seeds([row.asked.seed], row.asked.sampling.n)[row.own] for row in self._rows]
            prompts = [row.asked.prompt for row in self._rows]
            samplings = [row.asked.sampling for row in self._rows]
            self._wave = Wave(self._engine.model, prompts, torch.stack(streams), samplings)

    def _tell(self, row: _Row, over: bool) -> None:
        tokens, scored = row.tokens[row.told :], row.scored
        row.told, row.scored = len(row.tokens), []
        stopped = row.tokens[-1] in self._engine.ends
        row.asked.wrote(Piece(row.own, tokens, scored, "" if not over else "stop" if stopped else "length"))
