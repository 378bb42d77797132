"""Settings of pretraining on text. No torch here: ``r1 check`` reads this."""

from __future__ import annotations

from dataclasses import dataclass

from r1kit.errors import InputError

__all__ = ["FillInMiddle", "TokenizerSettings"]

LEAST_VOCABULARY = 300
"""The 256 bytes, the special tokens and the tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerSettings:
    """Which tokens text is read as: those of a model, or byte pairs found in the text itself."""

    name: str = ""
    """A model's, by any name that a model has, or a folder with a tokenizer alone; empty: byte pairs of the text."""
    vocab_size: int = 8192
    """Of byte pairs, special tokens included; a small text has fewer."""
    special: tuple[str, ...] = ()
    """Further tokens of byte pairs that are never split."""
    split_digits: bool = True
    """A digit is a token, so that numbers are read digit by digit."""
    chat_template: str = ""
    """Jinja text, or a file of it; empty: ChatML for byte pairs, and a model's own."""
    trained_on: int = 100_000_000
    """Characters of the text that byte pairs are found in, the first."""

    def __post_init__(self) -> None:
        if self.vocab_size < LEAST_VOCABULARY or self.trained_on < 1:
            raise InputError(
                f"tokenizer: vocab_size = {self.vocab_size} must be at least {LEAST_VOCABULARY}, trained_on = "
                f"{self.trained_on} at least 1"
            )
        if any(not token.strip() for token in self.special):
            raise InputError(f"tokenizer.special = {list(self.special)}: a token must not be blank")
        if self.name and self.special:
            raise InputError("tokenizer.special is for byte pairs; the tokens of a model are what they are: drop one")


@dataclass(frozen=True, slots=True, kw_only=True)
class FillInMiddle:
    """Documents cut in three and learnt in another order, so that the middle is written last (2207.14255)."""

    rate: float = 0.0
    """Share of the pieces that are cut."""
    spm: float = 0.5
    """Of those, the share that is written suffix, prefix, middle; the others prefix, suffix, middle."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1 or not 0 <= self.spm <= 1:
            raise InputError(f"fill_in_middle: rate = {self.rate} and spm = {self.spm} must be from 0 to 1")
