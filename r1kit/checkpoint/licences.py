"""Licences as cards of models and data name them, and what they ask of what is made out of them: said, not decided."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["asks", "base_of_card", "licence_of", "named_in_card"]

UNKNOWN = "not told"
ASKS: tuple[tuple[str, str], ...] = (
    (r"(^|-)nd(-|$)", "forbids passing on what is made out of it"),
    (r"(^|-)nc(-|$)|non-?commercial|research", "forbids commercial use"),
    (r"^llama-?[0-9.]*", "asks for a name that begins with Llama, 'Built with Llama' and the licence beside it"),
    (r"^gemma", "asks that its terms and prohibited uses are passed on with the model"),
    (r"openrail|^bigscience", "asks that its restrictions of use are passed on with the model"),
    (r"^(a?gpl|cc-by-sa)", "asks that what is made out of it is passed on under the same licence"),
    (r"^(qwen|tongyi|other|deepseek|falcon)", "has terms of its own: read them before the model is passed on"),
)  # fmt: skip
"""Pattern of an identifier, as the hub spells it -> what the licence asks."""


def asks(licence: str) -> str:
    """What a licence asks, in words; empty for one that asks no more than its notice."""
    found = [words for pattern, words in ASKS if re.search(pattern, licence.lower())]
    return "; ".join(found)


def named_in_card(folder: Path, *keys: str) -> str:
    """The first of the keys in the front matter of a folder's README.md; empty where there is none."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    front = re.match(r"\s*---\n(.*?)\n---", file.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    for key in keys if front else ():
        if found := re.search(rf"^{key}:[ \t]*['\"]?([^\s'\"\[\]]+)", front[1] if front else "", re.MULTILINE):
            return found[1]
    return ""


def licence_of(source: str) -> str:
    """The licence that a model or data set names, in its folder's card, in the hub's cache, in its package; ``source``
    as a recipe has it."""
    if source.startswith("pypi:"):
        return _of_package(source.removeprefix("pypi:").partition("/")[0].partition("==")[0])
    here = Path(source).expanduser()
    folders = [here if here.is_dir() else here.parent] if here.exists() else []
    places = [*folders, *_cached(source)]
    found = next(filter(None, (named_in_card(place, "license_name", "license") for place in places)), "")
    return found or UNKNOWN


def _cached(source: str) -> Sequence[Path]:
    """Snapshots of a hub name in the cache, the newest first."""
    if source.count("/") != 1:
        return ()
    from huggingface_hub.constants import HF_HUB_CACHE

    places = [
        Path(HF_HUB_CACHE) / f"{kind}--{source.replace('/', '--')}" / "snapshots" for kind in ("models", "datasets")
    ]
    found = [one for place in places if place.is_dir() for one in place.iterdir()]
    return sorted(found, key=lambda one: one.stat().st_mtime, reverse=True)


def _of_package(name: str) -> str:
    from importlib import metadata

    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return UNKNOWN
    named = [told[key] for key in ("License-Expression", "License") if key in told]
    return named[0] if named else UNKNOWN


def base_of_card(source: str) -> str:
    """How a card names a base: a hub name as it is; a folder by its name alone."""
    return source if source.count("/") == 1 and not Path(source).exists() else Path(source).name or source
