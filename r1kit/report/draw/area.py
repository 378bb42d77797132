"""The last lines of a terminal, drawn again and again while other lines go by above them.

The cursor is never hidden and always stands at the start of an empty line below the area: a process that is killed
leaves a terminal as it should be.
"""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, RenderableType

from r1kit.report.draw.ascii import NEAREST, spelled
from r1kit.report.draw.printing import is_plain

__all__ = ["Area"]


class Area:
    """Used by one thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.console = Console(file=stream, force_terminal=True, legacy_windows=False)
        self._rows = 0
        """Lines that are there."""
        self._text = ""

    def draw(self, picture: RenderableType) -> None:
        """Put a picture in the place of the last one; what does not fit into the window is cut off."""
        width, height = self.console.size
        with self.console.capture() as capture:
            self.console.print(picture, width=max(1, width - 1), no_wrap=True, overflow="ellipsis", crop=True)
        lines = capture.get().splitlines()[: max(1, height - 2)]
        text = "".join(line + "\n" for line in lines)
        if text != self._text:
            self._write(self._back() + text)
            self._text, self._rows = text, len(lines)

    def above(self, line: str) -> None:
        """Print a line above the area."""
        text, rows = self._text, self._rows
        self._write(self._back() + line + "\n" + text)
        self._text, self._rows = text, rows

    def erase(self) -> None:
        """Leave nothing of it."""
        self._write(self._back())

    def _back(self) -> str:
        """To the area's first line, everything from there on cleared. Where a window that was made narrower has broken
        its lines in two, the upper ones stay: nothing that was said is ever cleared."""
        rows, self._rows, self._text = self._rows, 0, ""
        return f"\r\x1b[{rows}A\x1b[J" if rows else ""

    def _write(self, text: str) -> None:
        text = spelled(text) if is_plain(self.console) else text
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, errors=NEAREST).decode(encoding))
        self._stream.flush()
