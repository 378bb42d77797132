"""Small pieces of HTML. Whatever comes from a run is escaped here, and nowhere else put into the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go  # type: ignore[import-untyped]

from r1kit.report.findings import TableRow, share, short
from r1kit.report.run_folder import Row, number
from r1kit.report.samples import is_right

__all__ = [
    "GridRow",
    "aha",
    "caption",
    "cell",
    "definitions",
    "escape",
    "figure",
    "grid",
    "paragraph",
    "pre",
    "records",
    "sample",
    "section",
    "side",
    "table",
    "text_side",
]

_ANSWER = r"<answer>.*?(?:</answer>|$)"


def paragraph(text: str, style: str = "") -> str:
    """Escaped text in a paragraph; nothing for no text."""
    kind = f' class="{style}"' if style else ""
    return f"<p{kind}>{escape(text)}</p>" if text else ""


def caption(lead: str, text: str) -> str:
    """A bold lead and a text, both escaped."""
    return f"<b>{escape(lead)}</b> {escape(text)}"


def figure(drawn: go.Figure | None, caption_html: str) -> str:
    """A plotly figure as JSON that the page's script draws, above its caption; nothing for no figure."""
    if drawn is None:
        return ""
    text = drawn.to_json() or "{}"
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    height = int(drawn.layout.height or 300)
    return (
        f'<figure><div class="plot" style="min-height:{height}px"><div class="canvas"></div>'
        f'<script type="application/json">{text}</script></div><figcaption>{caption_html}</figcaption></figure>'
    )


def section(name: str, title: str, body: str) -> str:
    """A section with an anchor; nothing for an empty body."""
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>{body}</section>' if body else ""


def table(rows: Sequence[TableRow], names: tuple[str, str]) -> str:
    """Before against after; the first row leads. A bracket may fall on a line of its own on a phone."""
    head = (
        f'<th></th><th class="n">{escape(names[0])}</th><th class="n">{escape(names[1])}</th>'
        '<th class="n">change</th><th class="note"></th>'
    )
    body = []
    for index, row in enumerate(rows):
        cells = "".join(f'<td class="n">{_with_ends(text)}</td>' for text in (row.before, row.after))
        body.append(
            f"<tr{' class=lead' if index == 0 else ''}><th>{escape(row.name)}</th>{cells}"
            f'<td class="n dim">{escape(row.change)}</td><td class="note">{escape(row.note)}</td></tr>'
        )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _with_ends(text: str) -> str:
    value, bracket, ends = text.partition(" [")
    return escape(value) + (f' <span class="ends">[{escape(ends)}</span>' if bracket else "")


def cell(value: Any) -> str:
    """A JSON value as a person reads it (not escaped): shares as .12, lists and tables on one line."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float) and 0.001 <= value < 1:
        return share(value)
    if isinstance(value, (int, float)):
        return short(float(value)) if isinstance(value, float) else f"{value:,}" if abs(value) >= 10000 else str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    return str(value)


def records(rows: Iterable[Any]) -> str:
    """A table of JSON objects, one column for each key that any of them has; lists stand as plain rows."""
    held = [row for row in rows if isinstance(row, Mapping)]
    if not held:
        return ""
    keys = list(dict.fromkeys(key for row in held for key in row))
    numeric = {key: all(isinstance(row.get(key, 0), (int, float)) for row in held) for key in keys}
    mark = {key: ' class="n"' if numeric[key] else "" for key in keys}
    head = "".join(f"<th{mark[key]}>{escape(str(key).replace('_', ' '))}</th>" for key in keys)
    lines = []
    for row in held:
        cells = "".join(f"<td{mark[key]}>{escape(cell(row[key])) if key in row else ''}</td>" for key in keys)
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRow:
    """A row of ``grid``; without cells it heads a group."""

    name: str
    cells: Sequence[str] = ()
    best: frozenset[int] = frozenset()
    """Columns that are marked."""


def grid(heads: Sequence[str], rows: Sequence[GridRow], *, bars: Sequence[int] = (), total: bool = False) -> str:
    """A table of texts: a name and a cell for each head. A cell's interval, in brackets, may fall on its own line.

    Args:
        heads: of the columns after the name.
        bars: columns of percentages that are drawn as bars too.
        total: whether the last row is the total.
    """
    head = "".join(f'<th class="n">{escape(text)}</th>' for text in heads)
    body = []
    for place, row in enumerate(rows):
        if not row.cells:
            body.append(f'<tr class="group"><th colspan="{len(heads) + 1}">{escape(row.name)}</th></tr>')
            continue
        shown = "".join(_grid_cell(text, bar=at in bars, best=at in row.best) for at, text in enumerate(row.cells))
        kind = ' class="total"' if total and place == len(rows) - 1 else ""
        body.append(f"<tr{kind}><th>{escape(row.name)}</th>{shown}</tr>")
    return (
        f'<div class="scroll"><table class="wide"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _grid_cell(text: str, *, bar: bool, best: bool) -> str:
    kind = "n best" if best else "n"
    percent = re.fullmatch(r"(\d+)%", text) if bar else None
    if percent:
        rest = 1 - min(100, int(percent.group(1))) / 100
        drawn = f'<i style="right:calc((100% - .9rem) * {rest:.2f})"></i>'
        return f'<td class="{kind} bar">{drawn}<span>{escape(text)}</span></td>'
    return f'<td class="{kind}">{_with_ends(text)}</td>'


def definitions(items: Mapping[str, Any]) -> str:
    """Names and values in two columns."""
    lines = (f"<dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(cell(items[key]))}</dd>" for key in items)
    return f"<dl>{''.join(lines)}</dl>" if items else ""


def pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _marked(text: str, words: Sequence[str]) -> str:
    """A completion, escaped, with its answer and its reflective words marked."""
    latin = [re.escape(word) for word in words if word.isascii()]
    other = [re.escape(word) for word in words if not word.isascii()]
    patterns = [_ANSWER] + ([rf"\b(?:{'|'.join(latin)})\b"] if latin else []) + (["|".join(other)] if other else [])
    found = re.compile("|".join(patterns), re.DOTALL | re.IGNORECASE)
    pieces, end = [], 0
    for match in found.finditer(text):
        pieces.append(escape(text[end : match.start()]))
        marked = escape(match.group())
        is_answer = match.group().startswith("<")
        pieces.append(f'<span class="answer">{marked}</span>' if is_answer else f"<mark>{marked}</mark>")
        end = match.end()
    return "".join(pieces) + escape(text[end:])


def _verdict_mark(row: Row) -> str:
    right = is_right(row)
    if right is None:
        return '<b class="unknown">not judged</b>'
    return '<b class="right">✓ right</b>' if right else '<b class="wrong">✗ wrong</b>'


def _facts(row: Row, *, steps: bool = True) -> str:
    """Step, tokens, and the reward with its parts, on one line (not escaped)."""
    parts = row.get("parts")
    shown = [f"step {int(row['step'])}"] if steps else []
    if (tokens := number(row, "tokens")) is not None:
        shown.append(f"{tokens:.0f} tokens" + (", cut" if row.get("finish") == "length" else ""))
    if (reward := number(row, "reward")) is not None:
        shown.append(f"reward {short(reward)}")
    if isinstance(parts, Mapping):
        shown += [f"{str(key).replace('_', ' ')} {cell(parts[key])}" for key in parts]
    if row.get("status") not in (None, "ok"):
        shown.append(str(row["status"]))
    return " · ".join(shown)


def side(name: str, row: Row, words: Sequence[str], *, steps: bool = True) -> str:
    """A completion with its verdict and its facts, to stand beside others; ``steps``: whether its step is one."""
    return (
        f'<div class="side"><h4>{escape(name)} {_verdict_mark(row)}<span>{escape(_facts(row, steps=steps))}</span></h4>'
        f'<div class="text">{_marked(str(row.get("completion", "")), words)}</div></div>'
    )


def sample(before: Row, after: Row, names: tuple[str, str], words: Sequence[str], *, same_prompt: bool) -> str:
    """Two completions side by side under their prompt (or each under its own)."""
    if same_prompt:
        head = f'<div class="prompt"><span class="text">{escape(str(after.get("prompt", "")))}</span></div>'
        sides = side(names[0], before, words) + side(names[1], after, words)
    else:
        head = ""
        prompts = [f'<div class="text">{escape(str(row.get("prompt", "")))}</div>' for row in (before, after)]
        inner = [side(name, row, words) for name, row in zip(names, (before, after), strict=True)]
        sides = "".join(f'<div class="side">{prompt}{side}</div>' for prompt, side in zip(prompts, inner, strict=True))
    return f'<div class="sample">{head}<div class="sides">{sides}</div></div>'


def text_side(name: str, text: str, facts: str = "", words: Sequence[str] = ()) -> str:
    """A text with its name over it, to stand beside others."""
    told = f"<span>{escape(facts)}</span>" if facts else ""
    head = f"<h4>{escape(name)}{told}</h4>"
    return f'<div class="side">{head}<div class="text">{_marked(text, words)}</div></div>'


def aha(row: Row, words: Sequence[str]) -> str:
    """One candidate: its question, how often it turns, and the text around its last turn."""
    turns = f"{cell(row.get('turns'))} turns, the last at '{cell(row.get('word'))}'"
    return (
        f'<div class="sample"><div class="prompt"><span class="text">{escape(str(row.get("question", "")))}</span>'
        f'{paragraph(turns, "caption")}</div><div class="side">'
        f'<div class="text">{_marked(str(row.get("excerpt", "")), words)}</div></div></div>'
    )
