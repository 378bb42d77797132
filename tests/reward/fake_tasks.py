"""Tasks that misbehave on request: the answer says how. Built inside the verifier process, no torch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from r1kit.errors import MissingError
from r1kit.records import Prompt
from r1kit.tasks.task import Grade


class FakeTask:
    """Right if the answer equals the reference; some answers break the rule that judges them."""

    def __init__(self, name: str, config: Any) -> None:
        self.name = name
        if config == "broken":
            raise ValueError("no such generator")
        if config == "missing":
            raise MissingError("bubblewrap is missing; run: apt-get install bubblewrap")
        if config == "slow":
            time.sleep(1.5)

    def train(self, index: int) -> Prompt:
        return Prompt(id=f"fake/train/{index}", task=self.name, question=str(index))

    def held_out(self, split: str, limit: int | None = None) -> list[Prompt]:
        return []

    def grade(self, prompt: Prompt, answer: str) -> Grade:
        fault = FAULTS.get(answer)
        canonical = fault() if fault else answer.strip().lower()
        return Grade(float(answer == prompt.answer), canonical)

    def diagnose(self, prompt: Prompt, text: str) -> Mapping[str, float]:
        if "undiagnosable" in text:
            raise ValueError(text)
        return {"length": float(len(text))}


def _loop() -> str:
    while True:
        pass


def _loop_in_c() -> str:
    return str(pow(7, 7**12))  # holds the interpreter lock for ever


def _raise() -> str:
    raise ValueError("cannot\nparse")


def _exit() -> str:
    os._exit(7)


def _polite_exit() -> str:
    sys.exit(0)


def _abort() -> str:
    os.abort()


def _memory() -> str:
    return "x" * (8 << 30)


def _huge() -> str:
    return "x" * (32 << 20)


def _print() -> str:
    for _ in range(2000):
        print("noise " * 100)
    sys.stdout.flush()
    return "printed"


def _modules() -> str:
    return str(any(name.split(".")[0] in ("torch", "transformers", "numpy") for name in sys.modules))


def _recurse() -> str:
    return _recurse()


def _struck() -> str:
    """By a signal, so many times: ``FOLDER NUMBER TIMES``."""
    folder, number, times = os.environ["STRUCK"].split()
    done = len(os.listdir(folder))
    if done < int(times):
        open(os.path.join(folder, str(done)), "w").close()
        os.kill(os.getpid(), int(number))
    return "struck"


def _slow() -> str:
    time.sleep(0.8)
    return "slow"


FAULTS = {
    "slow": _slow,
    "struck": _struck,
    "loop": _loop,
    "loop in c": _loop_in_c,
    "raise": _raise,
    "exit": _exit,
    "polite exit": _polite_exit,
    "abort": _abort,
    "memory": _memory,
    "huge": _huge,
    "print": _print,
    "modules": _modules,
    "recurse": _recurse,
}


def build_task(name: str, config: Any) -> FakeTask:
    return FakeTask(name, config)
