"""The model card of an exported stage, written from its run folder alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from r1kit import __version__
from r1kit.errors import InputError

if TYPE_CHECKING:
    from r1kit.contracts import Recipe

__all__ = ["Origin", "StageOfRun", "licence_notes", "model_card", "origins_of", "stage_of_run"]

NUMBERS = (
    ("avg_at_k", "avg@k (pass@1)"),
    ("cons_at_k", "cons@k"),
    ("pass_at_k", "pass@k"),
    ("format_rate", "format"),
    ("response_tokens", "tokens a response"),
    ("truncated_share", "cut short"),
)


MANIFEST = ("recipe", "recipe_hash", "seed", "versions", "hardware", "lineage")
"""Keys of ``manifest.json`` that a card needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOfRun:
    """What a run folder says of one finished stage, or of a student's model in it."""

    stage: str
    """As it was named, for example ``distill/small/rl``."""
    metrics: Mapping[str, Mapping[str, Any]]
    """Task -> its last evaluation."""
    manifest: Mapping[str, Any]
    title: str
    """What a stage of its kind does."""
    settings: str
    """The stage's table of the resolved recipe, as TOML."""
    illnesses: Sequence[str] = ()
    """What ``r1 status`` finds wrong with the stage, a sentence each without its stop."""


def stage_of_run(run: Path, stage: str) -> StageOfRun:
    """Read ``result.json``, ``manifest.json``, ``recipe.toml`` and the stage's logs.

    Raises:
        InputError: the stage is not finished, or the manifest is damaged.
    """
    import tomli_w

    from r1kit.checkpoint.checkpoints import checkpoint_of, result_of
    from r1kit.recipe import load_recipe
    from r1kit.report.read.illnesses.doctor import illnesses
    from r1kit.report.read.run_folder import RunFolder
    from r1kit.structure import plain

    folder = RunFolder(run)
    name = stage.partition("/")[0]
    result = result_of(checkpoint_of(run, stage).parent)
    if not result:
        raise InputError(f"stage {stage!r} of {run} is not finished; r1 status {quote(str(run))} says where it stands")
    if missing := [key for key in MANIFEST if key not in folder.manifest]:
        raise InputError(f"{run}/manifest.json has no {missing[0]!r}; r1 run with the same --out writes it again")
    recipe = load_recipe(str(run / "recipe.toml"))
    settings = {"seed": recipe.seed, "model": plain(recipe.model), "tasks": plain(recipe.tasks)}
    return StageOfRun(
        stage=stage,
        metrics=_evaluations(result.get("metrics", {})),
        manifest=folder.manifest,
        title=recipe.about[name].title,
        settings=tomli_w.dumps({**settings, "stages": {name: plain(recipe.stages[name])}}),
        illnesses=[f"{one.name}: {one.seen}" for one in illnesses(folder, time.time()) if one.stage == name],
    )


def _evaluations(metrics: Any) -> Mapping[str, Mapping[str, Any]]:
    """Task -> its evaluation; of a student's RL that of its largest budget."""
    tables = {name: table for name, table in metrics.items() if isinstance(table, Mapping)}
    found = {task: line for task, line in tables.items() if "avg_at_k" in line}
    return found if found or not tables else _evaluations(list(tables.values())[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a model was made out of, and under which licence that is."""

    role: str
    """``base``, or which stage or task read it."""
    name: str
    licence: str


def origins_of(recipe: Recipe) -> list[Origin]:
    """The base and every file, folder or data set that a recipe names, each once, with the licence that it names."""
    from r1kit.checkpoint.licences import base_of_card, licence_of

    base = recipe.model.name
    found = [Origin(role="base", name=base_of_card(base), licence=licence_of(base))] if base else []
    seen: set[str] = set()
    for role, source in _sources(recipe):
        if source not in seen:
            seen.add(source)
            found.append(Origin(role=role, name=base_of_card(source), licence=licence_of(source)))
    return found


def _sources(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(who reads it, path or hub name) of what a recipe's tasks and stages read."""
    from r1kit.structure import plain

    tables = [(f"task {name}", plain(table)) for name, table in recipe.tasks.items()]
    tables += [(f"stage {name}", plain(table)) for name, table in recipe.stages.items()]
    for role, table in tables:
        for key, value in _leaves(table):
            if key in ("path", "data", "test_path") and value and value not in recipe.stages:
                yield role, value


def _leaves(table: Any) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        elif isinstance(value, str):
            yield key, value


def licence_notes(origins: Iterable[Origin]) -> list[str]:
    """What the licences ask of who passes the model on; a line each."""
    from r1kit.checkpoint.licences import asks

    return [f"{one.role} {one.name}: licence {one.licence} {asked}" for one in origins if (asked := asks(one.licence))]


def model_card(model: str, described: StageOfRun | None, notes: Iterable[str], origins: Sequence[Origin] = ()) -> str:
    """Markdown with the hub's front matter."""
    parts = [_front(origins)]
    if described:
        parts += [
            f"# {described.manifest['recipe']}: {described.stage}\n",
            f"{described.title}. Trained with r1kit {__version__}, recipe "
            f"`{described.manifest['recipe']}` (hash `{described.manifest['recipe_hash']}`), "
            f"seed {described.manifest['seed']}.\n",
            _lineage(described.manifest, described.stage.partition("/")[0]),
            _numbers(described.metrics),
            _limits(described),
            _origins(origins),
        ]
    else:
        parts += [f"# {model}\n", "Converted by r1kit; not trained by it.\n"]
    parts += [USAGE]
    parts += ["".join(f"- {note}\n" for note in notes)]
    parts += [f"## Settings\n\n```toml\n{described.settings}```\n"] if described else []
    return "\n".join(part for part in parts if part)


def _front(origins: Sequence[Origin]) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags:", "- r1kit"]
    base = next((one for one in origins if one.role == "base"), None)
    if base is not None and base.name.count("/") == 1:
        lines.append(f"base_model: {base.name}")
    if base is not None and base.licence != "not told":
        lines.append(f"license: {base.licence}")
    return "\n".join(("---", *lines, "---\n"))


def _origins(origins: Sequence[Origin]) -> str:
    if not origins:
        return "## Data and licences\n\nA fresh base; all of its text and tasks are drawn by r1kit.\n"
    from r1kit.checkpoint.licences import asks

    rows = "".join(f"| {one.role} | {one.name} | {one.licence} | {asks(one.licence) or '-'} |\n" for one in origins)
    head = "## Data and licences\n\n| read by | what | licence, as its card names it | it asks |\n|---|---|---|---|\n"
    return f"{head}{rows}\nWhat may be done with the model is for whoever passes it on to decide by these licences.\n"


def _lineage(manifest: Mapping[str, Any], stage: str) -> str:
    """The stage and all that fed it, in the order they ran; a file by its name alone."""
    lineage = manifest["lineage"]
    fed, todo = set(), [stage]
    while todo:
        if (name := todo.pop()) in lineage and name not in fed:
            fed.add(name)
            todo += lineage[name]["inputs"]
    rows = [
        f"| {name} | {', '.join(map(_short, entry['inputs'])) or 'fresh weights'} | {entry['seconds']:.0f} |"
        for name, entry in lineage.items()
        if name in fed
    ]
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    head = "## Lineage\n\n| stage | started from | seconds |\n|---|---|---|\n"
    return head + "\n".join(rows) + f"\n\nOn {manifest['hardware']['processor']}; {versions}.\n"


def _short(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def _numbers(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    if not metrics:
        return "## Numbers\n\nThe run did not evaluate this stage.\n"
    head = "## Numbers\n\n| task | split | k | " + " | ".join(name for _, name in NUMBERS) + " |\n"
    rule = "|---|---|---|" + "---|" * len(NUMBERS) + "\n"
    rows = [
        f"| {task} | {line.get('split', '')} | {line['k']} | "
        + " | ".join(_cell(line, key) for key, _ in NUMBERS)
        + " |\n"
        for task, line in metrics.items()
    ]
    note = "\nIn-loop evaluation of the finished stage; 95% intervals, clustered by problem, in brackets.\n"
    return head + rule + "".join(rows) + note


def _cell(line: Mapping[str, Any], key: str) -> str:
    value = line.get(key)
    if value is None:
        return "-"
    interval = {"avg_at_k": "interval", "cons_at_k": "cons_interval"}.get(key, "")
    bounds = f" [{line[interval][0]:.3f}, {line[interval][1]:.3f}]" if line.get(interval) else ""
    return f"{value:.1f}" if key == "response_tokens" else f"{value:.3f}{bounds}"


SEEN = 0.02
"""Smallest share of responses that is told as a limit."""


def _limits(described: StageOfRun) -> str:
    """What the run itself saw go wrong: read off the last evaluation and the stage's logs, nothing reckoned."""
    judged = ", ".join(described.metrics) or "no task"
    found = [f"judged on {judged} alone, by rules; nothing is known of it outside of them", *described.illnesses]
    for task, line in described.metrics.items():
        found += [f"{task}: {said}" for said in _shortcomings(line)]
    return "## Limits\n\n" + "".join(f"- {said}\n" for said in found)


def _shortcomings(line: Mapping[str, Any]) -> Iterator[str]:
    if unsolved := sum(right == 0 for right in line.get("per_problem", ())):
        yield f"{unsolved} of {line['problems']} problems never right in {line['k']} tries"
    if line.get("truncated_share", 0.0) >= SEEN:
        yield f"{line['truncated_share']:.0%} of responses cut at the longest length before they end"
    if line.get("format_rate", 1.0) <= 1 - SEEN:
        yield f"{1 - line['format_rate']:.0%} of responses not in the form that was asked for"
    if line.get("language_consistency", 1.0) <= 1 - SEEN:
        yield f"{1 - line['language_consistency']:.0%} of the thinking in another language than the question"
    languages = {name: one["avg_at_k"] for name, one in line.get("by_language", {}).items()}
    if len(languages) > 1:
        yield "right by language of the question: " + ", ".join(f"{name} {of:.2f}" for name, of in languages.items())
    if "worst_template" in line:
        yield f"{line['worst_template']:.2f} right in the worst of the prompts, {line['mean_template']:.2f} over all"


USAGE = """## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH")
model = AutoModelForCausalLM.from_pretrained("PATH")
messages = [{"role": "user", "content": "QUESTION"}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=256)[0]))
```

Sample (temperature 0.6, top-p 0.95, as in generation_config.json) rather than decode greedily.
"""
