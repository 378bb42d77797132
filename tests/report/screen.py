"""A terminal of a few words: what a person would see of the bytes that a program wrote."""

from __future__ import annotations

import re

__all__ = ["Screen"]

_PIECE = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|(\r\n|\n|\r)|([^\x1b\r\n]+)")


class Screen:
    """Never scrolls and never breaks a line; understands colours (ignored), cursor up, erase below."""

    def __init__(self, text: str) -> None:
        self.lines = [""]
        self.row = self.column = 0
        for value, letter, end, words in _PIECE.findall(text):
            if end:
                self.column = 0
                self.row += end != "\r"
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif words:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + words + line[self.column + len(words) :]
                self.column += len(words)
            elif letter == "A":
                self.row -= int(value or 1)
                assert self.row >= 0
            elif letter == "J":
                self.lines = [*self.lines[: self.row], self.lines[self.row][: self.column]]
            else:
                assert letter == "m", f"{letter!r} is not understood"

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")
