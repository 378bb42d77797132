"""Files of rows, by what their names end in: JSON lines and arrays, CSV, parquet, plain text; ``.gz`` and ``.zst``."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

from r1kit.data.json_rows import json_rows
from r1kit.data.narrow import as_tables
from r1kit.data.plain_rows import csv_rows, text_rows
from r1kit.data.settings import Reading
from r1kit.errors import InputError, MissingError, first_line
from r1kit.files import Line

__all__ = ["SUFFIXES", "form_of", "pyarrow", "rows_of"]

Reader = Callable[[Path, IO[bytes], Reading], Iterator[Line | InputError]]
READERS: dict[str, Reader] = {
    ".jsonl": json_rows,
    ".ndjson": json_rows,
    ".json": partial(json_rows, document=True),
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".txt": text_rows,
}
SUFFIXES = (*READERS, ".parquet")
POINTER = b"version https://git-lfs"
COMPRESSED = (".gz", ".zst")


def form_of(name: str | Path) -> str | None:
    """``.jsonl`` of ``a.jsonl.gz``; None for a name that ends in nothing known."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else None


def rows_of(path: Path, reading: Reading) -> Iterator[Line | InputError]:
    """Each row of a file, or what is wrong with it.

    Raises:
        InputError: the file is missing, unreadable or broken as a whole.
        MissingError: a package is needed that is not installed.
    """
    form = form_of(path) or ".jsonl"
    try:
        if form == ".parquet":
            yield from _parquet_rows(path)
        else:
            with _uncompressed(path) as stream:
                yield from READERS[form](path, stream, reading)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the path is taken from the folder that the command runs in") from None
    except PermissionError as error:
        raise InputError(f"{path}: not readable: {error.strerror}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not readable to its end: {first_line(error)}; was it copied as a whole?") from None


@contextmanager
def _uncompressed(path: Path) -> Iterator[IO[bytes]]:
    suffix = path.suffix.lower()
    with path.open("rb") as stream:
        _refuse_pointer(path, stream)
        if suffix == ".gz":
            with gzip.open(stream) as inside:
                yield inside  # type: ignore[misc]
        elif suffix == ".zst":
            with pyarrow().CompressedInputStream(stream, "zstd") as inside:
                yield io.BufferedReader(inside, 1 << 20)
        else:
            yield stream


def _refuse_pointer(path: Path, stream: IO[bytes]) -> None:
    if stream.read(len(POINTER)) == POINTER:
        raise InputError(f"{path}: a Git LFS pointer in place of the file; bring it with 'git lfs pull'")
    stream.seek(0)


def _parquet_rows(path: Path) -> Iterator[Line | InputError]:
    arrow = pyarrow()
    import pyarrow.parquet as parquet  # type: ignore[import-untyped]

    with path.open("rb") as stream:
        _refuse_pointer(path, stream)
        try:
            number = 0
            for batch in parquet.ParquetFile(stream).iter_batches(batch_size=256):
                for table in as_tables(batch):
                    number += 1
                    yield Line(f"{path} row {number}", number, table)
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise InputError(f"{path}: no parquet file that can be read: {first_line(error)}") from None


def pyarrow() -> Any:
    """The package. Raises MissingError where it is not installed."""
    try:
        import pyarrow as found  # type: ignore[import-untyped]
    except ImportError:
        raise MissingError(
            "parquet and .zst files are read with pyarrow, which is not installed: pip install 'r1kit[data]'"
        ) from None
    return found
