"""``r1 write-tests``: hidden tests for problems that have none, written by a model and kept if they tell right programs
from wrong (R1 paper v2, B.3.2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

import typer

from r1kit.errors import InputError, R1Error, nearest

if TYPE_CHECKING:
    from r1kit.rollout.engine import Engine
    from r1kit.sandbox import Case, LadderSettings, Sandbox
    from r1kit.tasks.code.files.lines import Line
    from r1kit.tasks.code.written_tests import Subject, Writer, Written

__all__ = ["write_tests"]

LIST_OPS = "code/list_ops"
FEW = 100
"""Problems of list_ops, whose stream has no end, where no --limit is given."""
ROWS = 8
"""Replies in flight: one problem's prompts."""
EXAMPLE = 200
"""Longest test, in characters, that is picked as the example."""
LEAST_REPLY = 64
"""Tokens that a reply must have room for."""
KEYS = ("prompt", "solutions", "wrong", "entry", "id", "language", "cluster")
NEEDS = "'prompt', 'solutions' and 'wrong', and 'entry' for functions"
COUNTED = {
    "a trusted solution fails it": "trusted_fails",
    "a trusted solution gives no plain value": "trusted_fails",
    "no wrong solution fails it": "no_wrong_fails",
}
"""Why a test was dropped -> its name in the provenance; every other reason is ``unusable``."""
COUNTS = ("written", "kept", "trusted_fails", "no_wrong_fails", "unusable", "together", "caught", "wrong")
"""Of a problem, in its provenance. ``together``: dropped because right programs fail them all in one verdict.
``caught``: wrong solutions that fail what is kept, of all ``wrong`` ones."""


def write_tests(
    problems: Annotated[
        str, typer.Argument(help="JSONL with prompt, solutions, wrong and entry (docs/sandbox.md), or code/list_ops.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Problems with tests, as code/mbpp or code/stdio.")],
    model: Annotated[str, typer.Option(help="Who writes: a name as for r1 eval. Without: rules, list_ops only.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Only the first so many problems; 0: all, 100 of list_ops.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keeps each problem's tests: the same command goes on.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Replies to each of a problem's eight prompts.")] = 1,
    max_tokens: Annotated[
        int, typer.Option(min=0, help="Longest reply; 0: the stage's own, else 1024 or what fits.")
    ] = 0,
    template: Annotated[str, typer.Option(help="chat, plain, r1_zero or a text with {question}.")] = "",
    seed: Annotated[int, typer.Option(help="Of the writer.")] = 0,
) -> None:
    """Write hidden tests for problems with right and wrong solutions; keep those that tell them apart."""
    from r1kit.model.source import check_model
    from r1kit.sandbox import open_sandbox
    from r1kit.tasks.code import CodeConfig

    _check_places(problems, to, cache)
    if model:
        check_model(model)
    elif problems != LIST_OPS:
        raise InputError(f"rules write tests for {LIST_OPS} alone; name who writes them: --model MODEL")
    asked = _list_ops(limit or FEW) if problems == LIST_OPS else _from_file(Path(problems))
    asked = asked[: limit or None]
    config = CodeConfig(generator="mbpp" if asked[0].subject.entry else "stdio", path=str(to))
    counts, lines = Counter[str](), []
    with closing(open_sandbox(config.sandbox)) as sandbox:
        if not model:
            typer.echo(f"no model: fixed rules for lists of numbers stand in for one (seed {seed})")
        with _writer(asked, model, samples, max_tokens, template, seed) as (writer, tag):
            for place, problem in enumerate(asked, start=1):
                written = _written(problem.subject, writer, sandbox, config.ladder, cache and cache / tag)
                line, counted = _tested(problem, written, config.ladder, sandbox)
                counts += counted
                lines += [line] if line else []
                if model:
                    told = f"{place}/{len(asked)} {problem.where}: {counted['kept']} of {counted['written']} tests kept"
                    typer.echo(told, err=True)
    _finish(to, lines, len(asked), counts)


def _check_places(problems: str, to: Path, cache: Path | None) -> None:
    from r1kit.commands.output import check_writable

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
    from r1kit.workspace import write_atomic

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    where: str
    """For messages."""
    subject: Subject
    passed_on: Mapping[str, str] = field(default_factory=dict)
    """Language and cluster, as they were given."""

    @property
    def form(self) -> Literal["mbpp", "stdio"]:
        """The format that holds its tests."""
        return "mbpp" if self.subject.entry else "stdio"


def _list_ops(count: int) -> list[_Problem]:
    """Training problems of list_ops, each asked once; held-out ones are never among them."""
    from r1kit.tasks.code import CodeConfig, ListOps
    from r1kit.tasks.code.written_by import list_ops_subject

    task = ListOps("list_ops", CodeConfig(generator="list_ops"))
    found = dict[str, _Problem]()
    for index in range(10 * count):
        prompt = task.train(index)
        if prompt.question not in found and len(found) < count:
            subject = replace(list_ops_subject(prompt), id=f"list_ops-{index}")
            passed_on = {"language": prompt.language, "cluster": prompt.cluster}
            found[prompt.question] = _Problem(where=subject.id, subject=subject, passed_on=passed_on)
        if len(found) == count:
            break
    return list(found.values())


def _from_file(path: Path) -> list[_Problem]:
    """Raises InputError, with file and line, for what cannot be used."""
    from r1kit.tasks.code.files.lines import read_lines

    problems: list[_Problem] = []
    first: dict[str, str] = {}
    for line in read_lines(path, NEEDS):
        problem = _of_line(line)
        taken = first.setdefault(problem.subject.id, line.where)
        if taken != line.where:
            raise InputError(f"{line.where}: id {problem.subject.id!r} is taken by {taken}; ids must differ")
        if problems and problem.form != problems[0].form:
            raise InputError(
                f"{line.where}: functions (with 'entry') and programs that read and print go into files of their own; "
                f"{problems[0].where} is of the other kind"
            )
        problems.append(problem)
    return problems


def _of_line(line: Line) -> _Problem:
    from r1kit.tasks.code.written_tests import Subject

    for key in line.table:
        if key not in KEYS:
            raise InputError(f"{line.where}: unknown key {key!r}; keys are {', '.join(KEYS)}.{nearest(key, KEYS)}")
    try:
        json.dumps(line.table, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InputError(f"{line.where}: half a surrogate pair, which is no text; mend the \\ud... in it") from None
    question, entry = line.text("prompt"), line.text("entry", default="")
    if entry and not entry.isidentifier():
        raise InputError(f"{line.where}: 'entry' must be the name of a function, got {entry!r}")
    subject = Subject(
        id=line.text("id", default=str(line.number)),
        question=question,
        entry=entry,
        trusted=_programs(line, "solutions", entry),
        wrong=_programs(line, "wrong", entry),
    )
    passed_on = {key: line.text(key) for key in ("language", "cluster") if line.text(key, default="")}
    return _Problem(where=line.where, subject=subject, passed_on=passed_on)


def _programs(line: Line, key: str, entry: str) -> tuple[str, ...]:
    """At least one, each of them Python that names the function: what fails every test tells none of them apart."""
    from r1kit.tasks.code.answer import parses

    programs = line.texts(key)
    if not programs:
        raise InputError(f"{line.where}: {key!r} is empty; a kept test needs right solutions and known-wrong ones")
    for place, program in enumerate(programs):
        if not program.strip() or parses(program) is None:
            raise InputError(f"{line.where}: {key}[{place}] is not Python")
        if entry and not re.search(rf"\b{re.escape(entry)}\b", program):
            raise InputError(f"{line.where}: {key}[{place}] does not define {entry!r}, the entry")
    return programs


@contextmanager
def _writer(
    problems: Sequence[_Problem], model: str, samples: int, max_tokens: int, template: str, seed: int
) -> Iterator[tuple[Writer, str]]:
    """Who writes, and the folder of a cache that is this writer's: other weights or another sampling have another."""
    from r1kit.commands.subject import longest_completion, open_subject
    from r1kit.tasks.code.written_by import EngineWriter, RuleWriter

    if not model:
        yield RuleWriter(seed=seed), "rules"
        return
    settings = open_subject(model, template=template)
    opened = _open_model(settings)
    try:
        longest = _room(problems, opened, max_tokens)
        sampling = replace(settings.sampling, n=samples, temperature=0.6, top_p=0.95)
        sampling = replace(sampling, max_tokens=max_tokens or longest_completion(sampling, opened.positions, [longest]))
        told = [opened.weights, asdict(settings.recipe.model.template), asdict(sampling)]
        writer = EngineWriter(engine=opened.engine, encode=opened.encode, model=model, sampling=sampling, seed=seed)
        yield writer, hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()
    finally:
        opened.engine.close()


def _room(problems: Sequence[_Problem], opened: _Opened, max_tokens: int) -> Sequence[int]:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    engine: Engine
    encode: Callable[[str], Sequence[int]]
    positions: int
    weights: list[list[Any]]
    """Name, size and time of each file of weights."""


def _open_model(settings: Any) -> _Opened:
    """The model of ``open_subject``, loaded."""
    import torch

    from r1kit.launcher import cores
    from r1kit.loops.policy import device_of, renderer
    from r1kit.model.fallback import load_model
    from r1kit.model.source import resolve_model
    from r1kit.records import Prompt
    from r1kit.rollout.hub import open_engine
    from r1kit.rollout.stopping import Tokenizer
    from r1kit.workspace import Workspace

    torch.set_num_threads(cores())
    workspace = Workspace(run=Path(), stage="write_tests", index=0, recipe=settings.recipe)
    device, folder = device_of(workspace), resolve_model(settings.name)
    model, tokenizer = load_model(folder, torch.float32)
    render = renderer(workspace, tokenizer)
    return _Opened(
        engine=open_engine(model.to(device), cast(Tokenizer, tokenizer), device=device, max_rows=ROWS),
        encode=lambda text: render(Prompt(id="write_tests", task="write_tests", question=text)),
        positions=model.config.max_positions,
        weights=[
            [file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(folder.glob("*.safetensors"))
        ],
    )


def _written(subject: Subject, writer: Writer, sandbox: Sandbox, ladder: LadderSettings, cache: Path | None) -> Written:
    from r1kit.tasks.code import written_tests

    if cache is None:
        return written_tests.write_tests(subject, writer, sandbox, ladder.limits)
    return written_tests.cached_tests(cache, subject, writer, sandbox, ladder.limits)


class _Row(NamedTuple):
    test: str | dict[str, str] | None
    """As its format has it."""
    origin: str
    exposes: int

    @property
    def length(self) -> int:
        return len(str(self.test))


def _tested(
    problem: _Problem, written: Written, ladder: LadderSettings, sandbox: Sandbox
) -> tuple[dict[str, Any] | None, Counter[str]]:
    """The problem's line, None if it is left out, and what became of its tests.

    Tests were tried one by one; training runs them together, under one set of limits. Long ones go until every trusted
    solution passes what is left. ``mbpp`` shows the first one, here a short one that many wrong solutions fail; so a
    function needs a second one, which stays hidden.
    """
    from r1kit.sandbox import climb_many
    from r1kit.tasks.code.files.formats import PARSERS
    from r1kit.tasks.code.files.lines import Line

    counts = Counter(written=written.drafts)
    for reason, number in written.dropped.items():
        counts[COUNTED.get(reason, "unusable")] += number
    rows = list(map(_Row, map(_spelled, written.tests), written.origins, written.exposes))
    kept = sorted((row for row in rows if row.test), key=lambda row: row.length)
    counts["unusable"] += len(rows) - len(kept)
    if kept and problem.form == "mbpp":
        example = max(kept, key=lambda row: row.exposes if row.length <= EXAMPLE else 0)
        kept = [example, *(row for row in kept if row is not example)]
    least = 2 if problem.form == "mbpp" else 1
    while len(kept) >= least:
        line = _line(problem, [row.test for row in kept])
        parsed = PARSERS[problem.form](Line(problem.where, 1, line), "", "")
        right, wrong = (
            [verdict.rungs.passed == len(kept) for verdict in climb_many(programs, parsed.tests, ladder, sandbox)]
            for programs in (problem.subject.trusted, problem.subject.wrong)
        )
        if all(right):
            counts.update(kept=len(kept), caught=wrong.count(False), wrong=len(wrong))
            made = {name: counts[name] for name in COUNTS}
            origins, exposes = [row.origin for row in kept], [row.exposes for row in kept]
            line["provenance"] = {"writer": written.writer, **made, "origins": origins, "exposes": exposes}
            return line, counts
        counts["together"] += len(kept) - len(kept) * 3 // 4
        kept = kept[: len(kept) * 3 // 4]
    counts["alone" if kept else "without"] += 1
    return None, counts


def _line(problem: _Problem, tests: list[Any]) -> dict[str, Any]:
    subject = problem.subject
    if problem.form == "mbpp":
        line = {"task_id": subject.id, "text": subject.question, "code": subject.trusted[0], "test_list": tests}
    else:
        line = {"id": subject.id, "prompt": subject.question, "answer": subject.trusted[0], "tests": tests}
    return {**line, **problem.passed_on}


def _spelled(test: Case) -> str | dict[str, str] | None:
    """The test as its format has it; None where reading that would not give the same test back."""
    from r1kit.sandbox import StdinTest
    from r1kit.tasks.code.files.asserts import asserted_cases

    if isinstance(test, StdinTest):
        return {"stdin": test.stdin, "stdout": test.stdout}
    for call in (test.call, f"({test.call})"):
        text = f"assert {call} == {test.expect!r}"
        try:
            (read,) = asserted_cases([text])
            if _plain(read.call) == _plain(test.call) and read.expect == test.expect:
                return text
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return None
    return None


def _plain(call: str) -> str:
    import ast

    return ast.unparse(ast.parse(call, mode="eval"))
