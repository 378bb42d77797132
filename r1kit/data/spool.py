"""A list that lies in a temporary file: what is held in memory is where each item begins, 8 bytes an item."""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterable
from typing import Generic, TypeVar

__all__ = ["Spool"]

_T = TypeVar("_T")


class Spool(Generic[_T]):
    """Written once, read in any order; the file goes with the object."""

    def __init__(self, items: Iterable[_T]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the list is
        weakref.finalize(self, self._file.close)
        self._begins = array("Q", [0])
        for item in items:
            pickle.dump(item, self._file, protocol=pickle.HIGHEST_PROTOCOL)
            self._begins.append(self._file.tell())
        self._file.flush()

    def __len__(self) -> int:
        return len(self._begins) - 1

    def __getitem__(self, place: int) -> _T:
        begin, end = self._begins[place], self._begins[place + 1]
        item: _T = pickle.loads(os.pread(self._file.fileno(), end - begin, begin))
        return item
