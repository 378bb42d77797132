import contextlib
import io
from collections.abc import Sequence

import pytest

from r1kit.sandbox import Limits, Outcome, Raised, Returned, Run, Sandbox, SandboxSettings
from r1kit.tasks.code import judge


class Counting:
    """A sandbox that counts its runs."""

    def __init__(self, inner: Sandbox) -> None:
        self.inner, self.name = inner, inner.name
        self.ran: list[Run] = []
        self.closed = 0

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        self.ran.extend(runs)
        return self.inner.run(runs, limits)

    def close(self) -> None:
        self.closed += 1
        self.inner.close()


class Trusting:
    """No sandbox at all: it runs what the tests of this folder wrote themselves, in this process."""

    name = "trusting"

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        return [self._outcome(run) for run in runs]

    def _outcome(self, run: Run) -> Outcome:
        space: dict[str, object] = {"__name__": "program"}
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(run.program, "<program>", "exec"), space)
        except SyntaxError as error:
            return Outcome(end="not_python", detail=str(error))
        except Exception as error:
            return Outcome(end="error", parsed=True, detail=str(error))
        given: list[Returned | Raised] = []
        for call in run.calls:
            try:
                given.append(Returned(eval(call, space)))
            except Exception as error:
                given.append(Raised(str(error)))
        return Outcome(end="ok", parsed=True, calls=tuple(given), stdout=printed.getvalue().encode())

    def close(self) -> None:
        pass


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> list[Counting]:
    """Tasks open this instead of a sandbox; every one that they opened."""
    opened: list[Counting] = []

    def open_trusting(settings: SandboxSettings) -> Sandbox:
        opened.append(Counting(Trusting()))
        return opened[-1]

    monkeypatch.setattr(judge, "open_sandbox", open_trusting)
    return opened
