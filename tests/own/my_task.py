"""Sums of two numbers, in the words of the nano world."""

import random
from dataclasses import dataclass

from r1kit import Grade, Prompt


@dataclass(frozen=True)
class Sums:
    """What two numbers make together."""

    highest: int = 9

    def train(self, index):
        return self._prompt(*random.Random(index).choice(self._pairs()[20:]))

    def held_out(self, split, limit=None):
        return [self._prompt(*pair) for pair in self._pairs()[split == "test" : 20 : 2]][:limit]

    def grade(self, prompt, answer):
        return Grade(correct=float(answer.strip() == prompt.answer), canonical=answer.strip())

    def _pairs(self):
        numbers = range(1, self.highest + 1)
        return random.Random(0).sample(pairs := [(a, b) for a in numbers for b in numbers], len(pairs))

    def _prompt(self, a, b):
        return Prompt(question=f"use {a} {b} make {a + b}", answer=f"{a} + {b}")
