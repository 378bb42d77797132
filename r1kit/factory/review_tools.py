"""The queue as labelling tools read it, and their decisions taken in: Label Studio's tasks and Argilla's records.

An export says of each sample in which state it was. An import compares: what was decided here since is a conflict, told
by line. All of a file is taken in, or nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from r1kit.errors import InputError, nearest
from r1kit.factory import review_argilla as argilla
from r1kit.factory import review_label_studio as label_studio
from r1kit.factory.review import Decision, Item, now, person
from r1kit.factory.review_file import ReviewFile, told_last
from r1kit.factory.review_rules import Rules
from r1kit.factory.review_tool import Answer
from r1kit.files import check_writable, json_fault, write_atomic

__all__ = ["FORMATS", "Imported", "export_queue", "import_file"]

FORMATS = ("label-studio", "argilla")
TOLD = 3
"""Lines that do not fit that are named; more are counted."""


def export_queue(file: ReviewFile, rules: Rules | None, path: Path, form: str) -> tuple[int, Path]:
    """Write every sample for a tool, and what the tool is set up with beside it.

    Returns:
        How many samples, and where the set-up is.

    Raises:
        InputError: an unknown format, or a place that cannot be written or holds something else.
    """
    _check_format(form)
    form = form or ("argilla" if path.suffix == ".jsonl" else "label-studio")
    if path.resolve() == file.path.resolve():
        raise InputError(f"{path} is the queue itself; export to another file")
    check_writable(path)
    items = list(file.items().values())
    references = [_reference(item, rules) for item in items]
    if form == "argilla":
        rows = [argilla.record(item, known) for item, known in zip(items, references, strict=True)]
        beside, setup = path.with_name(f"{path.stem}.settings.json"), json.dumps(argilla.SETTINGS, indent=1) + "\n"
    else:
        rows = [label_studio.task(item, known) for item, known in zip(items, references, strict=True)]
        beside, setup = path.with_suffix(".xml"), label_studio.CONFIG
        if beside == path:
            raise InputError(f"{path}: the tool's set-up belongs there; export to a file that ends in .json or .jsonl")
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    try:
        if beside.exists() and beside.read_bytes() != setup.encode():
            raise InputError(
                f"{beside}: the tool's set-up belongs there, and the file holds something else; move it away"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "".join(f"{line}\n" for line in lines) if path.suffix == ".jsonl" else _array(lines))
        write_atomic(beside, setup)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a place that can be written to") from None
    return len(rows), beside


def _check_format(form: str) -> None:
    if form and form not in FORMATS:
        raise InputError(f"--format {form}: formats are {', '.join(FORMATS)}.{nearest(form, FORMATS)}")


def _reference(item: Item, rules: Rules | None) -> str:
    prompt = rules.prompt(item.sample) if rules else None
    return prompt.reference if prompt else ""


def _array(lines: Sequence[str]) -> str:
    return "[" + ",\n".join(lines) + "]\n"


# ---- back -----------------------------------------------------------------------------------------------------------


class Imported(NamedTuple):
    taken: int
    known: int
    """Decisions that were there already."""
    left_out: int
    """That did not fit, where these are to be left out."""
    faulty: int
    """Edits that the stage's rules speak against; they are kept, and say so."""
    people: tuple[str, ...]


def import_file(
    file: ReviewFile, rules: Rules | None, path: Path, name: str = "", *, form: str = "", skip: bool = False
) -> Imported:
    """Append what was decided in a tool.

    Args:
        form: that the file must be of; empty: it tells by itself.
        name: whose decisions they are, where the tool tells a number only and they are one person's.
        skip: leave out what does not fit instead of taking nothing.

    Raises:
        InputError: a line is broken, names a sample that the queue has not, or one that was decided here since; nothing
            was taken in.
    """
    _check_format(form)
    objects = list(_objects(path))
    if not objects:
        raise InputError(f"{path}: no task and no record in it")
    answers = _named([answer for where, table in objects for answer in _answers(where, table, form)], name, path)
    answers = [_judged(answer, file.items().get(answer.id), rules) for answer in answers]
    found: dict[str, int] = Counter()

    def fitting(items: Mapping[str, Item]) -> list[tuple[str, Decision]]:
        taken, wrong = [], []
        for answer in answers:
            item = items.get(answer.id)
            fault = _misfit(answer, item, items)
            if item is not None and any(_same(answer.decision, each) for each in item.history):
                found["known"] += 1
            elif fault or item is None:
                wrong.append(fault)
            else:
                taken.append((answer.id, _finished(answer.decision, item)))
        found["left_out"] = len(wrong)
        if wrong and not skip:
            more = f"; {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
            raise InputError(
                f"{'; '.join(wrong[:TOLD])}{more}; nothing was imported, --skip-conflicts takes in what fits"
            )
        return taken

    taken = file.decide_all(fitting)
    people = tuple(dict.fromkeys(decision.by for _, decision in taken))
    faulty = sum(bool(decision.fault) for _, decision in taken)
    return Imported(len(taken), found["known"], found["left_out"], faulty, people)


def _misfit(answer: Answer, item: Item | None, items: Mapping[str, Item]) -> str:
    if item is None:
        return f"{answer.where}: the queue has no sample {answer.id!r}.{nearest(answer.id, items)}".rstrip(".")
    if answer.state and not _is_as_exported(answer, item):
        return f"{answer.where}: sample {item.id!r} {told_last(item)} since the export"
    return ""


def _is_as_exported(answer: Answer, item: Item) -> bool:
    """Whether nothing but what the same tool brought was decided since."""
    count = len(item.history)
    while count and item.history[count - 1].via == answer.decision.via and item.state_after(count) != answer.state:
        count -= 1
    return item.state_after(count) == answer.state


def _judged(answer: Answer, item: Item | None, rules: Rules | None) -> Answer:
    """With what the stage's rules say against an edit; an edit that changes nothing is none."""
    decision = answer.decision
    if decision.status != "edited" or item is None:
        return answer
    if decision.edited == item.sample.response:
        return replace(answer, decision=replace(decision, status="accepted", edited=""))
    fault = rules.judge(item.sample, decision.edited).faults if rules else ""
    return replace(answer, decision=replace(decision, fault=fault))


def _finished(decision: Decision, item: Item) -> Decision:
    """With its time, and whether the person could see what others had decided."""
    blind = item.open or all(each.via == decision.via for each in item.standing)
    return replace(decision, blind=blind, at=decision.at or now())


def _same(new: Decision, old: Decision) -> bool:
    """Whether a decision was taken in before; a tool that tells no time is not asked for it."""
    told = (new.status, new.reason, new.via), (old.status, old.reason, old.via)
    if person(new.by) != person(old.by) or (new.at and new.at != old.at):
        return False
    return told[0] == told[1] and new.edited == old.edited


def _named(answers: Sequence[Answer], name: str, path: Path) -> list[Answer]:
    nameless = {answer.decision.by for answer in answers if answer.is_number}
    if not name or not nameless:
        return list(answers)
    if len(nameless) > 1:
        raise InputError(f"{path} has decisions of {len(nameless)} people that it tells by number; leave --name out")
    return [
        replace(answer, decision=replace(answer.decision, by=name)) if answer.is_number else answer
        for answer in answers
    ]


def _answers(where: str, table: Mapping[str, Any], form: str) -> Iterator[Answer]:
    if "fields" in table:
        found, reader = "argilla", argilla.answers
    elif "data" in table or "annotation_id" in table:
        found, reader = "label-studio", label_studio.answers
    else:
        given = ", ".join(map(repr, list(table)[:8])) or "none"
        raise InputError(
            f"{where}: no task of Label Studio ('data') and no record of Argilla ('fields'); it has {given}"
        )
    if form and form != found:
        raise InputError(f"{where}: this is of {found}, and --format {form} was given; leave it out")
    return reader(where, table)


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a JSON array or of JSON lines, each with the line it begins at."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as UTF-8 text: {error}") from None
    if text.lstrip().startswith("[") and not text.rstrip().endswith("]"):
        raise InputError(f"{path}:{text.count(chr(10)) + 1}: the array has no end; export the file again")
    decoder, at, line, seen = json.JSONDecoder(), 0, 1, 0
    while (at := _skip(text, at)) < len(text):
        line, seen = line + text.count("\n", seen, at), at
        where = f"{path}:{line}"
        try:
            table, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", line)
            raise InputError(f"{path}:{line}: not valid JSON: {json_fault(error)}") from None
        if not isinstance(table, dict):
            raise InputError(f"{where}: a task or a record is a JSON object, got {json.dumps(table)[:60]}")
        yield where, table


def _skip(text: str, at: int) -> int:
    """Past spaces, and what stands between the objects of an array."""
    while at < len(text) and text[at] in " \t\r\n[],":
        at += 1
    return at
