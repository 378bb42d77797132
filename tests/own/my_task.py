"""Sums of two numbers, in the words of the nano world."""

import random
from dataclasses import dataclass

from r1kit import Grade, Prompt


@dataclass(frozen=True)
class Sums:
    """What two numbers make together."""

    highest: int = 9
    held_out_share: float = 0.2

    def train(self, index):
        pairs = self._pairs(held_out=False)
        return self._prompt(*pairs[random.Random(index).randrange(len(pairs))])

    def held_out(self, split, limit=None):
        pairs = self._pairs(held_out=True)
        return [self._prompt(*pair) for pair in pairs[split == "test" :: 2]][:limit]

    def grade(self, prompt, answer):
        return Grade(correct=float(answer.strip() == prompt.answer), canonical=answer.strip())

    def _pairs(self, held_out):
        every = [(a, b) for a in range(1, self.highest + 1) for b in range(1, self.highest + 1)]
        random.Random(0).shuffle(every)
        cut = int(self.held_out_share * len(every))
        return every[:cut] if held_out else every[cut:]

    def _prompt(self, a, b):
        return Prompt(question=f"use {a} {b} make {a + b}", answer=f"{a} + {b}")
