"""What a stage that makes samples leaves: ``samples.jsonl``, ``samples.parquet`` where it can, the data card."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from r1kit.checkpoint.hub import open_tokenizer
from r1kit.checkpoint.source import resolve_model
from r1kit.errors import InputError
from r1kit.factory.card import card, card_markdown
from r1kit.factory.decontaminate import EvaluationPrompts, evaluation_prompts, texts_of
from r1kit.factory.samplers import origin
from r1kit.factory.samples import write_samples
from r1kit.factory.select import Candidate
from r1kit.files import write_atomic
from r1kit.records import Sample
from r1kit.structure import plain
from r1kit.workspace import Workspace

__all__ = ["apart_from", "held_out_prompts", "nothing_left", "publish", "token_counter", "write_parquet"]


def held_out_prompts(tasks: Sequence[str], n: int, workspace: Workspace) -> EvaluationPrompts | None:
    """Of the tasks' held-out splits; None where nothing is to be compared."""
    if not n:
        return None
    return evaluation_prompts(workspace.recipe.built(tasks), n)


def apart_from(evaluation: EvaluationPrompts | None, samples: Sequence[Sample]) -> list[Sample]:
    """Those that overlap with no evaluation prompt."""
    return [s for s in samples if evaluation is None or not evaluation.overlaps(*texts_of(s))]


def token_counter(name: str, workspace: Workspace) -> Callable[[str], int]:
    """Tokens of a text by the tokenizer of a stage or model."""
    path, _ = origin(name, workspace)
    tokenizer = open_tokenizer(resolve_model(path))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def nothing_left(workspace: Workspace, dropped: Mapping[str, int]) -> InputError:
    """Of a stage that has no sample to publish: what each check left, what was dropped after the checks, what to do."""
    left, _ = yields(workspace)
    told = [f"{route}: {', '.join(f'{n} {check}' for check, n in checks.items())}" for route, checks in left.items()]
    lost = {reason: n for reason, n in dropped.items() if n}
    told += [f"then dropped: {', '.join(f'{n} {reason}' for reason, n in lost.items())}"] if lost else []
    cause = max(lost, key=lambda reason: lost[reason], default="")
    shared = "raise decontaminate, the length of the word runs that may not be shared, or set it to 0"
    remedy = {
        "contaminated": shared,
        "general_contaminated": shared,
        "rejected": "accept some in the review queue",
        "undecided": 'decide some in the review queue, or set review_rest = "accept"',
    }.get(cause, "loosen the filters, ask more prompts or raise sampling.n")
    return InputError(f"{workspace.stage}: no sample is left ({'; '.join(told)}): {remedy}")


def publish(
    workspace: Workspace,
    samples: Sequence[Sample],
    candidates: Sequence[Candidate],
    dropped: Mapping[str, int],
    count: Callable[[str], int],
    settings: Any,
    people: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the files (rank 0 only) and sum the stage up.

    Args:
        workspace: of the stage.
        samples: the final ones, in the order to write.
        candidates: those that the reasoning samples came from, for their language consistency before and after.
        dropped: candidates and others that were left out after the filters, by reason.
        count: tokens of a response.
        settings: of the stage, for the card.
        people: what the card tells of its reviewers.
    """
    left, judge = yields(workspace)
    told = card(workspace.stage, samples, {s.id: count(s.response) for s in samples}, left, plain(settings), dropped)
    told |= people or {}
    if judge:
        told["judge"] = judge
    write_samples(workspace.folder / "samples.jsonl", samples)
    write_parquet(workspace.folder / "samples.parquet", samples)
    workspace.write("card.json", told)
    write_atomic(workspace.folder / "card.md", card_markdown(told, samples))
    kept: dict[str, int] = {}
    for sample in samples:
        route = str(sample.provenance.get("route", ""))
        kept[route] = kept.get(route, 0) + 1
    present = {sample.id for sample in samples}
    pairs = [candidate.consistency for candidate in candidates if candidate.sample.id in present]
    return {
        "samples": len(samples),
        "mean_tokens": told["mean_tokens"],
        "domains": {name: domain["samples"] for name, domain in told["domains"].items()},
        "languages": told["languages"],
        "kept": kept,
        "yields": {route: found["share"] for route, found in told["yields"].items()},
        "language_consistency_before": sum(before for before, _ in pairs) / len(pairs) if pairs else None,
        "language_consistency": sum(after for _, after in pairs) / len(pairs) if pairs else None,
        "dropped": dict(dropped),
        **judge,
    }


def write_parquet(path: Path, samples: Sequence[Sample]) -> bool:
    """Replace the file; False, and no file, where pyarrow is missing (``pip install 'r1kit[data]'`` brings it)."""
    if importlib.util.find_spec("pyarrow") is None:
        return False
    import pyarrow as pa  # type: ignore[import-not-found, import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-not-found, import-untyped, unused-ignore]

    text = pa.string()
    edit = pa.struct([("by", text), ("what", text), ("detail", text)])
    provenance = pa.struct(
        [
            ("route", text), ("stage", text), ("version", pa.int64()), ("kind", text), ("review", text),
            ("completion", text), ("edits", pa.list_(edit)),
        ]
    )  # fmt: skip
    schema = pa.schema(
        [
            ("id", text), ("prompt", text), ("response", text), ("domain", text), ("language", text),
            ("provenance", provenance),
        ]
    )  # fmt: skip
    chats = any(sample.history for sample in samples)
    if chats:
        schema = schema.append(pa.field("history", pa.list_(pa.struct([("role", text), ("content", text)]))))
    known = [field.name for field in provenance]
    rows = [
        {
            **{name: getattr(sample, name) for name in ("id", "prompt", "response", "domain", "language")},
            "provenance": {name: sample.provenance.get(name) for name in known},
            **({"history": [plain(turn) for turn in sample.history or ()]} if chats else {}),
        }
        for sample in samples
    ]
    temporary = path.with_name(f".{path.name}.new")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)
    os.replace(temporary, path)
    return True


def yields(workspace: Workspace) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """By route: check -> completions left after it; and what the generative judge did in all."""
    left: dict[str, dict[str, int]] = {}
    judge: dict[str, int] = {}
    for line in workspace.read("metrics"):
        route = left.setdefault(line["route"], {})
        for name, count in line["left"].items():
            route[name] = route.get(name, 0) + count
        for name in ("judge_asked", "judge_no_json", "judge_left_out"):
            if name in line:
                judge[name] = judge.get(name, 0) + int(line[name])
    return left, judge
