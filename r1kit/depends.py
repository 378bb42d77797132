"""What decides a stage's result: its settings, the model, its tasks, the seed, the user's code and the stages before.

Files are told by what they hold, not by where they lie: data, a model's weights and tokenizer, code. ``key.json`` keeps
all of it beside the stage, so that a later run, or ``r1 status``, can say what has changed since.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from r1kit.checkpoint.source import HUB_NAME
from r1kit.contents import content_of_data, content_of_model, content_of_path, digest_of, place_of
from r1kit.contracts import Recipe
from r1kit.errors import InputError
from r1kit.files import object_of
from r1kit.recipe import fingerprint
from r1kit.registry import code_digests, compared, digest, is_reference, short
from r1kit.structure import plain
from r1kit.tasks.environment import references_of

__all__ = ["changes", "depends_on", "former_key", "is_taken_over", "read_key", "stage_keys", "written_key"]

FORMAT = 2
"""Of ``key.json``. 1, which does not say so, held paths as they were written, and no contents."""
TOLD = 3
"""Changed settings that are named; more are counted."""


class _Name(str):
    """A file's or folder's name: told, but no part of the key, which what it holds is."""


@dataclass(slots=True)
class _Walk:
    """A stage's settings, shortened on the way; what their texts stand for is gathered."""

    names: frozenset[str]
    """Of stages and tasks: no files, whatever lies about."""
    models: frozenset[str]
    """Texts that name a model."""
    before: Mapping[str, Any]
    """The stage's ``key.json``: what it says of a file or a model that is not here now stays."""
    fetch: bool
    """Bring a hub model that is not here, so that its commit is known."""
    references: dict[str, str] = field(default_factory=dict)
    """Dotted setting -> what it names of the user's code."""
    contents: dict[str, dict[str, str]] = field(default_factory=dict)
    """Dotted setting -> name -> digest."""

    def told(self, value: Any, where: str = "", setting: str = "", revision: str = "") -> Any:
        """The value without the folders of files, folders and the user's code; ``where`` it stands, the name of the
        ``setting`` that it belongs to, and the ``revision`` that data sets are read at there."""
        if isinstance(value, str):
            return self._text(value, where, setting, revision)
        if isinstance(value, Mapping):
            read = value.get("read")
            revision = value.get("revision") or (read.get("revision") if isinstance(read, Mapping) else "") or revision
            found = {}
            for name, item in value.items():
                place = f"{where}.{short(name)}" if where else name
                key = str(self._text(name, f"{place}#", setting, revision))
                found[key] = self.told(item, place, name, revision)
            return found
        if isinstance(value, list):
            return [self.told(item, f"{where}[{n}]", setting, revision) for n, item in enumerate(value)]
        return value

    def _text(self, text: str, where: str, setting: str, revision: str) -> str:
        model = text in self.models or where.endswith("model.name")  # RUN:STAGE looks like a reference
        if is_reference(text) and not model:
            self.references[where] = text
            return short(text)
        then = self.before.get("contents", {}).get(where)
        if path := place_of(text, setting, self.names, model=model):
            self.contents[where] = content_of_path(path)
            return _Name(path.name)
        there = Path(text)  # a name of the hub without an owner has neither parts nor, if of data, a suffix
        was_file = len(there.parts) > 1 or (there.suffix and not model)
        if then is not None and was_file and there.name == _leaf(self.before, where):
            self.contents[where] = then
            return _Name(there.name)
        if model:
            found = content_of_model(text, then, fetch=self.fetch)
        else:
            found = None if text in self.names else content_of_data(text, setting, revision, then, fetch=self.fetch)
        if found is None:
            return text
        self.contents[where] = found
        return text if HUB_NAME.fullmatch(text) else _Name(Path(text).name)


def depends_on(
    recipe: Recipe, stage: str, keys: Mapping[str, str], before: Mapping[str, Any] | None = None, *, fetch: bool = False
) -> dict[str, Any]:
    """All of it, as JSON values; ``keys`` are those of the earlier stages.

    Args:
        before: the stage's ``key.json``, see ``_Walk``.
        fetch: as there.
    """
    return _walked(recipe, stage, keys, before, fetch)[0]


def _walked(
    recipe: Recipe, stage: str, keys: Mapping[str, str], before: Mapping[str, Any] | None, fetch: bool
) -> tuple[dict[str, Any], set[str]]:
    """(what the stage depends on, references to the user's code)."""
    config = recipe.stages[stage]
    named = {"engine": recipe.engine.kind, "learner": recipe.learner.kind}
    models = {recipe.model.name, *config.model_sources} - {*recipe.stages, ""}
    walk = _Walk(frozenset((*recipe.stages, *recipe.tasks)), frozenset(models), before or {}, fetch)
    found: dict[str, Any] = walk.told(
        plain(
            {
                "kind": recipe.kinds[stage],
                "settings": _without_new(plain(config)),
                "model": _without_new(plain(recipe.model)),
                "tasks": {
                    name: {"kind": recipe.task_kinds[name], **_without_new(plain(recipe.tasks[name]), _ADDED_TO_TASKS)}
                    for name in recipe.tasks_of(stage)
                },
                "seed": recipe.seed,
                "inputs": {source: keys[source] for source in recipe.inputs(stage)},
                "backend": {key: name for key, name in named.items() if name != "auto"} or None,
            }
        )
    )
    if files := {Path(file).name: digest_of(Path(file)) for file in config.files if Path(file).is_file()}:
        walk.contents["files"] = files
    environments = references_of({name: recipe.task_kinds[name] for name in recipe.tasks_of(stage)})
    extra = {"code": code_digests({**walk.references, **environments}), "contents": walk.contents}
    found = {"format": FORMAT, **found, **{name: held for name, held in extra.items() if held}}
    return found, {*walk.references.values()}


def _hashed(found: Mapping[str, Any]) -> Any:
    """What the key is taken of: a file may have another name."""
    if contents := found.get("contents"):
        alone = {where: list(held.values()) if len(held) == 1 else held for where, held in contents.items()}
        found = {**found, "contents": alone}
    return _nameless(found)


def _nameless(value: Any) -> Any:
    if isinstance(value, _Name):
        return ""
    if isinstance(value, Mapping):
        return {name: _nameless(item) for name, item in value.items()}
    return [_nameless(item) for item in value] if isinstance(value, list) else value


def stage_keys(recipe: Recipe) -> dict[str, str]:
    """Every stage's key, in the order they run."""
    keys: dict[str, str] = {}
    for stage in recipe.stages:
        keys[stage] = str(written_key(recipe, stage, keys)["key"])
    return keys


def written_key(
    recipe: Recipe, stage: str, keys: Mapping[str, str], before: Mapping[str, Any] | None = None, *, fetch: bool = False
) -> dict[str, Any]:
    """What ``key.json`` says; the arguments are those of ``depends_on``."""
    found = depends_on(recipe, stage, keys, before, fetch=fetch)
    return {"key": fingerprint(stage, _hashed(found)), **found}


def is_taken_over(recipe: Recipe, stage: str, before: Mapping[str, Any], former: Mapping[str, str]) -> bool:
    """Whether a stage of format 1 was made by what the recipe says now, as far as its ``key.json`` tells.

    It kept no digests of data and models, which are taken as unchanged; settings that it did not have are taken as it
    worked.

    Args:
        former: earlier stage -> the key that this one knew it by, see ``former_key``.
    """
    if (
        "format" in before
        or "settings" not in before
        or dict(before.get("inputs", {})) != {source: former.get(source) for source in recipe.inputs(stage)}
    ):
        return False
    after, references = _walked(recipe, stage, former, None, False)
    held = {each for found in after.get("contents", {}).values() for each in found.values()}
    return (
        all(_same(_without_new(before[name]), after.get(name)) for name in before if name not in _NOT_COMPARED)
        and {*before.get("code", {}).items()} == {(short(text), digest(text)) for text in references if digest(text)}
        and held.issuperset(before.get("files", {}).values())
    )


def former_key(before: Mapping[str, Any], after: Mapping[str, Any], taken_over: bool) -> str:
    """The key that a stage of format 1 knows this earlier stage by: its old one where it was kept, else its new one."""
    kept = taken_over or before.get("key") == after["key"]
    return str(before.get("former", before["key"]) if kept else after["key"])


_ADDED: Mapping[str, Any] = {
    "max_lag": 0, "over_update": "wait", "order": "in_turn", "late": "wait", "importance_floor": 0.5, "max_gap": 0.2,
    "old_logprobs": "trainer", "advantage": "group_relative", "function": "policy_loss", "own": [],
    "experts": {"bias_speed": 0.001, "balance": 0.0001}, "mtp_weight": 0.3, "keep_mtp": 0.0,
    "review_least": 0, "review_rest": "leave_out", "shorter": [], "true_summary": False, "drop_thinking": False,
    "date": "", "choices_from": -1,
    "verdicts": {"slow": "wait", "patience": 0.0, "carry_steps": 1},
    "lora": {"rank": 0, "alpha": 0.0, "targets": [], "dropout": 0.0},
    "lapses": 0.0, "korean_share": 0.0, "korean": [0.3, 0.4, 0.3], "language_target": "question",
    "worded_share": 0.0, "learns": "trees",
    "length_rule": "right", "paraphrases": [], "easy_rate": 0.75, "easy_fact": "", "easy_most": 1.0,
    "few_shot": {
        "shots": 0, "path": "", "text": "Question: {question}\nAnswer: {response}\n\n", "last": "Question: ",
        "longest": 80,
    },
}  # fmt: skip
"""Setting of a stage -> its default, where it came after runs of format 2: at its default it is no part of the key."""
_ADDED_TO_TASKS: Mapping[str, Any] = {"korean_share": 0.0, "lapses": 0.0, "system_asks": False, "choices_from": -1}
"""The same of a task."""
_NO_PART = ("review_wait", "review_twice", "record_tokens")
"""Settings of a stage that decide nothing of its result: how people come to decide, what is kept to look at."""


def _without_new(value: Any, added: Mapping[str, Any] = _ADDED) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_new(item, added)
            for name, item in value.items()
            if name not in _NO_PART and (name not in added or item != added[name])
        }
    return value


_RENEWED = (("prefilled", False, "auto"),)
"""(setting, its default in format 1, its default now)."""
_NOT_COMPARED = ("key", "why", "inputs", "code", "files")


def _same(old: Any, new: Any) -> bool:
    """Whether nothing that was there is another now."""
    if isinstance(old, Mapping):
        return isinstance(new, Mapping) and all(
            name in new and (_same(old[name], new[name]) or (name, old[name], new[name]) in _RENEWED) for name in old
        )
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new or (isinstance(new, _Name) and isinstance(old, str) and Path(old).name == new))


def read_key(folder: Path) -> dict[str, Any]:
    """``key.json`` of a stage's folder; the key alone where that is missing or damaged and another file tells it; empty
    for a new folder.

    Raises:
        InputError: the file is damaged, and nothing else tells the key.
    """
    damaged: list[Path] = []
    for name in ("key.json", "result.json", "resume/state.json"):
        if (path := folder / name).is_file():
            found = object_of(path.read_text(encoding="utf-8", errors="replace")) or {}
            if isinstance(found.get("key"), str):
                return found if name == "key.json" else {"key": found["key"]}
            damaged.append(path)
    if damaged and damaged[0].name == "key.json":
        raise InputError(
            f"{damaged[0]} is damaged, so nothing tells what this stage was made of; copy the run folder again, or "
            f"delete {folder} to do it again"
        )
    return {}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What differs between two ``key.json``, for a person: ``steps 90 -> 7; cold_start was done again``."""
    told = [
        f"{stage} was done again" if stage in before.get("inputs", {}) else f"it takes in {stage} now"
        for stage, key in after.get("inputs", {}).items()
        if before.get("inputs", {}).get(stage) != key
    ]
    told += dict.fromkeys([*_edited_code(before, after), *_edited_contents(before, after)])
    old, new = dict(_leaves(before)), dict(_leaves(after))
    renamed = [where for where, held in _contents(after).items() if _alike(_contents(before).get(where), held)]
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name) and name not in renamed]
    told += [f"{name.removeprefix('settings.')} {_spelled(old, name)} -> {_spelled(new, name)}" for name in differing]
    if "format" not in before and "settings" in before:
        told.append("an earlier version made it, which kept no digests of files")
    more = len(told) - TOLD
    return "; ".join([*told[:TOLD], f"{more} more"] if more > 0 else told) or "its settings or inputs"


def _edited_code(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if "format" not in before:  # named by what was imported, not by files
        return []
    old, new = compared(before.get("code", {}), after.get("code", {}))
    return [f"{name} {_how(old, new, name)}" for name in {**old, **new} if old.get(name) != new.get(name)]


def _edited_contents(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Files of the same setting that hold something else; another name is told as the setting's."""
    told = []
    for where, new in _contents(after).items():
        old = _contents(before).get(where)
        if old is None or _alike(old, new) or (len(old) == len(new) == 1 and old.keys() != new.keys()):
            continue
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        of = f" of {_leaf(after, where)}" if len(new) > 1 or "commit" in new else ""
        told += [f"{'the ' if name == 'commit' else ''}{name}{of} {_how(old, new, name)}" for name in names]
    return told


def _contents(key: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    found: Mapping[str, Mapping[str, str]] = key.get("contents", {})
    return found


def _alike(old: Mapping[str, str] | None, new: Mapping[str, str]) -> bool:
    """One file may have another name."""
    return old == new or (old is not None and len(old) == len(new) == 1 and [*old.values()] == [*new.values()])


def _how(old: Mapping[str, str], new: Mapping[str, str], name: str) -> str:
    if name == "commit":
        return "is another"
    return "is new" if name not in old else "is gone" if name not in new else "was edited"


def _spelled(leaves: Mapping[str, Any], name: str) -> str:
    return json.dumps(leaves[name], ensure_ascii=False) if name in leaves else "unset"


def _leaf(key: Mapping[str, Any], where: str) -> str:
    return str(dict(_leaves(key)).get(where, where))


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every setting."""
    for name, item in value.items():
        if not prefix and name in ("key", "former", "format", "inputs", "why", "grown", "code", "contents", "files"):
            continue
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", item
