"""Two tiny models behind the API: drawn weights, words for tokens; and an engine that writes what a test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest
import torch
from starlette.testclient import TestClient

from r1kit.commands.serve import application
from r1kit.model.decoder import Decoder, DecoderConfig
from r1kit.records import Sampling
from r1kit.rollout.local import LocalEngine
from r1kit.rollout.piece import Open, Piece, Scored, Ticket, Wrote
from r1kit.rollout.session import Session
from r1kit.rollout.stopping import check_room
from r1kit.serving.batcher import Batcher
from r1kit.serving.served import Served, Speech
from r1kit.serving.writing import Tags
from r1kit.text.template import Template
from r1kit.text.tokenizer import build_tokenizer
from r1kit.web.listen import rules_for

TOKENIZER = build_tokenizer([*map(str, range(20)), *"abcdefgh", "use", "make", "User:", "Assistant:"])
POSITIONS = 128


def local_engine(rows: int = 8) -> LocalEngine:
    shape = DecoderConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, intermediate_size=32, num_layers=1, num_heads=2, num_kv_heads=2,
        head_dim=8, max_positions=POSITIONS,
    )  # fmt: skip
    model = Decoder(shape)
    model.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.head.mul_(4.0)
    return LocalEngine(model, TOKENIZER, max_rows=rows, end_ids=[TOKENIZER.eos_token_id])


def speech(**changes: Any) -> Speech:
    settings: dict[str, Any] = {
        "tokenizer": TOKENIZER, "template": Template(), "ends": frozenset({TOKENIZER.eos_token_id}),
        "vocab_size": len(TOKENIZER), "positions": POSITIONS, "sampling": Sampling(max_tokens=24), "tags": Tags(),
    }  # fmt: skip
    return Speech(**(settings | changes))


def served(name: str, engine: Open, most: int = 40, **changes: Any) -> Served:
    return Served(
        name=name, speech=speech(**changes), batcher=Batcher(engine, most=most), created=1_700_000_000, temperature=1.0,
        top_p=1.0,
    )  # fmt: skip


class Written:
    """An ``Open`` engine that writes given words, some tokens at a time; ``held``: it writes no more than that."""

    positions = POSITIONS

    def __init__(self, text: str = "", at_once: int = 2, held: int | None = None) -> None:
        self.ids = [*TOKENIZER.encode(text), cast(int, TOKENIZER.eos_token_id)]
        self.at_once, self.held = at_once, held
        self.asked: list[dict[str, Any]] = []
        self.fails = False

    @property
    def running(self) -> int:
        return sum(len(one["rows"]) for one in self.asked)

    def listen(
        self, prompt: Sequence[int], sampling: Sampling, seed: int, wrote: Wrote, top: int | None = None
    ) -> Ticket:
        check_room([prompt], sampling.max_tokens, self.positions)
        rows = dict.fromkeys(range(sampling.n), 0)
        self.asked.append({"rows": rows, "sampling": sampling, "wrote": wrote, "top": top, "prompt": tuple(prompt)})
        return self.asked[-1]

    def cancel(self, ticket: Ticket, row: int | None = None) -> None:
        rows = cast(dict[str, Any], ticket)["rows"]
        for one in list(rows) if row is None else [row]:
            rows.pop(one, None)

    def advance(self, progress: bool = True) -> bool:
        if self.fails:
            raise ZeroDivisionError("the engine broke")
        for one in self.asked:
            for row, had in list(one["rows"].items()):
                until = min(
                    had + self.at_once,
                    one["sampling"].max_tokens,
                    len(self.ids),
                    self.held if self.held is not None else 1 << 30,
                )
                if until == had:
                    continue
                over = until in (one["sampling"].max_tokens, len(self.ids))
                one["rows"][row] = until
                if over:
                    del one["rows"][row]
                top = one["top"]
                scored = [] if top is None else [Scored(-0.5, ((3, -0.25), (4, -1.5))[:top])] * (until - had)
                finish = "" if not over else "stop" if until == len(self.ids) else "length"
                one["wrote"](Piece(row, self.ids[had:until], scored, finish))  # type: ignore[arg-type]
        if self.held is not None:
            time.sleep(0.002)
        return any(one["rows"] for one in self.asked)

    def read(self, prompt: Sequence[int], top: int) -> list[Scored]:
        return [Scored(-1.0, ((5, -1.0),)[:top])] * (len(prompt) - 1)


Api = Callable[..., TestClient]


@pytest.fixture
def api() -> Iterator[Api]:
    """``api(served, ...)``: a client of a server of these models; ``api()``: of a tiny one called ``tiny``."""
    opened: list[TestClient] = []

    def made(*models: Served) -> TestClient:
        rules = rules_for(open_paths=("/v1/",), free_paths=("/health",), limit=100_000)
        models = models or (served("tiny", Session(local_engine(), serving=True)),)
        client = TestClient(application([*models], rules), base_url="http://127.0.0.1:8000")
        opened.append(client)
        return client.__enter__()

    yield made
    for client in opened:
        client.__exit__(None, None, None)
