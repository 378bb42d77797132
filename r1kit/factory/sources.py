"""What a stage learns from by the name a user writes: an earlier stage's samples, or a file, folder or hub data set.

An earlier stage's name comes first; any other name is a source of rows (``data/source.py``), whose layout is told from
its columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from r1kit.data.example import Example, Wanted
from r1kit.data.settings import Reading
from r1kit.errors import InputError
from r1kit.factory.samples import read_samples
from r1kit.files import Line
from r1kit.records import Labelled, Message, Pair, Prompt, Sample

if TYPE_CHECKING:
    from r1kit.workspace import Workspace

__all__ = [
    "LOOKED_AT", "Say", "Source", "check_rows", "labels_from", "pairs_from", "samples_from", "silent", "stage_samples",
]  # fmt: skip

LOOKED_AT = 10_000
"""Rows of a source that a check reads; a broken one after them is told when its stage begins."""
Say = Callable[[str], None]
"""Tells the user a line."""
_T = TypeVar("_T")


def silent(line: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of several that a stage learns from."""

    data: str
    """An earlier stage whose samples are learnt, or a file, folder or hub data set."""
    read: Reading = field(default_factory=Reading)
    """How its rows are read, where it is no stage."""
    weight: float | None = None
    """Share among what is learnt, relative to the other sources, 1 where only others name one; where none does, all of
    every source is learnt."""


def stage_samples(source: str, reading: Reading, workspace: Workspace) -> list[Sample]:
    """Samples of an earlier stage, or of a source of rows; lines that were skipped are told."""
    if source in workspace.recipe.stages:
        return read_samples(workspace.folder_of(source) / "samples.jsonl")
    return samples_from(source, reading, lambda line: workspace.say(f"{workspace.stage}: {line}"))


def samples_from(source: str, reading: Reading, say: Say = silent) -> list[Sample]:
    """Samples of a source of rows, in order.

    Raises:
        InputError: a row cannot be learnt: another layout, no response, a turn of a tool; says where.
        MissingError: a package or the network is needed that is not here.
    """
    name = Path(source).name.partition(".")[0]
    found = enumerate(_rows(source, reading, "responses", _sample, say))
    return [sample if sample.id else replace(sample, id=f"{name}/{number}") for number, sample in found]


def pairs_from(source: str, reading: Reading, say: Say = silent) -> list[Pair]:
    """Preference pairs of a source of rows; raises as ``samples_from`` does."""
    return list(_rows(source, reading, "pairs", _pair, say))


def labels_from(source: str, reading: Reading, say: Say = silent) -> list[Labelled]:
    """Labelled responses of a source of rows; raises as ``samples_from`` does."""
    return list(_rows(source, reading, "labels", _labelled, say))


def check_rows(source: str, reading: Reading, wanted: Wanted, where: str) -> list[Any]:
    """The first ``LOOKED_AT`` records of a source, so that what is wrong with it is told early, as ``where``'s.

    Raises:
        InputError: a row cannot be used.
        MissingError: a package or the network is needed that is not here.
    """
    try:
        return list(islice(_rows(source, reading, wanted, TAKE[wanted], silent), LOOKED_AT))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _rows(source: str, reading: Reading, wanted: Wanted, take: Callable[[Example, Line], _T], say: Say) -> Iterator[_T]:
    from r1kit.data.layouts import read_examples  # for settings that name a source of rows, and no others

    examples = read_examples(source, wanted, reading)
    yield from examples.rows.read(lambda line: take(examples.layout.take(line), line))
    if skipped := str(examples.rows.skipped):
        say(skipped)


# ---- from a row to a record ---------------------------------------------------------------------------------------


def _sample(example: Example, line: Line) -> Sample:
    example = _answered(example)
    _refuse_tools(example, example.before)
    if not example.response.strip():
        raise InputError(f"{example.where}: no turn of the assistant's to learn")
    return Sample(
        id=example.id,
        prompt=example.question,
        response=example.response,
        domain=_text(line, "domain") or "general",
        language=example.language or _text(line, "language") or "en",
        history=example.before or None,
    )


def _answered(example: Example) -> Example:
    """A chat without what its user says last, to which nobody answers."""
    turns = example.before
    last = max((place for place, turn in enumerate(turns) if turn.role == "assistant"), default=0)
    if example.response or not last or turns[last - 1].role != "user":
        return example
    asked = turns[last - 1].content
    return replace(example, before=turns[: last - 1], question=asked, response=turns[last].content)


def _pair(example: Example, line: Line) -> Pair:
    if example.chosen == example.rejected:
        raise InputError(f"{example.where}: 'chosen' and 'rejected' are the same, so the pair says nothing")
    return Pair(
        prompt=_prompt(example, line), chosen=example.chosen, rejected=example.rejected, fault=_text(line, "fault")
    )


def _labelled(example: Example, line: Line) -> Labelled:
    assert example.label is not None, "the layout has a label"
    return Labelled(
        prompt=_prompt(example, line), response=example.response, safe=example.label, fault=_text(line, "fault")
    )


def _prompt(example: Example, line: Line) -> Prompt:
    """What comes from one conversation is one cluster, however far it went: told by what its user said first."""
    _refuse_tools(example, example.before)
    first = next((message.content for message in example.before if message.role == "user"), "")
    return Prompt(
        id=example.id or example.where,
        question=example.question,
        language=example.language or _text(line, "language") or "en",
        cluster=example.cluster or first,
        history=example.before or None,
    )


def _text(line: Line, key: str) -> str:
    """A column that no layout has and some rows may have."""
    value = line.table.get(key)
    return value if isinstance(value, str) else ""


def _refuse_tools(example: Example, messages: Iterable[Message]) -> None:
    if any(message.role == "tool" for message in messages):
        raise InputError(f"{example.where}: a turn of a tool; chats with tool calls cannot be learnt")


def _taken(example: Example, line: Line) -> Example:
    return example


TAKE: dict[Wanted, Callable[[Example, Line], object]] = {
    "responses": _sample, "pairs": _pair, "labels": _labelled, "text": _taken, "answers": _taken, "prompts": _taken,
}  # fmt: skip
