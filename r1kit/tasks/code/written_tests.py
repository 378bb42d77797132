"""Hidden tests that a model writes (R1 paper v2, B.3.2): generators of inputs, and checks with the value to expect.

A written test is kept only if every trusted solution passes it and a solution known to be wrong fails it. The value to
expect is what the trusted solutions give. Whatever is written runs behind the sandbox's walls, generators included.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from r1kit.errors import InputError
from r1kit.sandbox import AssertTest, CallTest, Case, Limits, Outcome, Returned, Run, Sandbox, StdinTest
from r1kit.sandbox.compare import same_output, same_value

__all__ = ["Draft", "Subject", "Writer", "Written", "cached_tests", "write_tests"]

LONGEST_INPUT = 1 << 20
"""Characters of one written input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A problem that needs tests, with solutions whose worth is known."""

    id: str
    question: str
    entry: str = ""
    """The function that tests call; empty for programs that read standard input and print."""
    trusted: tuple[str, ...]
    """Programs known to be right, at least one."""
    wrong: tuple[str, ...]
    """Programs known to be wrong, at least one."""

    def __post_init__(self) -> None:
        if not self.trusted or not self.wrong:
            raise InputError(f"tests for {self.id!r} need a trusted solution and one that is known to be wrong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a writer proposes: a generator, or a check."""

    generator: str = ""
    """A program that prints one input: standard input as it is, or a list of the function's arguments."""
    check: CallTest | None = None
    """A call with the value that the writer expects; the trusted solutions have the last word."""

    @property
    def text(self) -> str:
        return self.generator or repr(self.check)


class Writer(Protocol):
    """Proposes tests; ``written_by.py`` has a model and the nano world's stand-in."""

    @property
    def name(self) -> str:
        """Who writes, for the provenance."""
        ...

    def drafts(self, subject: Subject) -> list[Draft]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The tests that were kept, and where they come from."""

    tests: tuple[Case, ...]
    writer: str
    drafts: int
    """How many were proposed."""
    origins: tuple[str, ...]
    """One a test: ``generator`` or ``check``, and the digest of what was written."""
    exposes: tuple[int, ...]
    """One a test: how many of the wrong solutions fail it."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> drafts that were not kept."""


@dataclass(slots=True)
class _Candidate:
    origin: str
    given: str
    """A call, or standard input."""
    expect: Any = None
    """What the writer says, then what the trusted solutions give."""
    claims: bool = False
    """Whether the writer said what to expect."""
    reason: str = ""
    """Why it is dropped; empty: kept so far."""
    exposes: int = 0


def write_tests(subject: Subject, writer: Writer, sandbox: Sandbox, limits: Limits | None = None) -> Written:
    """Ask the writer, run what it wrote, keep what tells right from wrong.

    Raises:
        MissingError: the sandbox is not there.
    """
    limits = limits or Limits()
    drafts = writer.drafts(subject)
    candidates = _inputs(subject, drafts, sandbox, limits)
    for place, program in enumerate(subject.trusted):
        _trust(subject, [each for each in candidates if not each.reason], program, place == 0, sandbox, limits)
    for program in subject.wrong:
        _expose(subject, [each for each in candidates if not each.reason], program, sandbox, limits)
    for each in candidates:
        if not each.reason and not each.exposes:
            each.reason = "no wrong solution fails it"
    kept = [each for each in candidates if not each.reason]
    return Written(
        tests=tuple(_case(subject, each) for each in kept),
        writer=writer.name,
        drafts=len(drafts),
        origins=tuple(each.origin for each in kept),
        exposes=tuple(each.exposes for each in kept),
        dropped=dict(sorted(Counter(each.reason for each in candidates if each.reason).items())),
    )


def _inputs(subject: Subject, drafts: Sequence[Draft], sandbox: Sandbox, limits: Limits) -> list[_Candidate]:
    """One candidate a draft; generators are run."""
    generators = [draft.generator for draft in drafts if draft.generator]
    outcomes = iter(sandbox.run([Run(program=program, stdin="") for program in generators], limits))
    candidates, seen = [], set[str]()
    for draft in drafts:
        digest = hashlib.blake2b(draft.text.encode(), digest_size=6).hexdigest()
        if draft.generator:
            candidate = _generated(subject, next(outcomes))
            candidate.origin = f"generator {digest}"
        elif draft.check is not None and subject.entry:
            candidate = _Candidate(f"check {digest}", draft.check.call, draft.check.expect, claims=True)
        else:
            candidate = _Candidate(f"check {digest}", "", reason="a check of a call, but programs print")
        if not candidate.reason and candidate.given in seen:
            candidate.reason = "the same input as another"
        seen.add(candidate.given)
        candidates.append(candidate)
    return candidates


def _generated(subject: Subject, outcome: Outcome) -> _Candidate:
    text = outcome.stdout.decode("utf-8", errors="replace")
    if outcome.end != "ok" or not text.strip() or len(text) > LONGEST_INPUT:
        return _Candidate("", "", reason=f"the generator gave no input ({outcome.end})")
    if not subject.entry:
        return _Candidate("", text)
    try:
        arguments = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        arguments = None
    if not isinstance(arguments, (list, tuple)):
        return _Candidate("", "", reason="the generator printed no list of arguments")
    return _Candidate("", f"{subject.entry}({', '.join(map(repr, arguments))})")


def _trust(
    subject: Subject, candidates: list[_Candidate], program: str, first: bool, sandbox: Sandbox, limits: Limits
) -> None:
    """Take the first trusted solution's values; drop where it fails, where a writer or a further one disagrees."""
    for each, given in zip(candidates, _answers(subject, candidates, program, sandbox, limits), strict=True):
        if given is None or not _writable(given.value):
            each.reason = "a trusted solution gives no plain value"
        elif (each.claims or not first) and not _same(subject, given.value, each.expect):
            each.reason = "a trusted solution fails it"
        elif first:
            each.expect = given.value


def _expose(subject: Subject, candidates: list[_Candidate], program: str, sandbox: Sandbox, limits: Limits) -> None:
    for each, given in zip(candidates, _answers(subject, candidates, program, sandbox, limits), strict=True):
        each.exposes += given is None or not _same(subject, given.value, each.expect)


def _answers(
    subject: Subject, candidates: Sequence[_Candidate], program: str, sandbox: Sandbox, limits: Limits
) -> list[Returned | None]:
    """What a program gives for each candidate, run apart from one another; None where it gives nothing."""
    if not subject.entry:
        runs = [Run(program=program, stdin=each.given) for each in candidates]
        outcomes = sandbox.run(runs, limits)
        return [Returned(_text(one.stdout)) if one.end == "ok" else None for one in outcomes]
    outcomes = sandbox.run([Run(program=program, calls=(each.given,)) for each in candidates], limits)
    answers: list[Returned | None] = []
    for one in outcomes:
        call = one.calls[0] if one.end == "ok" and one.calls else None
        answers.append(call if isinstance(call, Returned) else None)
    return answers


def _text(stdout: bytes) -> str:
    return stdout.decode("utf-8", errors="replace")


def _same(subject: Subject, given: Any, expect: Any) -> bool:
    return same_value(given, expect) if subject.entry else same_output(given.encode(), expect)


def _writable(value: Any) -> bool:
    """Whether the value comes back from a cache as it is; infinities and NaN do not."""
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def _case(subject: Subject, each: _Candidate) -> Case:
    return CallTest(each.given, each.expect) if subject.entry else StdinTest(each.given, each.expect)


def cached_tests(
    folder: Path, subject: Subject, writer: Writer, sandbox: Sandbox, limits: Limits | None = None
) -> Written:
    """``write_tests``, from the folder where the same writer wrote for the same subject before."""
    key = hashlib.blake2b(json.dumps([asdict(subject), writer.name]).encode(), digest_size=12).hexdigest()
    path = folder / f"{key}.json"
    if path.is_file():
        return _read(path)
    written = write_tests(subject, writer, sandbox, limits)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"id": subject.id, **_plain(written)}, indent=1), encoding="utf-8")
    part.replace(path)
    return written


def _plain(written: Written) -> dict[str, Any]:
    table = asdict(written)
    table["tests"] = [
        {"call": test.call, "expect": repr(test.expect)}
        if isinstance(test, CallTest)
        else {"stdin": test.stdin, "stdout": test.stdout}
        for test in written.tests
        if not isinstance(test, AssertTest)  # none is written
    ]
    return table


def _read(path: Path) -> Written:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        del table["id"]
        tests = [
            CallTest(test["call"], ast.literal_eval(test["expect"])) if "call" in test else StdinTest(**test)
            for test in table.pop("tests")
        ]
        origins, exposes = tuple(table.pop("origins")), tuple(table.pop("exposes"))
        return Written(tests=tuple(tests), origins=origins, exposes=exposes, **table)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: not a file of written tests ({error}); remove it to have them written again"
        ) from None
