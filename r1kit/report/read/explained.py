"""What each number that a run writes means, in the words of ``docs/metrics.md``, the one place that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

__all__ = ["explain", "explanations"]

_INSTALLED = Path(__file__).parents[2] / "_docs" / "metrics.md"
PAGE = _INSTALLED if _INSTALLED.is_file() else Path(__file__).resolve().parents[3] / "docs" / "metrics.md"
"""Inside an installed package, else in the repository that it lies in."""
SECTIONS = {"metrics": "`metrics.jsonl`", "evals": "`eval.jsonl`", "parts": "Rewards", "rollouts": "`rollouts.jsonl`"}
"""What is explained -> heading of the page."""
_ROW = re.compile(r"^\| (`.+?) \| (.+?) \|(?: .*\|)?$", re.MULTILINE)
_NAME = re.compile(r"`(\w+)`")
_LINK = re.compile(r"\[(.+?)\]\(.+?\)")
_SIGNS = re.compile(r"[`*]")


@cache
def explanations() -> Mapping[str, Mapping[str, str]]:
    """Section (a key of ``SECTIONS``) -> name -> meaning, in plain text; where a section has a name twice, the first
    one (of all stages, before those that make samples)."""
    page = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    bodies = {part.partition("\n")[0]: part for part in re.split(r"^## ", page, flags=re.MULTILINE)}
    found: dict[str, dict[str, str]] = {}
    for section, heading in SECTIONS.items():
        body = next((text for head, text in bodies.items() if head.startswith(heading)), "")
        held = found.setdefault(section, {})
        for names, meaning in _ROW.findall(body):
            for name in _NAME.findall(names):
                held.setdefault(name, _SIGNS.sub("", _LINK.sub(r"\1", meaning)))
    return found


def explain(section: str, name: str) -> str:
    """One line on a number; empty where the page has none.

    A part of the reward is explained where the rewards are; one of a user's own file by what it is.
    """
    told = explanations()
    if section == "metrics" and name in told["parts"]:
        return f"mean over the step's completions: {told['parts'][name]}"
    if meaning := told[section].get(re.sub(r"_layer\d+$", "_layerN", name), ""):
        return meaning
    if name.endswith("_abstained"):
        return f"share of completions of which {name.removesuffix('_abstained')} said nothing"
    if ".py:" in name:
        return "a number that your own reward function gave, unweighted" + (", not paid" if "/" in name else "")
    return ""
