"""What the templates call to write values of a view model. Text of a run is escaped: here, and by the templates."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]
from markupsafe import Markup, escape

from r1kit.report.read.evaluations import gist, majority_above
from r1kit.report.read.replies import Reply
from r1kit.report.read.stage_table import TableCell
from r1kit.report.read.values import interval_of, number
from r1kit.report.read.wording import amount, bracket, duration, plainly, settable, share, short, signed

__all__ = ["FILTERS", "cell_text", "marked", "visible"]

_ANSWER = r"<answer>.*?(?:</answer>|$)"
_UNSEEN = {
    code: f"\\u{code:04x}"
    for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, *range(0xD800, 0xE000))
}
_UNSEEN |= {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code not in (9, 10)}
"""Characters that steer a display and are not seen: control codes, and marks that turn the direction of a line; and
halves of surrogate pairs, which no file can hold."""


def visible(text: str) -> str:
    """The text with its control characters and direction marks spelled out."""
    return text.replace("\r\n", "\n").translate(_UNSEEN)


def marked(text: str, words: Sequence[str] = ()) -> Markup:
    """A completion with its answer and its reflective words marked."""
    text = visible(text)
    latin = [re.escape(word) for word in words if word.isascii()]
    other = [re.escape(word) for word in words if not word.isascii()]
    patterns = [_ANSWER] + ([rf"\b(?:{'|'.join(latin)})\b"] if latin else []) + (["|".join(other)] if other else [])
    pieces, end = [], 0
    for match in re.finditer("|".join(patterns), text, re.DOTALL | re.IGNORECASE):
        tag = '<span class="answer">{}</span>' if match.group().startswith("<") else "<mark>{}</mark>"
        pieces += [escape(text[end : match.start()]), Markup(tag).format(match.group())]
        end = match.end()
    return Markup("").join([*pieces, escape(text[end:])])


def facts(reply: Reply, *, steps: bool = True) -> str:
    """Step, tokens, and the reward with its parts, on one line."""
    shown = [f"step {reply.step}"] if steps else []
    if reply.tokens is not None:
        shown.append(f"{reply.tokens:.0f} tokens" + (", cut" if reply.cut else ""))
    if reply.reward is not None:
        shown.append(f"reward {short(reply.reward)}")
    shown += [f"{str(key).replace('_', ' ')} {plainly(value)}" for key, value in reply.parts.items()]
    return " · ".join(shown + ([reply.status] if reply.status != "ok" else []))


def plot_json(drawn: go.Figure) -> Markup:
    """A figure for the page's script, in a ``script`` element that nothing in it can close."""
    text = drawn.to_json() or "{}"
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def cell_text(cell: TableCell | None, is_share: bool) -> str:
    """A number of the stage table with its interval."""
    if cell is None:
        return "–"
    return share(cell.value) + bracket(cell.ends) if is_share else short(round(cell.value, 1))


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def percent(part: float | None, whole: float = 1.0) -> str:
    return "" if part is None or not whole else f"{100 * part / whole:.0f}%"


def spaced(name: object) -> str:
    """``mean_tokens`` as ``mean tokens``."""
    return str(name).replace("_", " ")


def table_rows(value: object, name: str) -> list[Mapping[str, Any]]:
    """A list of objects as it is, an object of objects with its keys as first column; nothing for anything else."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, Mapping)]
    if isinstance(value, Mapping) and value and all(isinstance(item, Mapping) for item in value.values()):
        return [{name.removeprefix("by_").removeprefix("accuracy_by_"): key, **item} for key, item in value.items()]
    return []


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """Every key of the rows, and whether all of its values are numbers."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: all(isinstance(row.get(key, 0), (int, float)) for row in rows) for key in keys}


def megabytes(size: float | None) -> str:
    """Bytes as ``31.4 MB``; a dash for None."""
    return "–" if size is None else f"{short(size / 1e6)} MB"


FILTERS: dict[str, Callable[..., Any]] = {
    "amount": amount, "bracket": bracket, "cell_text": cell_text, "columns": columns, "count": count,
    "duration": duration, "facts": facts, "field": number, "gist": gist, "interval_of": interval_of,
    "majority_above": majority_above, "marked": marked, "megabytes": megabytes,
    "percent": percent, "plainly": plainly, "settable": settable,
    "plot_json": plot_json, "share": share, "short": short, "signed": signed, "spaced": spaced,
    "table_rows": table_rows,
}  # fmt: skip
