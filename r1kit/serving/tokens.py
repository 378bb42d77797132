"""How a token is spelled: its bytes, also where they are no whole character."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from r1kit.rollout.stopping import text_of

if TYPE_CHECKING:
    from r1kit.serving.served import Speaking

__all__ = ["token_bytes", "token_text"]

_HEX = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""A byte, as SentencePiece's vocabularies write it."""


@lru_cache(maxsize=1 << 16)
def token_bytes(tokenizer: Speaking, token: int) -> bytes:
    """Within a text: with the space before a word where the tokenizer keeps it there."""
    anchor = list(tokenizer.encode("a", add_special_tokens=False))[-1:]
    text = text_of(tokenizer, [*anchor, token])[len(text_of(tokenizer, anchor)) :]
    if "\ufffd" not in text:
        return text.encode()
    spelled = str(tokenizer.convert_ids_to_tokens(token))
    if found := _HEX.fullmatch(spelled):
        return bytes([int(found[1], 16)])
    table = _byte_of()
    return bytes(table[character] for character in spelled) if table.keys() >= set(spelled) else text.encode()


def token_text(tokenizer: Speaking, token: int) -> str:
    """``token_bytes`` as text; bytes that are no whole character as ``bytes:\\xe2\\x80``, as OpenAI writes them."""
    spelled = token_bytes(tokenizer, token)
    try:
        return spelled.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in spelled)


@lru_cache(maxsize=1)
def _byte_of() -> dict[str, int]:
    """The characters with which byte-level vocabularies (GPT-2's and its like) write bytes: printable ones stand for
    themselves, the others for 256 and on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}
