"""``r1 verify``: score one answer as training would, in the same killable process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from r1kit.commands.options import JsonFile
from r1kit.errors import InputError, MissingError

if TYPE_CHECKING:
    from r1kit.commands.arguments import NamedTask
    from r1kit.records import Prompt, Score
    from r1kit.reward.settings import RewardConfig
    from r1kit.sandbox import Verdict
    from r1kit.tasks.task import Split, Task

__all__ = ["verify"]

SPLITS: tuple[Split, ...] = ("test", "dev")
TRAINING_LOOKED_AT = 1000
"""Prompts of an endless training part that a problem is looked for among, after the held-out ones."""


def verify(
    task: Annotated[str, typer.Option(help="A task by name; r1 tasks lists the kinds.")] = "",
    answer: Annotated[str | None, typer.Option(help="An answer, or a whole completion with its tags.")] = None,
    prompt_id: Annotated[str, typer.Option(help="Which problem, for example countdown/test/0.")] = "",
    question: Annotated[str, typer.Option(help="Which problem, by its text.")] = "",
    recipe: Annotated[str, typer.Option(help="Whose task and reward settings count.")] = "",
    reward: Annotated[
        list[str] | None, typer.Option(metavar="FILE.py:NAME", help="A function of yours, as one more part.")
    ] = None,
    json_file: JsonFile = None,
    code: Annotated[Path | None, typer.Option(metavar="FILE", help="A program, or a completion with one.")] = None,
    tests: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its tests, JSON lines; see docs/sandbox.md.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(metavar="FILE", help="A right program, for rung L4.")] = None,
    package: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An installed package that the program may import.")
    ] = None,
) -> None:
    """Score one answer or program: each part of its reward, and the cause where it got none."""
    from r1kit.commands.arguments import named_task, open_subject
    from r1kit.files import check_text, check_writable, write_json

    if code or tests or reference:
        if task or answer is not None or prompt_id or question:
            raise InputError(
                "--code, --tests and --reference judge a program by its tests, --task, --answer, --prompt-id and "
                "--question a task's answer: give the ones or the others"
            )
        _verify_program(code, tests, reference, json_file, package or [])
        return
    if not task or answer is None:
        raise InputError(
            "r1 verify needs --task NAME and --answer TEXT, for example --task countdown --answer '3 * 4', "
            "or --code FILE and --tests FILE"
        )
    for option, typed in {"--answer": answer, "--question": question}.items():
        check_text(typed, option)
    check_writable(json_file)
    subject = open_subject("", recipe)
    named = named_task(task, subject.recipe)
    built = named.build()
    prompt = _prompt(built, prompt_id, question)
    paid = replace(subject.reward, parts={**subject.reward.parts, **dict.fromkeys(reward or (), 1.0)})
    text = answer if built.reads == "completion" else _completion(answer, paid)
    score = _score(named, paid, prompt, text)
    typer.echo(_spelled(prompt, text, score, paid))
    if json_file:
        write_json(json_file, _as_json(prompt, text, score))


def _prompt(task: Task, prompt_id: str, question: str) -> Prompt:
    """The problem that was named; if none was, the first one, of the test split where it has any."""
    if question:
        return _by_question(task, question)
    if not prompt_id:
        return next(_known(task), None) or task.held_out("test", 1)[0]  # the latter says why there is none
    _, split, number = [*prompt_id.rsplit("/", 2), "", ""][:3]
    if split == "train" and number.isdecimal():
        return task.train(int(number))
    for prompt in _known(task):
        if prompt.id == prompt_id:
            return prompt
    raise InputError(f"task {task.name!r} has no problem {prompt_id!r}; r1 tasks shows ids{_such_as(task)}")


def _by_question(task: Task, question: str) -> Prompt:
    wanted = " ".join(question.split())
    for prompt in _held_out(task):
        if " ".join(prompt.question.split()) == wanted:
            return prompt
    if (own := task.asked(question)) is not None:
        return own
    for prompt in _trained_on(task):
        if " ".join(prompt.question.split()) == wanted:
            return prompt
    raise InputError(f"no problem of task {task.name!r} asks that; name one with --prompt-id{_such_as(task)}")


def _such_as(task: Task) -> str:
    first = next(_known(task), None)
    return f", such as {first.id}" if first else ""


def _known(task: Task) -> Iterator[Prompt]:
    yield from _held_out(task)
    yield from _trained_on(task)


def _held_out(task: Task) -> Iterator[Prompt]:
    for split in SPLITS:
        with _may_be_empty():
            yield from task.held_out(split)


def _trained_on(task: Task) -> Iterator[Prompt]:
    with _may_be_empty():
        yield from task.listed() or map(task.train, range(TRAINING_LOOKED_AT))


@contextmanager
def _may_be_empty() -> Iterator[None]:
    """A part without a prompt is no mistake here; code of the user's that raises is."""
    from r1kit.tasks.user import UserCodeError

    try:
        yield
    except UserCodeError:
        raise
    except InputError:
        pass


def _completion(answer: str, reward: RewardConfig) -> str:
    """The text to judge: as it is if it has marks of its own, else the answer put into the style's mark."""
    from r1kit.reward.extract import marked

    own = any(mark in answer for mark in ("<answer>", "<think>", "\\boxed"))
    return answer if own else marked(answer, reward.answer_style)


def _score(named: NamedTask, reward: RewardConfig, prompt: Prompt, text: str) -> Score:
    from r1kit.records import Completion, Group
    from r1kit.reward.verifier import Verifier

    completion = Completion(token_ids=(), logprobs=(), text=text, finish="stop")
    group = Group(prompt=replace(prompt, task=named.name), prompt_ids=(), completions=(completion,))
    with Verifier({named.name: named.spec}, {named.name: reward}) as verifier:
        return verifier.score_groups([group])[0][0]


def _spelled(prompt: Prompt, text: str, score: Score, reward: RewardConfig) -> str:
    lines = [f"question  {prompt.question}", f"judged    {text}", f"reward    {score.total:g}"]
    weights = reward.weights
    width = max(9, *map(len, score.parts))
    for part, value in score.parts.items():
        lines.append(f"  {part:{width}} {value:g}{f' x {weights[part]:g}' if part in weights else ''}")
    lines += [f"  {part:{width}} abstains" for part in score.abstained]
    lines.append(f"answer    {score.answer if score.answer is not None else 'none found'}")
    if prompt.answer is not None and score.parts.get("accuracy", 0.0) < 1:
        lines.append(f"reference {prompt.reference}")
    lines.append(f"cause     {score.status}{': ' + score.cause if score.cause else ''}")
    return "\n".join(lines)


def _as_json(prompt: Prompt, text: str, score: Score) -> dict[str, Any]:
    return {
        "prompt_id": prompt.id,
        "question": prompt.question,
        "judged": text,
        "reward": score.total,
        "parts": dict(score.parts),
        "answer": score.answer,
        "cause": score.status,
        "detail": score.cause,
    }


# ---- programs ------------------------------------------------------------------------------------------------------


def _verify_program(
    code: Path | None, tests: Path | None, reference: Path | None, json_file: Path | None, packages: list[str]
) -> None:
    """Print every rung, the reward and the cause; where the sandbox is not there, ``json_file`` says so too."""
    from r1kit.files import check_writable, write_json
    from r1kit.sandbox import Rungs, Verdict, read_cases
    from r1kit.sandbox.by_hand import climb_by_hand, read_program

    if code is None or tests is None:
        raise InputError("r1 verify needs --code FILE and --tests FILE, and may have --reference FILE")
    check_writable(json_file)
    text, cases = read_program(code), read_cases(tests)
    try:
        verdict = climb_by_hand(text, cases, reference, packages)
    except MissingError:
        if json_file:
            missing = Verdict(reward=0.0, rungs=Rungs(total=len(cases)), cause="sandbox_missing")
            write_json(json_file, missing.as_json())
        raise
    typer.echo(_climbed(verdict, reference is not None))
    if json_file:
        write_json(json_file, verdict.as_json())


def _climbed(verdict: Verdict, timed: bool) -> str:
    from r1kit.sandbox.by_hand import SETTINGS

    rungs = verdict.rungs
    if rungs.speed is not None:
        speed = f"{rungs.speed:.2f} of the reference's time saved"
    elif not timed:
        speed = "not measured: no --reference"
    else:
        speed = "not measured: " + ("the tests are too small" if verdict.cause == "ok" else "only for right programs")
    rows = [
        ("L0 block", _yes(rungs.block), SETTINGS.pay_block),
        ("L1 lint", _yes(rungs.lint), SETTINGS.pay_lint),
        ("L2 runs", _yes(rungs.runs), SETTINGS.pay_runs),
        ("L3 tests", f"{rungs.passed} of {rungs.total}", SETTINGS.pay_tests),
        ("L4 speed", speed, SETTINGS.pay_speed),
    ]
    lines = [f"reward    {verdict.reward:g}"]
    lines += [f"  {name:9} {result} (pays {pay:g})" for name, result, pay in rows]
    return "\n".join([*lines, f"cause     {verdict.cause}" + (f": {verdict.detail}" if verdict.detail else "")])


def _yes(passed: bool) -> str:
    return "yes" if passed else "no"
