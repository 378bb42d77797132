"""The terminal's chat: lines in, answers drawn as they come, and what can be changed on the way."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

from r1kit.errors import NO_HOME_TOLD, InputError, nearest
from r1kit.interrupts import Stopped
from r1kit.serving.talk import Said, Talk

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["HELP", "Terminal", "as_file"]

HELP = """\
/set                 how answers are drawn; /set temperature 0.3, top_p, max_tokens (0: its own), seed
/think off|on        fold thinking to one line, or show it (the last one at once)
/turns on|off        whether the model sees what was said before
/system TEXT         system prompt; empty: none
/new                 begin anew
/save FILE           keep the talk: FILE.json as messages, any other name as text
/help, /quit         this; end (so do an empty line and Ctrl-D); Ctrl-C stops an answer"""
LIMITS = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "max_tokens": (0, 1 << 30), "seed": (-(1 << 62), 1 << 62)}
_AGAIN = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
"""The line is written anew."""
HISTORY = 1000
"""Lines kept of what was typed."""


class Terminal:
    """A talk in a terminal, or over pipes."""

    def __init__(
        self, talk: Talk, name: str, *, visible: Callable[[str], str] = str, console: Console | None = None
    ) -> None:
        """
        Args:
            name: of the model.
            visible: what a model wrote -> what may be printed.
        """
        self._talk, self._name, self._visible = talk, name, visible
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._open = True
        self._stop = threading.Event()
        self._reading = False
        """A line is being typed."""
        self._commands: dict[str, Callable[[str], None]] = {
            "/set": self._set, "/think": self._think, "/turns": self._turns, "/system": self._system, "/new": self._new,
            "/save": self._save, "/help": lambda _: self._say(HELP),
        }  # fmt: skip

    def run(self) -> None:
        """Until an empty line, /quit or the end of the input."""
        self._say(f"{self._name}: ask; /help says more, an empty line ends.{self._seen()}")
        with _history(), self._interrupts():
            while (line := self._asked()) and line.split()[0] != "/quit":
                command, _, rest = line.partition(" ")
                try:
                    if not command.startswith("/"):
                        self._answer(line)
                    else:
                        self._command(command)(rest.strip())
                except InputError as error:
                    self._say(str(error))

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            known = [*self._commands, "/quit"]
            raise InputError(f"there is no {name}; there are {', '.join(known)}.{nearest(name, known)}")
        return self._commands[name]

    def _seen(self) -> str:
        talk = self._talk
        if talk.speech.one_question:
            return " Its template knows one question at a time."
        return "" if talk.turns else " It sees one question at a time, as it was trained; /turns on changes that."

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", markup=False)

    def _asked(self) -> str:
        while True:
            self._stop.clear()
            self._reading = True
            try:
                line = input("> ").strip()
                line.encode()  # a terminal of another encoding hands on bytes as halves of surrogate pairs, or fails
                return line
            except UnicodeError:
                self._say("that is not UTF-8 text; type it again")
            except EOFError:
                return ""
            except KeyboardInterrupt as interrupt:
                if isinstance(interrupt, Stopped):
                    raise
                self._say("\nCtrl-D ends")
            finally:
                self._reading = False

    # ---- answers ----------------------------------------------------------------------------------------------------

    def _answer(self, question: str) -> None:
        told = thought = False
        before = len(self._talk.said)
        answer = self._talk.ask(question)
        with suppress(StopIteration):
            while not self._stop.is_set():
                delta = next(answer)
                if delta.thinking:
                    thought = True
                    self._thought(delta.thinking)
                if delta.content:
                    if thought and not told:
                        self._folded()
                    told = True
                    self._console.print(self._visible(delta.content), end="", markup=False)
        answer.close()
        if len(self._talk.said) == before:  # stopped before it began
            self._say("[stopped]")
            return
        said = self._talk.said[-1]
        if thought and not told:
            self._folded()
        ends = {"length": f"[cut at {said.tokens} tokens]", "": "[stopped]"}
        self._console.print("" if said.finish == "stop" else f"\n{ends[said.finish]}", style="dim italic", markup=False)

    def _thought(self, text: str) -> None:
        if self._open:
            self._console.print(self._visible(text), end="", style="dim", markup=False)
        elif self._console.is_terminal:
            self._console.control(_AGAIN)
            self._console.print(f"thinking… {len(self._thinking().split())} words", end="", style="dim", markup=False)

    def _folded(self) -> None:
        """Between the thinking and the answer."""
        if self._open:
            self._console.print("\n")
            return
        if self._console.is_terminal:
            self._console.control(_AGAIN)
        words = len(self._thinking().split())
        self._console.print(f"[thinking: {words} words; /think on shows it]", style="dim italic", markup=False)

    def _thinking(self) -> str:
        """Of the newest answer."""
        return self._talk.newest.thinking if self._talk.newest else ""

    @contextmanager
    def _interrupts(self) -> Iterator[None]:
        """Ctrl-C is noted from a question's Enter to the next prompt, and a second one ends the program."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def heed(number: int, frame: FrameType | None) -> None:
            if self._reading or self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()

        before = signal.signal(signal.SIGINT, heed)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # ---- commands ---------------------------------------------------------------------------------------------------

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        value = value.strip()
        values = {
            **{key: getattr(self._talk.sampling, key) for key in LIMITS if key != "seed"},
            "seed": self._talk.seed,
        }
        if not rest:
            self._say(", ".join(f"{key} {values[key]}" for key in LIMITS))
            return
        if name not in LIMITS:
            raise InputError(f"/set {name}: there are {', '.join(LIMITS)}.{nearest(name, LIMITS)}")
        low, high = LIMITS[name]
        kind = float if isinstance(low, float) else int
        try:
            found = kind(value)
        except ValueError:
            found = high + 1
        if not low <= found <= high:
            wanted = f"a number from {low:g} to {high:g}" if kind is float else f"a whole number from {low} to {high}"
            raise InputError(f"/set {rest}: give {wanted}")
        if name == "seed":
            self._talk.seed, self._talk.asked = int(found), 0
        else:
            self._talk.sampling = replace(self._talk.sampling, **{name: found})  # type: ignore[arg-type]
        self._say(f"{name} {found}")

    def _think(self, rest: str) -> None:
        self._open = _switch("/think", rest)
        if self._open and (thinking := self._thinking()):
            self._console.print(self._visible(thinking), style="dim", markup=False)

    def _turns(self, rest: str) -> None:
        wanted = _switch("/turns", rest)
        if wanted and self._talk.speech.one_question:
            raise InputError("its template knows one question at a time")
        self._talk.turns = wanted

    def _system(self, rest: str) -> None:
        self._talk.system = rest

    def _new(self, rest: str) -> None:
        self._talk.said.clear()
        self._say("a new talk")

    def _save(self, rest: str) -> None:
        if not rest:
            raise InputError("/save FILE: name a file")
        try:
            path = Path(rest).expanduser()
        except RuntimeError:
            raise InputError(f"/save {rest}: {NO_HOME_TOLD}") from None
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(as_file(path, self._talk, self._name))
        except FileExistsError:
            raise InputError(f"{path} is there already; name another file") from None
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; name another file") from None
        asked = len(self._talk.said)
        self._say(f"{asked} question{'' if asked == 1 else 's'} in {path}")


def _switch(command: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise InputError(f"{command} {value}".rstrip() + ": say on or off")
    return value == "on"


def as_file(path: Path, talk: Talk, name: str) -> str:
    """The talk as messages for a JSON file, as text for any other."""
    if path.suffix == ".json":
        messages = [{"role": "system", "content": talk.system}] if talk.system else []
        for one in talk.said:
            messages += [{"role": "user", "content": one.question}, _spoken(one)]
        return json.dumps({"model": name, "messages": messages}, ensure_ascii=False, indent=1) + "\n"
    parts = [f"# {name}"]
    for one in talk.said:
        thought = [f"<think>\n{one.thinking}\n</think>"] if one.thinking else []
        parts += [f"## {one.question}", *thought, one.answer]
    return "\n\n".join(parts) + "\n"


def _spoken(one: Said) -> dict[str, str]:
    thought = {"reasoning_content": one.thinking} if one.thinking else {}
    return {"role": "assistant", "content": one.answer, **thought}


@contextmanager
def _history() -> Iterator[None]:
    """What is typed at a terminal can be gone through with the arrow keys, today's and earlier days'."""
    if not sys.stdin.isatty():
        yield
        return
    try:
        import readline
    except ImportError:  # a Python without it
        yield
        return
    state = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))
    file = state / "r1kit" / "chat_history"
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        readline.read_history_file(file)
    readline.set_history_length(HISTORY)
    try:
        yield
    finally:
        with suppress(OSError):
            readline.write_history_file(file)
