"""A vLLM server as one replica of a pool: prompts over HTTP, weights by vLLM's four phases.

The server itself says which weights it holds: ``RUN.VERSION``, or ``RUN.VERSION.unfinished`` from the begin of a
hand-over to its end, and vLLM's own ``default`` after a start. Every answer carries that label, so one that was drawn
from weights that were never handed over, or only in part, is never taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from torch import Tensor

from r1kit.errors import InputError, MissingError
from r1kit.model.weights import Weight
from r1kit.records import Completion, Sampling
from r1kit.rollout.kept import as_bytes
from r1kit.rollout.replica import ReplicaLost
from r1kit.rollout.stopping import Stopping, Tokenizer, check_room, completing_tokens
from r1kit.vllm.answers import Span, completions_of, question
from r1kit.vllm.calls import Calls, Refused
from r1kit.vllm.carriers import Carrier
from r1kit.vllm.served import check_fits, look_at

__all__ = ["VLLMServer", "draw_first"]

CHUNK = 32 * 2**20
"""Bytes that one call of an update brings; a larger tensor is a call of its own."""
FIRST_TOKEN = 120.0
"""Seconds that the first token after a start may take: a server compiles then."""
UNFINISHED = "unfinished"


class VLLMServer:
    """See ``Replica``."""

    def __init__(
        self, name: str, calls: Calls, carrier: Carrier | None, tokenizer: Tokenizer, *, run: str,
        config: Mapping[str, Any], positions: int, vocab_size: int, ends: Sequence[int], timeout: float = 600.0,
        liveness: float = 10.0, checksums: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            name: for messages.
            calls: closed with this.
            carrier: how weights reach it; None on every rank but 0.
            run: the same on all ranks, and no other run's.
            config: the model's hub config: a server that serves another model is none of ours.
            positions: most tokens of a prompt and its completion.
            ends: tokens that end a completion.
            timeout: seconds that one call may take.
            liveness: seconds that a worker may take to show that it computes.
            checksums: compare a checksum of every weight.
        """
        self.name, self.positions = name, positions
        self._calls, self._carrier, self._tokenizer, self._run = calls, carrier, tokenizer, run
        self._config = config
        self._vocab_size, self._ends = vocab_size, tuple(ends)
        self._timeout, self._liveness, self._checksums = timeout, liveness, checksums
        self._expected, self._handed = 0, 0
        self._total, self._size = 0, 0
        self._chunk: list[tuple[str, Tensor]] = []
        self._stops: dict[tuple[str, ...], Any] = {}

    # ---- sampling ---------------------------------------------------------------------------------------------------

    def generate(self, prompt: Sequence[int], sampling: Sampling, seed: int) -> tuple[Completion, ...]:
        """See ``Replica.generate``."""
        check_room([prompt], sampling.max_tokens, self.positions)
        expected, salt = self._expected, f"{self._run}.{self._handed}"
        asked = question(prompt, sampling, seed, self._ends, salt)
        try:
            answer = self._calls.ask("POST", "/inference/v1/generate", asked, timeout=self._timeout)
        except Refused as refused:
            if refused.status == 404:
                raise ReplicaLost("what listens there no longer samples") from None
            raise InputError(f"{self.name} refuses a prompt of {len(prompt)} tokens: {refused}") from None
        stopping = Stopping(self._tokenizer, sampling, self._ends, self._completing(sampling.stop))
        rows = completions_of(answer, prompt, sampling, stopping, self._tokenizer, self._vocab_size)
        unsaid = "" if all(spans for _, spans in rows) else self._label()
        return tuple(self._versioned(row, spans or [(unsaid, len(row.token_ids))], expected) for row, spans in rows)

    def _completing(self, stop: tuple[str, ...]) -> Any:
        if stop not in self._stops:
            self._stops[stop] = completing_tokens(self._tokenizer, stop, self._vocab_size)
        return self._stops[stop]

    def _versioned(self, row: Completion, spans: Sequence[Span], expected: int) -> Completion:
        """The completion with the versions of its weights, none of them older than ``expected``."""
        found = [(self._version(label), tokens) for label, tokens in spans]
        if found[0][0] < expected:
            raise ReplicaLost(f"it holds version {found[0][0]} of the weights, not {expected}")
        return replace(row, version=found[0][0], spans=tuple(found) if len(found) > 1 else ())

    def _version(self, label: str) -> int:
        """The version that a label names.

        Raises:
            ReplicaLost: it names none that this run has handed over.
            InputError: another run uses the server.
        """
        run, _, version = label.partition(".")
        if run == self._run and version.isdigit():
            return int(version)
        if run == self._run:
            raise ReplicaLost("a hand-over of weights to it was not finished")
        if not version:
            raise ReplicaLost("it was started again and has none of this run's weights")
        raise InputError(f"{self.name}: another run has put its weights there; give each run servers of its own")

    # ---- whether it lives -------------------------------------------------------------------------------------------

    def alive(self) -> None:
        """See ``Replica.alive``. What is going on is cut where it does not live: nobody waits for a deadline."""
        try:
            # Without a timeout of vLLM's own, after which it would take the late answer for that of its next call.
            self._ask("POST", "/collective_rpc", {"method": "r1kit_compute"}, timeout=self._liveness)
            if self._carrier is None and not self._ask("GET", "/is_paused", timeout=self._liveness)["is_paused"]:
                held = self._version(self._label())  # while it is paused, rank 0 hands over
                if held < self._expected:
                    raise ReplicaLost(f"it holds version {held} of the weights, not {self._expected}")
        except (ReplicaLost, InputError) as lost:
            self._calls.hang_up(str(lost))
            raise ReplicaLost(str(lost)) from None

    # ---- weights ----------------------------------------------------------------------------------------------------

    def begin(self, weights: Sequence[Weight], version: int) -> None:
        """See ``Replica.begin``. What is being sampled is frozen, and goes on after ``finish``."""
        assert self._carrier is not None, "rank 0 hands weights over"
        self._total, self._chunk, self._size = len(weights), [], 0
        try:
            served = look_at(self._calls)
            check_fits(self._calls.address, served, self._config)
        except (InputError, MissingError) as error:
            raise ReplicaLost(str(error)) from None
        self._ask("POST", "/pause", query={"mode": "keep"})
        if self._label().endswith(f".{UNFINISHED}"):  # vLLM begins none before it has been told to give up the last
            with suppress(ReplicaLost):
                self._post("/update_weights", {"update_info": {"abort": True}})
        self._post("/update_weight_version", {"new_version": f"{self._run}.{version}.{UNFINISHED}"})
        self._carrier.join(self._post, served.workers)
        self._ask("POST", "/start_weight_update")

    def put(self, name: str, tensor: Tensor) -> int:
        """See ``Replica.put``."""
        size = tensor.numel() * tensor.element_size()
        self._chunk.append((name, tensor.detach().clone()))
        self._size += size
        if self._size >= CHUNK:
            self._flush()
        return size

    def finish(self, version: int) -> None:
        """See ``Replica.finish``; a token is drawn to see that the server can compute with them."""
        self._flush()
        label = f"{self._run}.{version}"
        self._post("/finish_weight_update", {"weight_version": label})
        if (held := self._label()) != label:
            raise ReplicaLost(f"it names its weights {held!r}, not {label!r}")
        self._expected = version
        self._ask("POST", "/resume")
        draw_first(self._calls)

    def abort(self) -> None:
        """See ``Replica.abort``. The label stays, so nothing of it is taken; the next hand-over brings all again."""
        self._chunk = []
        if self._carrier is not None:
            self._carrier.leave()

    def expect(self, version: int) -> None:
        """See ``Replica.expect``."""
        self._expected = version
        self._handed += 1

    def close(self) -> None:
        """See ``Replica.close``."""
        if self._carrier is not None:
            self._carrier.leave()
        self._calls.close()

    def _flush(self) -> None:
        assert self._carrier is not None
        if self._chunk:
            more: dict[str, Any] = {"total": self._total}
            if self._checksums:
                more["checksums"] = [hashlib.sha256(as_bytes(tensor)).hexdigest() for _, tensor in self._chunk]
            self._carrier.send(self._post, self._chunk, more)
        self._chunk, self._size = [], 0

    def _label(self) -> str:
        return str(self._ask("GET", "/weight_info", timeout=self._liveness)["weight_version"])

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """A call that a server of ours does not refuse."""
        try:
            return self._calls.ask(method, path, body, **{"timeout": self._timeout, **more})
        except Refused as refused:
            raise ReplicaLost(f"it refuses {method} {path}: {refused}") from None


def draw_first(calls: Calls) -> None:
    """Return when a server has drawn a token, or is paused, as one is whose learner died while it handed weights over.

    Raises:
        ReplicaLost: it has not.
    """
    try:
        if not calls.ask("GET", "/is_paused", timeout=FIRST_TOKEN)["is_paused"]:
            asked = question([0], Sampling(n=1, max_tokens=1), 0, (), "first")
            calls.ask("POST", "/inference/v1/generate", asked, timeout=FIRST_TOKEN)
    except Refused as refused:
        raise ReplicaLost(f"it refuses a token: {refused}") from None
