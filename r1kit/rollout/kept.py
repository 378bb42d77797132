"""The newest weights in a file without a name: what a replica that comes back is given, whatever the learner does then.

Memory holds one tensor at a time. The file lies where temporary files do (``TMPDIR``) and goes with the process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from r1kit.errors import MissingError
from r1kit.model.weights import Weight

__all__ = ["KeptWeights", "as_bytes"]


class KeptWeights:
    """A ``WeightStream`` that any thread may go through at any time, once all tensors were added."""

    def __init__(self, weights: Sequence[Weight], version: int) -> None:
        """``weights``: what will be added, in this order."""
        self.version = version
        self._weights = tuple(weights)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def add(self, tensor: Tensor) -> None:
        """The next tensor, whole."""
        self._write(lambda: self._file.write(as_bytes(tensor)))

    def finish(self) -> None:
        """All were added."""
        self._write(self._file.flush)

    def _write(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            raise MissingError(
                f"cannot keep the newest weights in {tempfile.gettempdir()}: {error.strerror}; free some room there or "
                "set TMPDIR"
            ) from None

    def metadata(self) -> Sequence[Weight]:
        """See ``WeightStream``."""
        return self._weights

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        start = 0
        for name, dtype, shape in self._weights:
            size = torch.Size(shape).numel() * dtype.itemsize
            yield name, self._read(start, size).view(dtype).view(shape)
            start += size

    def _read(self, start: int, size: int) -> Tensor:
        tensor, got = torch.empty(size, dtype=torch.uint8), 0
        view = tensor.numpy().data
        while got < size:
            got += os.preadv(self._file.fileno(), [view[got:]], start + got)
        return tensor

    def __del__(self) -> None:
        """Give the disk back when the last who reads has let go."""
        self._file.close()


def as_bytes(tensor: Tensor) -> memoryview:
    """A tensor's numbers as they lie in memory; copied where they lie elsewhere or apart."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data
