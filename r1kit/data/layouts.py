"""Which layout a source has, told from its first row: what its rows are read as.

``docs/data.md`` has the table. A layout that is not known, or could be read in two ways, is an error that says which
columns to name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from r1kit.data.choices import ChoiceForm, counted, lettered
from r1kit.data.example import WANTED, Example, Wanted
from r1kit.data.find import ANSWERS, Found, find_slots, layout_name
from r1kit.data.paths import column, there
from r1kit.data.settings import Reading
from r1kit.data.slots import HOW, Slot, story_of
from r1kit.data.source import Rows, open_rows
from r1kit.errors import InputError
from r1kit.files import Line
from r1kit.records import Message

__all__ = ["Examples", "Layout", "not_a_task", "read_examples", "recognise"]

NOT_NEEDED = ("optional", "turns")
"""How columns are read that a row may lack."""
LONGEST_FACT = 2000
"""Characters as JSON, in the first row, up to which a column that is not taken is kept as a fact."""
COUNTDOWN = (
    "Make {target} from the numbers {numbers}: use each exactly once, with +, -, *, / and brackets. Answer with the "
    "expression alone."
)
LOOKED_AT = 100
"""Rows that are looked at for a layout, where bad ones are skipped."""
_LANGUAGE = re.compile(r"[a-z]{2}(-[a-z]+)?")
_WHOLE = re.compile(r"(-?[0-9]{1,18})(?:\.0+)?")
LANGUAGES = {"english": "en", "chinese": "zh", "french": "fr", "german": "de", "spanish": "es", "japanese": "ja"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a row's columns are taken as."""

    name: str
    """As its data set is called, or in words."""
    wanted: Wanted
    slots: Mapping[str, Slot]
    """Role -> column."""
    choice: ChoiceForm | None
    """Of multiple-choice questions; it gives prompt, answer and choices."""
    names: Mapping[str, str]
    """What the choices need -> column."""
    facts: tuple[str, ...]
    """Columns that are kept as facts."""
    first: Line
    """The row that it was told from."""

    @property
    def rule(self) -> Literal["math", "choice", "countdown"]:
        """What judges an answer, a rule of ``tasks/rules``."""
        return "choice" if self.choice is not None else "countdown" if "numbers" in self.slots else "math"

    def take(self, line: Line) -> Example:
        """What a row holds.

        Raises:
            InputError: a column is not there or does not fit; the row is of another layout.
        """
        try:
            return self._take(line)
        except InputError as error:
            if other := self._other(line):
                raise InputError(
                    f"two layouts in one source: {self.first.where} holds {self.name} "
                    f"({', '.join(self.first.table)}), {line.where} {other} ({', '.join(line.table)}); split it, or "
                    f"name the columns"
                ) from None
            raise error

    def _other(self, line: Line) -> str:
        """The layout of a row that lacks a column of this one, or whose answers stand in another way; empty for a row
        of this one that is only bad."""
        try:
            other = recognise(line, Reading(), self.wanted)
        except InputError:
            return ""
        columns = [*self.names.values(), *(slot.path for slot in self.slots.values() if slot.how not in NOT_NEEDED)]
        lacks = any(re.split(r"[.\[]", path)[0] not in line.table and path not in line.table for path in columns)
        hows = {(role, slot.path): slot.how for role, slot in other.slots.items()}
        ways = any(
            HOW[slot.how][0] != HOW[hows.get((role, slot.path), slot.how)][0] for role, slot in self.slots.items()
        )
        return other.name if lacks or ways else ""

    def _take(self, line: Line) -> Example:
        found: dict[str, Any] = {"where": line.where, "facts": {path: as_fact(line, path) for path in self.facts}}
        for role, slot in self.slots.items():
            if (value := slot.take(line)) is not None:
                found[role] = value
        if "answer" in self.slots and not isinstance(found["answer"], str):
            found["answer"], *also = dict.fromkeys(found["answer"])
            found["also"] = tuple(also)
        if self.choice is not None:
            asked = self.choice.take(line, self.names)
            if story := story_of(line, self.names.values()):
                asked = asked._replace(question=f"{story}\n\n{asked.question.strip()}")
            learnt = "response" if self.wanted == "responses" else "answer"
            found |= {"prompt": lettered(asked), learnt: asked.letter, "choices": asked.choices}
        if "numbers" in found:
            found |= _countdown(found, line)
        return _example(found, line)

    def said(self) -> list[str]:
        """What it takes as what, a line a role."""
        prompt, answer = str(self.slots.get("prompt", "")), str(self.slots.get("answer", ""))
        if self.choice is not None:
            prompt, answer = self.choice.words
        if "numbers" in self.slots:
            prompt, answer = f"made from {self.slots['numbers'].path} and {self.slots['target'].path}", "by rule"
        lines = {"layout": f"{self.name} ({', '.join(self.first.table)})", "prompt": prompt, "answer": answer}
        for role in (
            "response",
            "chosen",
            "rejected",
            "label",
            "text",
            "system",
            "history",
            "language",
            "id",
            "cluster",
        ):
            lines[role] = str(self.slots[role]) if role in self.slots else ""
        lines["history"] *= lines["history"] in self.first.table
        lines["system"] = lines["system"] or ("the chat's own, where it has one" if self._chat else "none")
        lines["facts"] = ", ".join(self.facts)
        names = {"system": "system prompt", "history": "earlier turns"}
        return [f"{names.get(role, role)}: {words}" for role, words in lines.items() if words]

    @property
    def _chat(self) -> bool:
        return any(slot.how == "chat" for slot in self.slots.values())


def as_fact(line: Line, path: str) -> Any:
    """A column as JSON values; None where the row lacks it, and for NaN, which stands for that."""
    value = line.table.get(path) if path in line.table or not there(line.table, path) else column(line, path)
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return json.loads(_spelled(value), parse_constant=lambda name: None)


def _countdown(found: Mapping[str, Any], line: Line) -> dict[str, Any]:
    given = found["numbers"] if isinstance(found["numbers"], (list, tuple)) else ()
    *numbers, target = (_whole(number) for number in (*given, found["target"]))
    if not numbers or None in (*numbers, target):
        raise InputError(f"{line.where}: a Countdown problem has whole numbers and a whole target")
    prompt = COUNTDOWN.format(numbers=", ".join(map(str, numbers)), target=target)
    facts = {**found["facts"], "numbers": numbers, "target": target}
    return {"prompt": prompt, "facts": facts}


def _whole(value: Any) -> int | None:
    """A whole number, text or ``12.0`` too."""
    found = _WHOLE.fullmatch(str(value).strip())
    return int(found[1]) if found else None


def _example(found: dict[str, Any], line: Line) -> Example:
    """The roles put together: a chat's turns before the question, a system prompt in front of all."""
    found.pop("numbers", None), found.pop("target", None)
    prompt, system, earlier = found.pop("prompt", ""), found.pop("system", ""), found.pop("history", ())
    chat: tuple[Message, ...] = prompt if isinstance(prompt, tuple) else ()
    if isinstance(prompt, str) and prompt:
        chat = (*earlier, Message(role="user", content=prompt))
    for role in ("chosen", "rejected", "response"):
        if isinstance(found.get(role), tuple):
            chat, found[role] = _continued(chat, found[role], line, role)
    if chat and chat[-1].role == "assistant":
        found.setdefault("response", chat[-1].content)
        chat = chat[:-1]
    if chat and chat[-1].role != "user":
        raise InputError(f"{line.where}: the turn before the answer is the {chat[-1].role}'s, not the user's")
    if system and chat and chat[0].role != "system":
        chat = (Message(role="system", content=system), *chat)
    language = str(found.get("language", "")).strip().lower()
    found["language"] = LANGUAGES.get(language, language[:2] if _LANGUAGE.fullmatch(language) else "")
    return Example(**found, question=chat[-1].content if chat else "", before=chat[:-1])


def _continued(
    chat: tuple[Message, ...], answered: tuple[Message, ...], line: Line, role: str
) -> tuple[tuple[Message, ...], str]:
    """(the chat before, the assistant's text) of a response that is itself a chat, with or without what it answers."""
    if answered[-1].role != "assistant":
        raise InputError(f"{line.where}: {role!r} ends with the {answered[-1].role}'s turn, not the assistant's")
    before = answered[:-1]
    if not before:
        return chat, answered[-1].content
    asked = chat if chat and chat[-1].role == "user" else ()
    same = zip(reversed(asked), reversed(before), strict=False)
    if len(chat) > len(before) or any(one.content.strip() != other.content.strip() for one, other in same):
        raise InputError(f"{line.where}: {role!r} answers another conversation than the prompt or the chosen one")
    return before, answered[-1].content


def recognise(line: Line, reading: Reading, wanted: Wanted | None = None) -> Layout:
    """The layout of a row, for what is wanted of it; without a wish, for the first that it has of ``WANTED``.

    Raises:
        InputError: no layout that is known, or more than one; says which columns to name.
    """
    if wanted is None:
        told: list[InputError] = []
        for each in WANTED:
            try:
                return recognise(line, reading, each)
            except InputError as error:
                told.append(error)
        raise told[0]
    found: Found = find_slots(line, reading.columns, wanted)
    taken = {slot.path.partition(".")[0].partition("[")[0] for slot in found.slots.values()}
    taken |= {slot.more for slot in found.slots.values()} | set(found.names.values())
    short = (key for key in line.table if key not in taken and len(_spelled(line.table[key])) <= LONGEST_FACT)
    facts = reading.facts or tuple(short)
    return Layout(layout_name(line, found), wanted, found.slots, found.choice, found.names, facts, line)


def not_a_task(layout: Layout, reading: Reading) -> str:
    """Why a row with a column that is called as answers are is read as something else; empty where it has none."""
    may_be = {*ANSWERS, "best_answer", *(["label"] if layout.wanted == "prompts" else [])}
    if not {name.lower() for name in layout.first.table} & may_be:
        return ""
    try:
        recognise(layout.first, reading, "answers")
    except InputError as error:
        return str(error)
    return ""


def _spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


class Examples:
    """The rows of a source as examples of one layout, read anew each time they are asked for."""

    def __init__(self, rows: Rows, wanted: Wanted | None = None) -> None:
        """Reads the first row that tells its layout. Raises as ``recognise`` does."""
        self.rows = rows
        self.layout = layout = _first_layout(rows, wanted)
        if layout.choice is not None:
            choice = counted(layout.choice, layout.names, rows, rows.reading.choices_from)
            self.layout = replace(layout, choice=choice)

    def __iter__(self) -> Iterator[Example]:
        return self.rows.read(self.layout.take)


def _first_layout(rows: Rows, wanted: Wanted | None) -> Layout:
    told: list[InputError] = []
    for line in rows:
        try:
            layout = recognise(line, rows.reading, wanted)
            _check_facts(rows, line)
            return layout
        except InputError as error:
            told.append(error)
            if rows.reading.bad_lines == "refuse" or len(told) == LOOKED_AT:
                break
    raise told[0]


def _check_facts(rows: Rows, first: Line) -> None:
    """Raises InputError for a fact that no row near the beginning has; a null counts as there."""
    for path in rows.reading.facts:
        try:
            column(first, path)
        except InputError:
            if not any(there(line.table, path) for line in islice(rows, LOOKED_AT)):
                raise


def read_examples(source: str, wanted: Wanted | None = None, reading: Reading | None = None) -> Examples:
    """The examples of a file, a folder or a hub data set. Raises InputError and MissingError, one line each."""
    return Examples(open_rows(source, reading), wanted)
