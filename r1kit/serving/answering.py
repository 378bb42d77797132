"""A request that can be answered, on its way: its prompts to the sampling thread, what is written back as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from starlette.types import Receive

from r1kit.errors import R1Error
from r1kit.rollout.piece import Piece, Scored
from r1kit.rollout.streams import stream_seed
from r1kit.serving.batcher import Ask, Busy
from r1kit.serving.errors import ApiError
from r1kit.serving.requests import Asked
from r1kit.serving.writing import Delta, Writer

__all__ = ["Answer", "unless_gone"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """All completions of one request; choice = prompt * n + row."""

    asked: Asked
    writers: list[Writer]

    @staticmethod
    def to(asked: Asked) -> Answer:
        return Answer(asked, [asked.writer(prompt) for prompt in asked.prompts for _ in range(asked.sampling.n)])

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.asked.prompts))

    @property
    def completion_tokens(self) -> int:
        return sum(writer.count for writer in self.writers)

    async def deltas(self) -> AsyncIterator[tuple[int, Delta]]:
        """(choice, what it grew by), as it comes. Left early, by an error or a client that is gone, it frees its rows.

        Raises:
            ApiError: too many are here, or sampling failed.
        """
        asked, batcher = self.asked, self.asked.served.batcher
        if asked.sampling.max_tokens == 0:  # the prompt alone is wanted
            for choice in range(len(self.writers)):
                yield choice, Delta(finish="length")
            return
        came: asyncio.Queue[tuple[int, Piece | Exception]] = asyncio.Queue()
        asks = [
            Ask(
                prompt=prompt, sampling=asked.sampling, seed=stream_seed("serve", asked.seed, place), top=asked.top,
                often=asked.stream or asked.stops,
                tell=partial(_put, came, place * asked.sampling.n),
            )
            for place, prompt in enumerate(asked.prompts)
        ]  # fmt: skip
        begun: list[Ask] = []
        try:
            for ask in asks:
                batcher.submit(ask)
                begun.append(ask)
            left = len(self.writers)
            while left:
                first, piece = await came.get()
                if isinstance(piece, Exception):
                    raise ApiError(str(piece), status=500, code="sampling_failed")
                writer = self.writers[first + piece.row]
                if writer.finish:
                    continue  # it went on for a few tokens after its stop string
                delta = writer.feed(piece)
                if delta.finish:
                    left -= 1
                    if not piece.finish:
                        batcher.cancel(asks[first // asked.sampling.n], piece.row)
                if delta.thinking or delta.content or delta.tokens or delta.finish:
                    yield first + piece.row, delta
        except Busy as busy:
            raise ApiError(str(busy), status=429, code="server_busy", retry_after=1) from None
        except R1Error as error:
            raise ApiError(str(error), status=503, code="sampling_failed") from None
        finally:
            for ask in begun:
                batcher.cancel(ask)

    async def scored_prompt(self, place: int) -> list[Scored]:
        """What the model thinks of a prompt's tokens but the first."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Scored]] = loop.create_future()

        def told(value: list[Scored] | Exception) -> None:
            if found.done():
                return
            if isinstance(value, Exception):
                found.set_exception(ApiError(str(value), status=500, code="sampling_failed"))
            else:
                found.set_result(value)

        try:
            self.asked.served.batcher.read(self.asked.prompts[place], self.asked.top or 0, told)
        except R1Error as error:
            raise ApiError(str(error), status=503, code="sampling_failed") from None
        return await found


def _put(came: asyncio.Queue[tuple[int, Piece | Exception]], first: int, piece: Piece | Exception) -> None:
    came.put_nowait((first, piece))


async def unless_gone(receive: Receive, work: Coroutine[None, None, T]) -> T | None:
    """The work's result; None where the client went away before, in which case the work is cancelled."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, gone):
            one.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await one


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
