"""A conversation with one model, an answer at a time: what the terminal's chat is made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from r1kit.errors import InputError
from r1kit.records import Message, Sampling
from r1kit.rollout.piece import Open, Piece
from r1kit.rollout.streams import stream_seed
from r1kit.serving.served import Speech
from r1kit.serving.writing import Delta

__all__ = ["Said", "Talk"]


@dataclass(slots=True, kw_only=True)
class Said:
    """A question and what came of it."""

    question: str
    thinking: str = ""
    answer: str = ""
    finish: str = ""
    """``stop``, ``length``, or empty: it was stopped."""
    tokens: int = 0


@dataclass(slots=True, kw_only=True)
class Talk:
    engine: Open
    speech: Speech
    sampling: Sampling
    """How answers are drawn; ``max_tokens`` 0: what the stage allows or what fits."""
    seed: int = 0
    system: str = ""
    turns: bool = True
    """Whether earlier turns are shown to the model."""
    said: list[Said] = field(default_factory=list)
    asked: int = 0
    """Questions since the talk began: each draws from a stream of its own."""
    newest: Said | None = None
    """The last answer, also while it is written."""

    def messages(self, question: str) -> list[Message]:
        """What the model is shown: earlier answers without their thinking, as R1's template drops it."""
        found = [Message(role="system", content=self.system)] if self.system else []
        for one in self.said if self.turns else ():
            found += [Message(role="user", content=one.question), Message(role="assistant", content=one.answer)]
        return [*found, Message(role="user", content=question)]

    def ask(self, question: str) -> Generator[Delta]:
        """The answer as it comes; closed early, it ends there and stands as far as it was written.

        Raises:
            InputError: the template cannot write the talk, or it is longer than the model's positions.
        """
        prompt = self.speech.render(self.messages(question))
        longest = self.sampling.max_tokens or self.speech.room(prompt.ids)
        if not 0 < longest <= self.speech.positions - len(prompt.ids):
            raise InputError(
                f"the talk has {len(prompt.ids)} tokens and the answer may have {longest or 1}, of the model's "
                f"{self.speech.positions} positions; /new begins a new one, /set max_tokens shortens answers"
            )
        pieces: deque[Piece] = deque()
        seed = stream_seed(self.seed, "chat", self.asked)
        sampling = replace(self.sampling, n=1, max_tokens=longest, stop=())
        ticket = self.engine.listen(prompt.ids, sampling, seed, pieces.append)
        writer = self.speech.writer(prompt)
        turn = self.newest = Said(question=question)
        self.asked += 1
        try:
            while not writer.finish:
                self.engine.advance()
                while pieces and not writer.finish:
                    delta = writer.feed(pieces.popleft())
                    turn.thinking += delta.thinking
                    turn.answer += delta.content
                    turn.tokens = writer.count
                    yield delta
            turn.finish = writer.finish
        finally:
            self.engine.cancel(ticket)
            self.said.append(turn)
