"""The corpus protocol: what a base model is pretrained on, one document at a time. No torch here."""

from __future__ import annotations

from typing import Protocol

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
