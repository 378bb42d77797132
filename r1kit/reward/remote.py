"""Verifiers in processes of the run's own, anywhere: what one of them had when it was lost, another one scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from r1kit.cluster.dealing import Dealer, Request, Words
from r1kit.cluster.remote import Remote
from r1kit.records import Group, Score

__all__ = ["RemoteVerifiers"]

_WORDS = Words(helper="verifier", request="group", doing="scoring", done="scored")


class RemoteVerifiers(Dealer[Remote]):
    """What a ``Verifier`` does, dealt to several."""

    def __init__(
        self, helpers: Sequence[Remote], *, tell: Callable[[str], None], look_every: float, patience: float,
        offset: int = 0,
    ) -> None:  # fmt: skip
        """See ``Dealer``."""
        self._helpers = helpers
        super().__init__(
            [(helper, True) for helper in helpers],
            _WORDS,
            tell=tell,
            look_every=look_every,
            patience=patience,
            offset=offset,
        )

    def call(self, helper: Remote, bundle: Sequence[Request], told: Callable[[Request, Any], None]) -> None:
        """See ``Dealer``."""
        for place, found in helper.ask(bundle[0].kind, [request.payload for request in bundle]):
            told(bundle[place], found)

    def submit(self, group: Group) -> Future[list[Score]]:
        """See ``Verifier.submit``."""
        return self._submit("score", [group])[0]

    def score_groups(self, groups: Sequence[Group]) -> list[list[Score]]:
        """See ``Verifier.score_groups``."""
        return [answer.result() for answer in self._submit("score", groups)]

    def diagnose_groups(self, groups: Sequence[Group]) -> list[list[dict[str, float]]]:
        """See ``Verifier.diagnose_groups``."""
        return [answer.result() for answer in self._submit("diagnose", groups)]

    def _submit(self, kind: str, groups: Sequence[Group]) -> list[Future[Any]]:
        requests = [Request(group, kind, len(group.completions)) for group in groups]
        with self._changed:
            self._queue.extend(requests)
            self.deal()
        return [request.answer for request in requests]

    def close(self) -> None:
        """Let go of them. Idempotent."""
        self.end()
        for helper in self._helpers:
            helper.close()

    def __enter__(self) -> RemoteVerifiers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
