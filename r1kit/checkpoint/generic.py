"""The one file of code that a folder of ours may hold: a name for a tokenizer that is what ``tokenizer.json`` says."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GENERIC_CLASS", "GENERIC_MODULE", "brings_code"]

GENERIC_MODULE = "tokenization_generic"
GENERIC_CLASS = '''"""For trust_remote_code=True alone: the tokenizer is what tokenizer.json says."""

from transformers import PreTrainedTokenizerFast


class GenericTokenizer(PreTrainedTokenizerFast):
    pass
'''


def brings_code(folder: Path) -> bool:
    """Whether a folder holds code other than ours, word for word."""
    return any(
        file.name != f"{GENERIC_MODULE}.py" or file.read_text(encoding="utf-8", errors="replace") != GENERIC_CLASS
        for file in folder.rglob("*.py")
    )
