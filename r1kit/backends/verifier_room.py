"""Verifiers for ranks elsewhere: what ``backends.serve verifier`` does with its connections."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock
from typing import Any

from r1kit.backends.room import Ask, Room
from r1kit.cluster.cores import cores
from r1kit.errors import R1Error
from r1kit.reward.verifier import Verifier

__all__ = ["VerifierRoom"]


class VerifierRoom(Room[Verifier]):
    """A request is (``score`` or ``diagnose``, groups)."""

    def open(self, payload: bytes) -> Verifier:
        """Its processes are tied to this thread, which lives as long as they."""
        specs, rewards, deadline, workers = pickle.loads(payload)
        return Verifier(specs, rewards, workers or max(1, cores() - 1), deadline_seconds=deadline)

    def close(self, thing: Verifier) -> None:
        """See ``Room``."""
        thing.close()

    def answer(self, thing: Verifier, ask: Ask) -> None:
        """Scores are told as they come, while other requests are taken; diagnoses are waited for."""
        what, groups = ask.request
        if what == "score":
            _Scoring(ask, [thing.submit(group) for group in groups])
            return
        try:
            for place, found in enumerate(thing.diagnose_groups(groups)):
                ask.send("told", place, found)
            ask.send("done")
        except R1Error as error:
            ask.send("refused", error.exit_code, str(error))


class _Scoring:
    """Groups of one request on their way."""

    def __init__(self, ask: Ask, scores: Sequence[Future[Any]]) -> None:
        self._ask, self._left, self._telling = ask, len(scores), Lock()
        for place, each in enumerate(scores):
            each.add_done_callback(partial(self._told, place))
        if not scores:
            ask.send("done")

    def _told(self, place: int, scores: Future[Any]) -> None:
        """On a thread of the verifier's."""
        with self._telling:
            self._left -= 1
            error = scores.exception()
            if error is None:
                self._ask.send("told", place, scores.result())
                if not self._left:
                    self._ask.send("done")
            elif isinstance(error, R1Error):
                self._ask.send("refused", error.exit_code, str(error))
            else:
                self._ask.send("lost", f"{type(error).__name__}: {error}")
