"""Completions of a model behind an address, many at once, written down as they come, so that a next try goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from r1kit.errors import InputError
from r1kit.evals.address import Address
from r1kit.evals.replies import count_of
from r1kit.files import forgiving_lines
from r1kit.records import Completion, Group, Prompt, Sampling

__all__ = ["Answers", "ask_all"]

Place = tuple[str, int]
"""A prompt's id, and which of its completions."""
ENDS = ("stop", "length")
TOLD_EVERY = 10.0
"""Seconds between two lines on how far it is."""


class Answers:
    """``answers.jsonl``: what was asked in its first line, then a completion a line."""

    def __init__(self, path: Path | None, head: dict[str, Any]) -> None:
        """Reads what is there. ``path``: None: nothing is written.

        Raises:
            InputError: the file holds answers to other questions, or of another model.
        """
        self.path = path
        self.found: dict[Place, Completion] = {}
        rows, _ = forgiving_lines(path) if path else ([], 0)
        if rows and rows[0] != head:
            other = [name for name in head if rows[0].get(name) != head[name]] or ["layout"]
            raise InputError(
                f"{path} holds answers of another evaluation (another {', '.join(other)}); name another --out, or "
                "delete it"
            )
        for row in filter(_is_answer, rows[1:]):
            self.found[row["problem"], row["sample"]] = Completion(
                token_ids=(0,) * row["tokens"], logprobs=(), text=row["text"], finish=row["finish"]
            )
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = path.is_file() and path.stat().st_size and path.read_bytes()[-1:] != b"\n"
            with path.open("a", encoding="utf-8") as stream:
                stream.write("\n" * bool(torn) + ("" if rows else json.dumps(head, ensure_ascii=False) + "\n"))

    def add(self, place: Place, completion: Completion) -> None:
        self.found[place] = completion
        if self.path:
            row = {"problem": place[0], "sample": place[1], "tokens": len(completion.token_ids)}
            row |= {"finish": completion.finish, "text": completion.text}
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def _is_answer(row: dict[str, Any]) -> bool:
    """Whether a line has all that ``Answers.add`` writes; what it does not is asked again."""
    texts = isinstance(row.get("problem"), str) and isinstance(row.get("text"), str)
    tokens = count_of(row.get("tokens"))
    return texts and isinstance(row.get("sample"), int) and tokens is not None and row.get("finish") in ENDS


def ask_all(
    address: Address, prompts: Sequence[Prompt], sampling: Sampling, seed_of: Callable[[int], int], answers: Answers,
    concurrency: int, tell: Callable[[str], None] = lambda line: None,
) -> list[Group]:  # fmt: skip
    """A group of ``sampling.n`` completions for each prompt; those that ``answers`` has are not asked again.

    Args:
        seed_of: place of a prompt -> its seed; completion ``i`` draws with the seed + i.
        concurrency: questions out at a time.

    Raises:
        R1Error, InputError: as ``Address.ask``, the first; what was answered until then is kept.
    """
    todo: SimpleQueue[tuple[int, int]] = SimpleQueue()
    done: SimpleQueue[tuple[Place, Completion | BaseException]] = SimpleQueue()
    wanted = [(index, sample) for index in range(len(prompts)) for sample in range(sampling.n)]
    open_ = [one for one in wanted if (prompts[one[0]].id, one[1]) not in answers.found]
    if len(open_) < len(wanted):
        tell(f"{len(wanted) - len(open_)} of {len(wanted)} answers are there already")
    for one in open_:
        todo.put(one)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                index, sample = todo.get_nowait()
            except Empty:
                return
            place = prompts[index].id, sample
            try:
                done.put((place, address.ask(prompts[index], sampling, seed_of(index) + sample)))
            except BaseException as error:  # handed to the caller
                done.put((place, error))
                return

    for number in range(min(concurrency, len(open_))):
        threading.Thread(target=work, name=f"asks {number}", daemon=True).start()
    try:
        told = time.monotonic()
        for count in range(1, len(open_) + 1):
            place, came = done.get()
            if isinstance(came, BaseException):
                raise came
            answers.add(place, came)
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                tell(f"{len(wanted) - len(open_) + count} of {len(wanted)} answers")
    finally:
        stop.set()
    return [
        Group(
            prompt=prompt, prompt_ids=(),
            completions=tuple(answers.found[prompt.id, sample] for sample in range(sampling.n)),
        )
        for prompt in prompts
    ]  # fmt: skip
