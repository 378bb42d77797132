"""From a row's columns to the roles they have, by their names and by what the row holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from r1kit.data.chats import as_chat, is_asked_in_transcript, is_chat, is_transcript, may_be_turns
from r1kit.data.choices import CHOICES, CHOICES_NAMED, ChoiceForm
from r1kit.data.example import Wanted
from r1kit.data.paths import column, there
from r1kit.data.preferred import PREFERENCES
from r1kit.data.several import LISTS, several_in
from r1kit.data.slots import STORIES, Slot, answer_slot, no_answer
from r1kit.errors import InputError
from r1kit.files import Line

__all__ = ["Found", "code_format", "find_slots", "layout_name"]

PROMPTS = ("prompt", "problem", "question", "query", "instruction")
ASKS = ("question", "query")
"""Columns of a prompt that may be about a text in another column."""
MORE = {"instruction": ("input", "context"), "body": ("question",)}
"""Column of a prompt -> columns that follow it where they are there."""
ANSWERS = (
    "reward_model.ground_truth", "verification_info.ground_truth", "answer", "final_answer", "ground_truth",
    "gt_answer", "expected_answer", "reference_answer", "answer_number", "gold", "target",
)  # fmt: skip
SPARE_ANSWERS = ("gt", "ans", "golden", "golden_answer", "final_ans", "final_decision")
"""Answers of a row that has no solution, no response and no pair."""
PAIRED = {"inputs": "targets", "input": "target"}
"""Column of a prompt, where none of the others is there -> that of what is to follow, which must be there."""
RESPONSES = ("response", "completion", "output", "solution", "generated_solution", "answer", "best_answer")
SUPERGLUE_BOOLQ = {"question", "passage", "idx", "label"}
"""All columns of it; its ``label`` is 1 for yes."""
MULTIRC = {"paragraph", "question", "answer", "idx", "label"}
"""All columns of it; its ``label`` says whether the answer is right."""
CHATS = ("messages", "conversations", "conversation")
LABELS = ("label", "safe", "is_safe", "response_harm_label")
TEXTS = ("text", "content", "document")
BESIDE = {"system": ("system", "system_prompt"), "language": ("language", "lang"), "cluster": ("cluster",)}
HISTORY = "history"

NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("DAPO-Math, verl", ("reward_model", "prompt", "data_source")),
    ("Big-Math", ("problem", "answer", "llama8b_solve_rate")),
    ("OpenR1-Math", ("problem", "solution", "answer", "generations")),
    ("NuminaMath", ("problem", "solution", "source")),
    ("MATH", ("problem", "solution", "level")),
    ("DeepScaleR", ("problem", "answer", "solution")),
    ("MATH", ("problem", "solution")),
    ("Alpaca", ("instruction", "input", "output")),
    ("Dolly", ("instruction", "context", "response")),
)
"""Columns -> the data set that has them, the first that fits."""

CODE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("humaneval", ("prompt", "entry_point", "test")),
    ("mbpp", ("test_list",)),
    ("livecodebench", ("question_content", "public_test_cases")),
    ("codecontests", ("public_tests",)),
    ("codecontests", ("official_tests",)),
    ("apps", ("input_output",)),
    ("verification_info", ("verification_info",)),
    ("bugfix", ("program", "failing", "tests")),
    ("stdio", ("tests",)),
    ("stdio", ("test_cases",)),
    ("stdio", ("unit_tests",)),
    ("stdio", ("question", "solution", "test")),
)
"""Format of code problems -> the columns that tell it; ``tasks/code/files`` parses them."""


def code_format(table: Mapping[str, Any]) -> str | None:
    """Which format of code problems a row has; None for any other row."""
    if there(table, "verification_info.ground_truth"):  # SYNTHETIC-1's mathematics
        return None
    return next((name for name, needs in CODE if all(table.get(key) is not None for key in needs)), None)


@dataclass(frozen=True, slots=True)
class Found:
    slots: Mapping[str, Slot]
    choice: ChoiceForm | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """What the choices need -> column."""


def find_slots(line: Line, columns: Mapping[str, str], wanted: Wanted) -> Found:
    """Where each role that is wanted comes from; ``columns`` says so for some.

    Raises:
        InputError: a role has no column, or could have several.
    """
    named = {role: _slot(line, role, path) for role, path in columns.items()}
    beside = {role: Slot(path, "optional") for role, names in BESIDE.items() if (path := _first(line, names))}
    if wanted != "text" and (path := _turns(line)):
        beside["history"] = Slot(path, "turns")
    if wanted == "answers" and "choices" in named:
        found = {**_answers(line, named), **named}
        return Found(beside, CHOICES_NAMED, {role: found[role].path for role in ("prompt", "choices", "answer")})
    if wanted == "answers" and not {"prompt", "answer"} & set(named):
        if choice := _choice(line):
            return Found({**beside, **named}, choice, _spelled(line, choice))
        numbers, target = _first(line, ("nums", "numbers")), _first(line, ("target",))
        if numbers and target and not _first(line, PROMPTS):
            return Found({"numbers": Slot(numbers, "listed"), "target": Slot(target, "listed"), **beside, **named})
    others = (*CHATS, *RESPONSES[: RESPONSES.index("answer")])
    plain = wanted == "responses" and not {"prompt", "response", "messages"} & set(named) and not _first(line, others)
    if plain and (choice := _choice(line)):  # the letter is what is learnt
        return Found({**beside, **named}, choice, _spelled(line, choice))
    return Found({**beside, **FINDERS[wanted](line, named), **named})


def _slot(line: Line, role: str, path: str) -> Slot:
    """How a column that the user named stands in its role."""
    value = column(line, path)
    if role in ("prompt", "chosen", "rejected", "response", "messages") and (is_chat(value) or is_transcript(value)):
        return Slot(path, "chat")
    if role == "answer":
        return answer_slot(line, path)
    if role == "response" and path.lower() in ("answer", *LISTS) and several_in(path, value):
        return Slot(path, "first")
    if role == "response" and isinstance(value, bool):
        return Slot(path, "truth")
    if role in BESIDE:
        return Slot(path, "optional")
    return Slot(path, {"label": "flag", "text": "whole"}.get(role, "text"))


def _first(line: Line, names: Sequence[str]) -> str:
    """The first of the columns that is there, as the row spells it."""
    spelled = {name.lower(): name for name in line.table}
    for name in names:
        if name in spelled and line.table[spelled[name]] is not None:
            return spelled[name]
        if "." in name and there(line.table, name):
            return name
    return ""


def _turns(line: Line) -> str:
    """The column of the turns before a prompt, by its name alone: the first row may have none; empty where it holds
    something else."""
    path = next((name for name in line.table if name.lower() == HISTORY), HISTORY)
    return path if may_be_turns(line.table.get(path)) else ""


def _choice(line: Line) -> ChoiceForm | None:
    present = {name.lower() for name, value in line.table.items() if value not in (None, "", [])}
    return next((form for form in CHOICES if set(form.needs) <= present), None)


def _spelled(line: Line, choice: ChoiceForm) -> dict[str, str]:
    """What the choices need -> column, as the row spells it."""
    spelled = {name.lower(): name for name in line.table}
    return {need: spelled[need] for need in choice.needs}


def _only(line: Line, role: str, names: Sequence[str]) -> str:
    """The one of the columns that is there; the first of several that say the same; empty for none."""
    found = [path for name in names if (path := _first(line, (name,)))]
    values = {str(column(line, path)).strip() for path in found}
    if len(values) > 1:
        raise InputError(
            f"{line.where}: {' and '.join(map(repr, found))} could each be the {role}; name one: "
            f'columns = {{{role} = "{found[0]}"}}'
        )
    return found[0] if found else ""


def _prompt(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    if "prompt" in named:
        return {}
    if "messages" in named:
        return {"prompt": named["messages"]}
    path = _only(line, "prompt", PROMPTS) or _only(line, "prompt", CHATS) or _chat_in_input(line)
    path = path or next(iter(_paired(line)), "")
    if path.lower() == "question":  # SVAMP tells a story first
        path = _first(line, ("body",)) or path
    if not path:
        raise _lacks(line, "prompt", (*PROMPTS, *CHATS))
    if is_chat(value := column(line, path)) or is_asked_in_transcript(value):
        return {"prompt": Slot(path, "chat")}
    more = _first(line, MORE.get(path.lower(), ()))
    names = {name.lower() for name in line.table}
    return {"prompt": Slot(path, "text", more, path.lower() in ASKS and not names.isdisjoint(STORIES))}


def _chat_in_input(line: Line) -> str:
    """``input`` where it is a chat, as Nemotron's post-training data have it."""
    path = _first(line, ("input",))
    return path if path and is_chat(line.table[path]) else ""


def _lacks(line: Line, role: str, names: Sequence[str]) -> InputError:
    holds = {name: " (null)" if value is None else " (blank)" * (value == "") for name, value in line.table.items()}
    given = ", ".join(f"{name!r}{empty}" for name, empty in holds.items()) or "none"
    return InputError(
        f"{line.where}: no column for the {role} ({', '.join(names)}); the row has {given}; name one: "
        f'columns = {{{role} = "..."}}'
    )


def _answers(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    if form := code_format(line.table) if not {"prompt", "answer"} & set(named) else None:
        raise InputError(f'{line.where}: a problem in the format of {form}; write kind = "code/{form}"')
    if {name.lower() for name in line.table} == MULTIRC:
        raise InputError(f"{line.where}: 'answer' is right or wrong as 'label' says, so it is no reference answer")
    found = _prompt(line, named)
    if "answer" not in named:
        filled = [name for name in ANSWERS if (path := _first(line, (name,))) and column(line, path) not in ("", [])]
        if path := _only(line, "answer", filled):
            found["answer"] = answer_slot(line, path)
        elif path := _first(line, ("solution",)):
            found["answer"] = Slot(path, "box")
        elif {name.lower() for name in line.table} == SUPERGLUE_BOOLQ:
            found["answer"] = Slot(_first(line, ("label",)), "truth")
        elif path := _spare_answer(line):
            found["answer"] = answer_slot(line, path)
        else:
            lacks = _lacks(line, "answer", (*ANSWERS, "solution"))
            raise InputError(no_answer(line) or f'{lacks}; rule = "none" takes prompts without an answer')
    return found


def _paired(line: Line) -> tuple[str, ...]:
    """(a column of ``PAIRED``, what follows it), as the row spells them; nothing where one is not there."""
    pairs = ((_first(line, (prompt,)), _first(line, (target,))) for prompt, target in PAIRED.items())
    return next((pair for pair in pairs if all(pair)), ())


def _spare_answer(line: Line) -> str:
    """Where an answer is that is called as other things are too; ``label`` is one as a text beside ``prompt``."""
    if _first(line, (*RESPONSES, "chosen", "rejected")):
        return ""
    names = (*SPARE_ANSWERS, *(name.lower() for name in _paired(line)[1:]))
    labelled = _first(line, ("prompt",)) and (path := _first(line, ("label",))) and isinstance(line.table[path], str)
    filled = [name for name in names if (path := _first(line, (name,))) and column(line, path) not in ("", [])]
    return _only(line, "answer", [*filled, "label"] if labelled else filled) or _list_of_answers(line)


def _list_of_answers(line: Line) -> str:
    """The first of ``LISTS`` that is there and holds some, but for one of responses."""
    if _preference(line):
        return ""
    return next((path for name in LISTS if (path := _first(line, (name,))) and several_in(name, line.table[path])), "")


def _responses(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    if "messages" in named:
        return {"prompt": named["messages"]}
    if not {"prompt", "response"} & set(named) and (path := _only(line, "messages", CHATS)):
        return {"prompt": Slot(path, "chat")}
    found = _prompt(line, named)
    if "response" not in named:
        path = _first(line, RESPONSES) or "".join(_paired(line)[1:]) or _list_of_answers(line)
        if not path:
            raise _lacks(line, "response", RESPONSES)
        found["response"] = _slot(line, "response", path)
    return found


def _pairs(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    found: dict[str, Slot] = {}
    if not {"prompt", "chosen", "rejected"} & set(named) and (name := _preference(line)):
        how = PREFERENCES[name]
        found = {role: Slot(_first(line, (how.tells,)), f"{name} {role}") for role in ("chosen", "rejected")}
        return found | ({"prompt": _slot(line, "prompt", _first(line, (how.prompt,)))} if how.prompt else {})
    for role in ("chosen", "rejected"):
        if role not in named:
            names = (role, f"{role}_response")
            path = _first(line, names)
            if not path:
                raise _lacks(line, role, names)
            found[role] = _slot(line, role, path)
    chosen = {**named, **found}["chosen"]
    whole = chosen.how == "chat" and len(as_chat(column(line, chosen.path), line.where, chosen.path)) > 1
    if whole and not ("prompt" in named or _first(line, PROMPTS)):
        return found
    return {**_prompt(line, named), **found}


def _preference(line: Line) -> str:
    """The data set of ``PREFERENCES`` whose columns a row has; empty for none, and where the pair has columns."""
    if _first(line, ("chosen", "chosen_response")):
        return ""
    needs = {name: (each.tells, *each.needs, *filter(None, [each.prompt])) for name, each in PREFERENCES.items()}
    return next((name for name, paths in needs.items() if all(_first(line, (path,)) for path in paths)), "")


def _labels(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    found = _responses(line, named)
    if "label" not in named:
        path = _only(line, "label", LABELS)
        if not path:
            raise _lacks(line, "label", LABELS)
        found["label"] = Slot(path, "flag")
    return found


def _text(line: Line, named: Mapping[str, Slot]) -> dict[str, Slot]:
    if "text" in named:
        return {}
    path = _only(line, "text", TEXTS)
    if not path:
        raise _lacks(line, "text", TEXTS)
    return {"text": Slot(path, "whole")}


FINDERS = {
    "answers": _answers,
    "responses": _responses,
    "pairs": _pairs,
    "labels": _labels,
    "prompts": _prompt,
    "text": _text,
}


def layout_name(line: Line, found: Found) -> str:
    """What the layout is called."""
    if found.choice is not None:
        return found.choice.name
    if "numbers" in found.slots:
        return "Countdown-Tasks"
    answer, prompt = found.slots.get("answer"), found.slots.get("prompt")
    if answer is not None and answer.how == "hashes":
        return "GSM8K"
    if "chosen" in found.slots:
        return next((name for name in PREFERENCES if found.slots["chosen"].how == f"{name} chosen"), "preference pairs")
    present = {name.lower() for name, value in line.table.items() if value is not None}
    for name, needs in NAMES:
        if set(needs) <= present:
            return name
    if prompt is not None and prompt.how == "chat" and answer is None:
        return "ShareGPT" if "conversation" in prompt.path.lower() else "messages"
    return " and ".join(slot.path for role, slot in found.slots.items() if role not in (*BESIDE, HISTORY))
