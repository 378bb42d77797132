"""The tiny models and the byte tokenizer of ``tests/model``."""

from __future__ import annotations

from tests.model.conftest import byte_tokenizer, tiny_model

__all__ = ["byte_tokenizer", "tiny_model"]
