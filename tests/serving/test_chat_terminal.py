"""The terminal's chat: what it shows, what its commands change, how an answer is stopped."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from serving.conftest import TOKENIZER, Written, speech

from r1kit.records import Sampling
from r1kit.serving.talk import Talk
from r1kit.serving.terminal import Terminal
from r1kit.serving.writing import Delta
from r1kit.text.template import Template
from r1kit.web.plain import visible

Typed = Callable[..., str]


def talk(engine: Any, **changes: Any) -> Talk:
    """``changes``: of the speech."""
    return Talk(engine=engine, speech=speech(**changes), sampling=Sampling(n=1, max_tokens=0, temperature=0.6))


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """``typed(talk, "a", "/new")`` -> what was printed; a terminal's marks where ``real``."""

    def run(talk: Talk, *lines: str, real: bool = False, read: Callable[[str], str] | None = None) -> str:
        given = iter(lines)

        def line(prompt: str) -> str:
            try:
                return next(given)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read or line)
        out = io.StringIO()
        console = Console(file=out, highlight=False, soft_wrap=True, force_terminal=real, width=80)
        Terminal(talk, "tiny", visible=visible, console=console).run()
        return out.getvalue()

    return run


def test_thinking_is_dim_and_the_answer_is_not(typed: Typed) -> None:
    shown = typed(talk(Written("<think> 1 2 </think> 3 4")), "a", real=True)
    assert "\x1b[2m1\x1b[0m\x1b[2m 2\x1b[0m" in shown
    assert "\n3 4" in shown
    assert "think>" not in shown


def test_thinking_folds_to_a_line(typed: Typed) -> None:
    engine = Written("<think> 1 2 5 </think> 3 4")
    shown = typed(talk(engine), "/think off", "a")
    assert shown.endswith("[thinking: 3 words; /think on shows it]\n3 4\n")
    assert "1 2 5" not in shown
    assert typed(talk(engine), "/think off", "a", "/think on").endswith("1 2 5\n")
    assert "\r\x1b[2K\x1b[2mthinking… 3 words" in typed(talk(engine), "/think off", "a", real=True)


def test_earlier_turns_are_shown_without_their_thinking(typed: Typed) -> None:
    engine = Written("<think> 1 </think> 2")
    typed(talk(engine), "a", "b", "/turns off", "c", "/turns on", "/new", "d")
    prompts = [TOKENIZER.decode(list(one["prompt"])) for one in engine.asked]
    assert prompts == [
        "<bos> User: a Assistant:",
        "<bos> User: a Assistant: 2 <eos> User: b Assistant:",
        "<bos> User: c Assistant:",
        "<bos> User: d Assistant:",
    ]


def test_a_template_for_one_question(typed: Typed) -> None:
    engine = Written("2")
    alone = talk(engine, template=Template(name="User: {question} Assistant:"))
    alone.turns = False
    shown = typed(alone, "a", "b", "/turns on")
    assert "one question at a time" in shown.splitlines()[0]
    assert "one question at a time" in shown.splitlines()[-1]
    assert TOKENIZER.decode(list(engine.asked[1]["prompt"])) == "User: b Assistant:"


def test_what_is_set_is_used(typed: Typed) -> None:
    engine = Written("1 2 3 4")
    shown = typed(talk(engine), "/set temperature 0.3", "/set max_tokens 2", "/set", "a")
    assert engine.asked[0]["sampling"].temperature == 0.3
    assert "temperature 0.3, top_p 1.0, max_tokens 2, seed 0" in shown
    assert shown.endswith("1 2\n[cut at 2 tokens]\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("/sett", "Did you mean '/set'"),
        ("/set temprature 1", "Did you mean 'temperature'"),
        ("/set temperature hot", "a number from 0 to 2"),
        ("/set temperature nan", "a number from 0 to 2"),
        ("/set max_tokens 1.5", "a whole number"),
        ("/set temperature", "/set temperature: give a number"),
        ("/set seed 1.5", "from -4611686018427387904 to 4611686018427387904"),
        ("/think", "/think: say on or off"),
        ("/save", "name a file"),
        ("/save /nowhere/x.json", "No such file"),
        ("/save ~nobody-of-that-name/x.json", "no home folder is known"),
        ("a " * 200, "/new begins a new one"),
    ],
)
def test_a_mistake_is_a_line_and_the_talk_goes_on(typed: Typed, line: str, words: str) -> None:
    engine = Written("1")
    last = typed(talk(engine), line, "a").splitlines()
    assert any(words in one for one in last)
    assert last[-1] == "1"


def test_what_is_no_text_is_asked_for_again(typed: Typed) -> None:
    """A terminal of another encoding: bytes come as halves of surrogate pairs, or cannot be read at all."""
    lines = iter(["\udce9", UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid start byte"), "a"])

    def read(prompt: str) -> str:
        line = next(lines, EOFError())
        if isinstance(line, Exception):
            raise line
        return line

    last = typed(talk(Written("1")), read=read).splitlines()
    assert [line for line in last if "not UTF-8" in line] == ["that is not UTF-8 text; type it again"] * 2
    assert last[-1] == "1"


def test_the_talk_is_kept(typed: Typed, tmp_path: Path) -> None:
    engine = Written("<think> 1 </think> 2")
    file, text = tmp_path / "talk.json", tmp_path / "talk.md"
    shown = typed(talk(engine), "/system", "a", f"/save {file}", f"/save {text}", f"/save {file}")
    assert json.loads(file.read_text())["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "2", "reasoning_content": "1"},
    ]
    assert text.read_text() == "# tiny\n\n## a\n\n<think>\n1\n</think>\n\n2\n"
    assert "1 question in" in shown
    assert "is there already" in shown


def test_what_a_model_writes_cannot_steer_the_terminal(typed: Typed) -> None:
    class Escapes(Written):
        pass

    engine = Escapes("1")
    made = talk(engine, tokenizer=Spelled())
    assert "␛[31m⟦RLO⟧" in typed(made, "a")


class Spelled:
    """Every token reads as an escape."""

    chat_template = TOKENIZER.chat_template
    bos_token_id, eos_token_id = TOKENIZER.bos_token_id, TOKENIZER.eos_token_id
    eos_token, added_tokens_decoder = TOKENIZER.eos_token, TOKENIZER.added_tokens_decoder
    encode, apply_chat_template = TOKENIZER.encode, TOKENIZER.apply_chat_template

    def decode(self, token_ids: list[int], **more: bool) -> str:
        return "\x1b[31m\u202e" * len(token_ids)


def test_ctrl_c_stops_the_answer_and_not_the_program(typed: Typed) -> None:
    """The signal comes in the middle of an answer; the next question is answered whole."""

    class Interrupted(Written):
        steps = 0

        def advance(self, progress: bool = True) -> bool:
            self.steps += 1
            if self.steps == 2:
                signal.raise_signal(signal.SIGINT)
            return super().advance(progress)

    engine = Interrupted("1 2 3 4 5 6", at_once=1)
    made = talk(engine)
    shown = typed(made, "a", "b").splitlines()
    assert shown[1:] == ["1 2", "[stopped]", "1 2 3 4 5 6"]
    assert [one.finish for one in made.said] == ["", "stop"]
    assert engine.running == 0


def test_ctrl_c_right_after_enter_stops_the_answer_too(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the answer is there yet."""
    engine = Written("1 2")
    ask, first = Talk.ask, iter([True, False])

    def interrupted(self: Talk, question: str) -> Generator[Delta]:
        if next(first):
            signal.raise_signal(signal.SIGINT)
        return ask(self, question)

    monkeypatch.setattr(Talk, "ask", interrupted)
    made = talk(engine)
    assert typed(made, "a", "b").splitlines()[1:] == ["[stopped]", "1 2"]
    assert [one.question for one in made.said] == ["b"]


def test_ctrl_c_at_the_prompt_says_how_to_end(typed: Typed) -> None:
    made = talk(Written("1 2"))
    given = iter([lambda: signal.raise_signal(signal.SIGINT), lambda: "a", lambda: ""])
    shown = typed(made, "", read=lambda prompt: next(given)())
    assert shown.splitlines()[1:] == ["", "Ctrl-D ends", "1 2"]
