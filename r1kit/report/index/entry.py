"""What the index keeps of a line of ``rollouts.jsonl``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from r1kit.report.read.values import Row, mapping, number
from r1kit.reward.language import words_by_script

__all__ = ["LONGEST_TEXT", "Entry", "clean", "entry_of", "holds", "language_of", "spaced", "words"]

LONGEST_TEXT = 100_000
"""Characters of a text that are searched; what comes after is not."""
_LONGEST_WORD = 64
_EAST = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_EAST}]|[^\W{_EAST}]+|[^\w\s\x00-\x1f\x7f]")


def words(text: str) -> list[str]:
    """In lower case; ``12*5 =?`` is ``12``, ``*``, ``5``, ``=``, ``?``."""
    return [word[:_LONGEST_WORD] for word in _WORD.findall(text[:LONGEST_TEXT].casefold())]


def spaced(text: str) -> str:
    """Its words with a blank between them, as the index holds them."""
    return " ".join(words(text))


def holds(text: str, sought: str) -> bool:
    """Whether the words of ``sought`` stand in ``text`` in a row; the last one may be the beginning of a word."""
    return not (needle := spaced(sought)) or f" {needle}" in f" {spaced(text)}"


EXCERPT = 200
"""Characters of a prompt and of a completion that a list shows."""
LARGEST = float(2**53)
_SCRIPTS = {"han": "Chinese", "kana": "Japanese", "hangul": "Korean"}
_MOSTLY = 0.9
_LOOKED_AT = 4000
_MOST_PARTS, _LONGEST_NAME = 64, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    step: int
    kind: str
    """``train`` or ``evaluation``."""
    prompt_id: str
    prompt: str
    completion: str
    """Both whole; the index keeps their beginnings and their words."""
    task: str
    right: int | None
    """1 or 0; None where it was not graded."""
    reward: float | None
    advantage: float | None
    tokens: int | None
    finish: str
    status: str
    cause: str
    language: str
    """Of the completion: see ``language_of``."""
    model: str
    """Which checkpoint wrote it, where a stage judges several."""
    template: str
    version: int | None
    """Of the policy."""
    parts: dict[str, float]
    """Unweighted parts of the reward."""


def entry_of(row: Row) -> Entry | None:
    """None for an object that is no rollout: without a completion or a step."""
    completion, step = row.get("completion"), _whole(row, "step")
    if not isinstance(completion, str) or step is None:
        return None
    prompt_id = _text(row, "prompt_id")
    parts = mapping(row.get("parts"))
    values = {
        clean(str(name)): value for name in list(parts)[:_MOST_PARTS] if (value := number(parts, name)) is not None
    }
    accuracy = values.get("accuracy")
    return Entry(
        step=step,
        kind=_text(row, "kind"),
        prompt_id=prompt_id,
        prompt=clean(str(row.get("prompt") or "")),
        completion=clean(completion),
        task=_text(row, "task") or _task(prompt_id),
        right=None if accuracy is None else int(accuracy >= 1.0),
        reward=number(row, "reward"),
        advantage=number(row, "advantage"),
        tokens=_whole(row, "tokens"),
        finish=_text(row, "finish"),
        status=_text(row, "status") or "ok",
        cause=_text(row, "cause"),
        language=language_of(completion[:_LOOKED_AT]),
        model=_text(row, "checkpoint"),
        template=_text(row, "template"),
        version=_whole(row, "version"),
        parts={name[:_LONGEST_NAME]: value for name, value in values.items()},
    )


def clean(text: str) -> str:
    """The text with halves of surrogate pairs, which no file can hold, as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def language_of(text: str) -> str:
    """By the script of its words: ``Latin``, ``Chinese``, ``Cyrillic``; ``mixed`` where no script has nine in ten of
    them; ``no words``. Languages of one script are not told apart."""
    counts = words_by_script(text)
    if not counts:
        return "no words"
    if counts.get("kana"):  # Japanese writes with both
        counts["kana"] += counts.pop("han", 0)
    script = max(counts, key=lambda name: counts[name])
    if counts[script] < _MOSTLY * sum(counts.values()):
        return "mixed"
    return _SCRIPTS.get(script, script.capitalize())


def _task(prompt_id: str) -> str:
    """``reasoning_gym/chain_sum/train/3`` is of ``reasoning_gym/chain_sum``; ``countdown/dev/0`` of ``countdown``."""
    pieces = prompt_id.split("/")
    return "/".join(pieces[:-2]) if len(pieces) > 2 else pieces[0]


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return clean(value)[:_LONGEST_NAME] if isinstance(value, str) else ""


def _whole(row: Row, key: str) -> int | None:
    value = number(row, key)
    return None if value is None or abs(value) > LARGEST else int(value)
