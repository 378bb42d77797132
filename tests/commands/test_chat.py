from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.commands.chat import shown
from r1kit.errors import InputError
from r1kit.records import Completion


def test_thinking_is_dim_and_the_answer_is_not() -> None:
    text = shown(Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text="<think> a </think> b", finish="stop"))
    assert text.plain == "<think> a </think> b"
    assert [(span.start, span.end, str(span.style)) for span in text.spans] == [(18, 20, "not dim")]
    assert str(text.style) == "dim"


def test_a_text_that_was_cut_says_so() -> None:
    text = shown(Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text="[/red] b", finish="length"))
    assert text.plain == "[/red] b\n[cut at 2 tokens]"


def test_once_and_the_loop(run_folder: Path) -> None:
    command = ["chat", f"{run_folder}:pretrain", "--max-tokens", "5"]
    once = CliRunner().invoke(app, [*command, "--once", "use 1 2 3 make 6"], catch_exceptions=False).output
    assert once.strip()
    looped = CliRunner().invoke(app, command, input="use 1 2 3 make 6\n\nnever asked\n", catch_exceptions=False).output
    assert looped.count("> ") >= 2
    assert once.split("\n")[0].split()[:2] == looped.split("> ")[1].split("\n")[0].split()[:2]


def test_tags_of_ones_own_are_dimmed() -> None:
    completion = Completion(token_ids=(1, 2), logprobs=(0.0, 0.0), text="a [/T] b", finish="stop")
    assert [(span.start, span.end) for span in shown(completion, "[/T]").spans] == [(6, 8)]
    assert [(span.start, span.end) for span in shown(completion, "").spans] == [(0, 8)]


def test_one_answer_is_told_the_system_prompt(run_folder: Path) -> None:
    """This stage's template is a text, which has no place for one: that is said, not passed over."""
    command = ["chat", f"{run_folder}:pretrain", "--max-tokens", "5", "--once", "a", "--system"]
    refused = CliRunner().invoke(app, [*command, "be brief"])
    assert isinstance(refused.exception, InputError)
    assert "a system prompt needs the template 'chat'" in str(refused.exception)
    empty = CliRunner().invoke(app, ["chat", f"{run_folder}:pretrain", "--once", " "])
    assert str(empty.exception) == "--once is empty; give a question, or leave it out to talk"
    torn = CliRunner().invoke(app, [*command, "\udcff"])
    assert str(torn.exception) == "--system is not UTF-8 text"
