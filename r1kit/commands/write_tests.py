"""``r1 write-tests``: hidden tests for problems that have none, written by a model and kept if they tell right programs
from wrong (R1 paper v2, B.3.2)."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r1kit.commands.options import spelled_out
from r1kit.errors import InputError, R1Error, nearest

if TYPE_CHECKING:
    from r1kit.commands.arguments import Opened
    from r1kit.sandbox import LadderSettings, Sandbox
    from r1kit.tasks.code.untested import Untested
    from r1kit.tasks.code.written_tests import Subject, Writer, Written

__all__ = ["write_tests"]

LIST_OPS = "code/list_ops"
FEW = 100
"""Problems of list_ops, whose stream has no end, where no --limit is given."""
ROWS = 8
"""Replies in flight: one problem's prompts."""
LEAST_REPLY = 64
"""Tokens that a reply must have room for."""


def write_tests(
    problems: Annotated[
        str, typer.Argument(help="JSONL with prompt, solutions, wrong and entry (docs/sandbox.md), or code/list_ops.")
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to", metavar="FILE", callback=spelled_out, help="Problems with tests, as code/mbpp or code/stdio."
        ),
    ],
    model: Annotated[str, typer.Option(help="Who writes: a name as for r1 eval. Without: rules, list_ops only.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many problems; 0: all, 100 of list_ops.")] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", callback=spelled_out, help="Keeps each problem's tests: the same command goes on."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Replies to each of a problem's eight prompts.")] = 1,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest reply; 0: the stage's own, else 1024 or what fits.")
    ] = 0,
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    seed: Annotated[int, typer.Option(help="Of the writer.")] = 0,
) -> None:
    """Write hidden tests for problems with right and wrong solutions; keep those that tell them apart."""
    from r1kit.checkpoint.source import check_model
    from r1kit.registry import find
    from r1kit.sandbox import open_sandbox
    from r1kit.tasks.code import CodeConfig
    from r1kit.tasks.code.tested import tested
    from r1kit.tasks.code.untested import UNTESTED, read_problems

    _check_places(problems, to, cache)
    if model:
        check_model(model)
    elif problems != LIST_OPS:
        raise InputError(f"rules write tests for {LIST_OPS} alone; name who writes them: --model MODEL")
    ours = problems in UNTESTED
    asked = find(problems, UNTESTED, "problems")(limit or FEW) if ours else read_problems(Path(problems))
    asked = asked[: limit or None]
    config = CodeConfig(format="mbpp" if asked[0].subject.entry else "stdio", path=str(to))
    counts, lines = Counter[str](), []
    with closing(open_sandbox(config.sandbox)) as sandbox:
        if not model:
            typer.echo(f"no model: fixed rules for lists of numbers stand in for one (seed {seed})")
        with _writer(asked, model, samples, max_tokens, template, seed) as (writer, tag):
            for place, problem in enumerate(asked, start=1):
                written = _written(problem.subject, writer, sandbox, config.ladder, cache and cache / tag)
                line, counted = tested(problem, written, config.ladder, sandbox)
                counts += counted
                lines += [line] if line else []
                if model:
                    told = f"{place}/{len(asked)} {problem.where}: {counted['kept']} of {counted['written']} tests kept"
                    typer.echo(told, err=True)
    _finish(to, lines, len(asked), counts)


def _check_places(problems: str, to: Path, cache: Path | None) -> None:
    from r1kit.files import check_writable

    check_writable(to)
    if Path(problems).exists() and to.exists() and Path(problems).samefile(to):
        raise InputError(f"--to {to} is the file of problems itself; name another one")
    if cache is not None and cache.exists() and not cache.is_dir():
        raise InputError(f"--cache {cache} is a file; name a folder")
    if problems != LIST_OPS and not Path(problems).is_file() and not problems.endswith(".jsonl"):
        hint = nearest(problems, [LIST_OPS])
        raise InputError(f"{problems!r} is no file; problems are a JSONL file or {LIST_OPS}.{hint}")


def _finish(to: Path, lines: Sequence[Mapping[str, Any]], asked: int, counts: Mapping[str, int]) -> None:
    """Say the yields and write the file; nothing is written where nothing was kept."""
    from r1kit.files import write_atomic

    told = [
        f"{counts['trusted_fails']} dropped by a trusted solution",
        f"{counts['no_wrong_fails']} because no wrong one fails",
        f"{counts['unusable']} unusable (no input, or the same as another)",
    ]
    if counts["together"]:
        told.append(f"{counts['together']} because right programs fail them all together")
    yields = f"{counts['written']} tests written, {counts['kept']} kept, {', '.join(told)}"
    caught = f"they catch {counts['caught']} of {counts['wrong']} wrong programs"
    left = f"{counts['without']} left out without a kept test"
    if counts["alone"]:
        left += f", {counts['alone']} with a single one, which mbpp shows"
    if not lines:
        raise R1Error(f"no problem got tests, so {to} is not written: {yields}; of {asked} problems {left}")
    write_atomic(to, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    typer.echo(f"{to}: {len(lines)} of {asked} problems ({left}); {yields}; {caught}")
    typer.echo(f"r1 tasks code/{'mbpp' if 'test_list' in lines[0] else 'stdio'}/{to} shows them")


@contextmanager
def _writer(
    problems: Sequence[Untested], model: str, samples: int, max_tokens: int, template: str, seed: int
) -> Iterator[tuple[Writer, str]]:
    """Who writes, and the folder of a cache that is this writer's: other weights or another sampling have another."""
    from r1kit.commands.arguments import longest_completion, open_model, open_subject
    from r1kit.registry import find
    from r1kit.tasks.code.written_by import RULES, EngineWriter

    if not model:
        yield find("rules", {"rules": RULES}, "writer")(seed=seed), "rules"
        return
    settings = open_subject(model, template=template)
    opened = open_model(settings, ROWS)
    try:
        longest = _room(problems, opened, max_tokens)
        sampling = replace(settings.sampling, n=samples, temperature=0.6, top_p=0.95)
        sampling = replace(sampling, max_tokens=max_tokens or longest_completion(sampling, opened.positions, [longest]))
        told = [_weights(opened.folder), asdict(settings.recipe.model.template), asdict(sampling)]
        writer = EngineWriter(engine=opened.engine, encode=opened.encode, model=model, sampling=sampling, seed=seed)
        yield writer, hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()
    finally:
        opened.engine.close()


def _weights(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of each file of weights."""
    found = [(path.name, path.stat()) for path in sorted(folder.glob("*.safetensors"))]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in found]


def _room(problems: Sequence[Untested], opened: Opened, max_tokens: int) -> Sequence[int]:
    """The longest prompt. Raises InputError before anything is sampled if a problem leaves no room for a reply."""
    from r1kit.tasks.code.written_by import KINDS, asking

    longest: Sequence[int] = ()
    for problem in problems:
        for kind in (*KINDS, "") if problem.subject.entry else KINDS:
            prompt = opened.encode(asking(problem.subject, kind))
            if len(prompt) + (max_tokens or LEAST_REPLY) > opened.positions:
                raise InputError(
                    f"{problem.where}: asking for tests takes {len(prompt)} of the model's {opened.positions} "
                    f"positions, which leaves no room for a reply of {max_tokens or LEAST_REPLY} tokens; "
                    "take a model with more, or shorten the prompt"
                )
            longest = max(longest, prompt, key=len)
    return longest


def _written(subject: Subject, writer: Writer, sandbox: Sandbox, ladder: LadderSettings, cache: Path | None) -> Written:
    from r1kit.tasks.code import written_tests

    if cache is None:
        return written_tests.write_tests(subject, writer, sandbox, ladder.limits)
    return written_tests.cached_tests(cache, subject, writer, sandbox, ladder.limits)
