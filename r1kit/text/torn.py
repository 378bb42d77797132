"""Characters that several tokens write, and a run of tokens that begins inside one. No torch.

A decoder writes U+FFFD for bytes that are no whole character. One that falls back to bytes (Llama 2, Mistral, Gemma,
Phi-3) decodes neighbouring byte tokens together, so a run of them that begins inside a character is U+FFFD all through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

__all__ = ["LONGEST", "TORN", "readings"]

TORN = "\ufffd"
"""What a decoder writes for bytes that are no whole character; a text may hold it, too."""
LONGEST = 4
"""Tokens of one character, at most: one a byte."""


def readings(decode: Callable[[Sequence[int]], str], tokens: Sequence[int]) -> Iterator[str]:
    """Texts of tokens that were cut out of more: of all of them, then without the first, the first two and three, until
    one begins with a whole character. None does where their beginning is U+FFFD itself or bytes of no character."""
    for skipped in range(min(LONGEST, len(tokens))):
        text = decode(tokens[skipped:])
        yield text
        if not text.startswith(TORN):
            return
