"""Replicas that need no process, and fail on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from r1kit.errors import InputError
from r1kit.model.weights import NamedWeights, Weight
from r1kit.records import Completion, Sampling
from r1kit.rollout.engine import Engine
from r1kit.rollout.replica import ReplicaLost
from r1kit.rollout.scripted import ScriptedEngine

__all__ = ["Server", "ServerReplica", "TogetherReplica", "story"]


def story(prompt: tuple[int, ...], seed: int, row: int) -> str:
    return f"{''.join(map(chr, prompt))} {seed} {row} "


class Server:
    """What would be another process: it holds weights, may be down, hang, or die at a chosen moment."""

    def __init__(self, name: str, engine: Engine | None = None) -> None:
        self.name, self.engine = name, engine or ScriptedEngine(story)
        self.version: int | None = None
        self.weights: dict[str, Tensor] = {}
        self.coming: dict[str, Tensor] | None = None
        self.down = ""
        """Why nothing answers; empty: it is up."""
        self.hung = threading.Event()
        self.up = threading.Event()
        self.up.set()
        self.asked: list[tuple[int, ...]] = []
        self.pace = 0.0
        """Seconds a prompt takes."""
        self.dies_at: Callable[[str], bool] = lambda what: False
        """Told each call ("generate", "put NAME", ...) as it begins; True: it dies there."""

    def reach(self, what: str) -> None:
        if self.dies_at(what):
            self.die("it was killed")
        if self.down:
            raise ReplicaLost(self.down)

    def die(self, why: str) -> None:
        """All it held is gone."""
        self.down, self.version, self.weights, self.coming = why, None, {}, None

    def restart(self) -> None:
        self.down, self.dies_at = "", lambda what: False
        self.hung.clear()
        self.up.set()

    def hang(self) -> None:
        """It answers nothing and says nothing."""
        self.up.clear()
        self.hung.set()


class ServerReplica:
    """A rank's side of a ``Server``; one call a prompt."""

    positions = 64

    def __init__(self, server: Server, rank: int = 0) -> None:
        self.server, self.name, self._rank = server, server.name, rank
        self.expected: int | None = None
        self.closed = False

    def generate(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> tuple[Completion, ...]:
        server = self.server
        server.reach("generate")
        server.asked.append(tuple(prompt))
        if server.version is None or server.version < (self.expected or 0):
            raise ReplicaLost(f"it holds version {server.version}, not {self.expected}")
        if ord("!") in prompt:
            raise InputError("a prompt with ! is refused")
        time.sleep(server.pace)
        server.up.wait()
        server.reach("answer")
        (found,) = server.engine.generate([prompt], sampling, [seed])
        return found

    def alive(self) -> None:
        self.server.reach("alive")
        if self.server.hung.is_set():
            raise ReplicaLost("it computes nothing any more")
        if self._rank and (self.server.version is None or self.server.version < (self.expected or 0)):
            raise ReplicaLost(f"it holds version {self.server.version}")

    def begin(self, weights: Sequence[Weight], version: int) -> None:
        self.server.reach("begin")
        if any(weight.name == "unknown" for weight in weights):
            raise InputError("weight 'unknown' unknown")
        self.server.coming = {}

    def put(self, name: str, tensor: Tensor) -> int:
        self.server.reach(f"put {name}")
        assert self.server.coming is not None
        self.server.coming[name] = tensor.clone()
        return tensor.numel() * tensor.element_size()

    def finish(self, version: int) -> None:
        self.server.reach("finish")
        assert self.server.coming is not None
        self.server.weights, self.server.coming, self.server.version = self.server.coming, None, version
        self.server.engine.load_weights(NamedWeights({}), version)

    def abort(self) -> None:
        self.server.coming = None

    def expect(self, version: int) -> None:
        self.expected = version

    def close(self) -> None:
        self.closed = True
        self.server.up.set()


class TogetherReplica(ServerReplica):
    """One call for all prompts of its share, each told as it ends."""

    def generate_each(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
        ended: Callable[[int, tuple[Completion, ...]], None],
    ) -> None:
        for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
            ended(place, self.generate(prompt, sampling, seed))


class Numbered(NamedWeights):
    """Two weights that say their version; counts how often it was gone through."""

    def __init__(self, version: int) -> None:
        super().__init__({"a": torch.full((3,), float(version)), "b": torch.tensor(version, dtype=torch.bfloat16)})
        self.rounds = 0

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        self.rounds += 1
        yield from super().__iter__()
