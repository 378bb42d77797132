"""The corpus contract: what a base model is pretrained on, one document at a time. No torch here.

A corpus that a recipe names has a frozen ``Config`` and is built as ``cls(config)``. A user's class may have its
settings as dataclass fields or keyword arguments instead, or none.
"""

from __future__ import annotations

from typing import Protocol

from r1kit.records import Prompt

__all__ = ["Corpus"]


class Corpus(Protocol):
    def document(self, index: int) -> str:
        """Document number ``index`` of an endless stream, a pure function of the settings and the index.

        The text holds neither ``<bos>`` nor ``<eos>``: whoever packs documents puts ``bos_token_id`` before and
        ``eos_token_id`` after each one's ids.
        """
        ...

    def vocabulary(self) -> list[str]:
        """Every word that documents and the task's prompts can hold, in a fixed order, each once."""
        ...

    def shows(self, prompt: Prompt) -> bool:
        """Whether documents may ask this problem, or one of its cluster: none may that a task holds out."""
        return False
