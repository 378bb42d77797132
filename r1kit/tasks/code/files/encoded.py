"""Tests that a data set holds as text: JSON, or (LiveCodeBench) base64 of zlib of a pickled text of JSON."""

from __future__ import annotations

import base64
import binascii
import json
import pickletools
import zlib
from typing import Any

__all__ = ["opened_tests"]

LARGEST = 256 << 20
"""Bytes, unpacked."""
_HARMLESS = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}
_TEXTS = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}


def opened_tests(value: Any) -> Any:
    """The value itself, or what its text holds.

    Raises:
        ValueError: it is neither JSON nor packed JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError as error:
        reason = f"not JSON ({error})"
    try:
        packed = base64.b64decode(value, validate=True)
        unpacking = zlib.decompressobj()
        unpacked = unpacking.decompress(packed, LARGEST)
        if unpacking.unconsumed_tail:
            raise ValueError(f"more than {LARGEST >> 20} MB unpacked")
    except (binascii.Error, zlib.error):
        raise ValueError(reason) from None
    return json.loads(_pickled_text(unpacked) if unpacked[:1] == b"\x80" else unpacked.decode("utf-8"))


def _pickled_text(pickled: bytes) -> str:
    """The one text that a pickle holds. Nothing is unpickled: its operations are read, and any that could do more than
    hold a text is refused."""
    texts = []
    if not pickled.endswith(b"."):
        raise ValueError("not a pickle: it is cut")
    try:
        for operation, argument, _ in pickletools.genops(pickled):
            if operation.name in _TEXTS:
                texts.append(argument)
            elif operation.name not in _HARMLESS:
                raise ValueError(f"a pickle of more than one text ({operation.name}); it is not opened")
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"not a pickle: {error}") from None
    if len(texts) != 1:
        raise ValueError("a pickle that holds no text; it is not opened")
    return str(texts[0])
