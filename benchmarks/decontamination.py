"""Decontamination: how many of planted evaluation questions are caught, written in other ways, and false alarms.

    python benchmarks/decontamination.py

Evaluation questions are drawn from reasoning-gym and the nano tasks; each is planted in every way of ``WAYS``. What
must not be caught: other questions of the same generators, which differ in their numbers or names, and the nano world's
training prompts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from r1kit.factory.decontaminate import EvaluationPrompts, evaluation_prompts, words
from r1kit.recipe import load_recipe
from r1kit.tasks import build

GENERATORS = (
    "gsm_symbolic",
    "chain_sum",
    "basic_arithmetic",
    "simple_equations",
    "number_sequence",
    "lcm",
    "letter_counting",
)
WAYS: dict[str, Callable[[str], str]] = {
    "as it is": lambda q: q,
    "capitals": str.upper,
    "two spaces, line breaks": lambda q: q.replace(" ", "  \n", 2).replace(" ", "  "),
    "no punctuation": lambda q: re.sub(r"[,.?!:;]+(?=\s|$)", "", q),
    "a comma after each third word": lambda q: re.sub(r"((?:\S+\s+){2}[^\W\d]+)\s", r"\1, ", q),
    "LaTeX dollars around numbers": lambda q: re.sub(r"(?<![\w.])\d+(?![\w.])", r"$\g<0>$", q),
    "Question: ... Answer:": lambda q: f"Question: {q} Answer:",
    "in a prompt of two questions": lambda q: f"Q: What is the capital of Peru?\nA: Lima\n\nQ: {q}\nA:",
    "after an instruction": lambda q: f"You are a helpful teacher.\n\n{q}\n\nThink step by step.",
    "bold": lambda q: f"**{q}**",
    "full-width forms": lambda q: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in q),
}


def questions(name: str, count: int) -> list[str]:
    task = build("planted", f"reasoning_gym/{name}", {})
    return list(dict.fromkeys(task.train(index).question for index in range(count)))


def main() -> None:
    random.seed(0)
    held: list[str] = []
    fresh: list[str] = []
    for name in GENERATORS:
        found = questions(name, 120)
        held += found[:40]
        fresh += [question for question in found[40:] if question not in found[:40]]
    evaluation = EvaluationPrompts.of(held, 10)
    short = sum(len(words(question)) < 10 for question in held)
    print(f"{len(held)} evaluation questions, {short} of them shorter than 10 words")
    print("| written | caught |\n|---|---|")
    for way, written in WAYS.items():
        caught = sum(evaluation.overlaps(written(question)) for question in held)
        print(f"| {way} | {caught} of {len(held)} |")
    print(f"other questions of the same generators: {sum(map(evaluation.overlaps, fresh))} of {len(fresh)} caught")
    tasks = (recipe := load_recipe("nano")).built(recipe.tasks)
    nano = evaluation_prompts(tasks, 10)
    prompts = {task.train(index).question for task in tasks.values() for index in range(3000)}
    print(f"nano's training prompts: {sum(map(nano.overlaps, prompts))} of {len(prompts)} caught")


if __name__ == "__main__":
    main()
