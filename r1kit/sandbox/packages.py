"""Packages of this environment that programs may import: what has to be shown to them, read-only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from r1kit.errors import MissingError

__all__ = ["modules_in", "modules_of", "package_files"]

_NO_MODULES = (".dist-info", ".libs", ".pth", "__pycache__", ".data")


def package_files(names: Iterable[str]) -> list[Path]:
    """Files and folders of the packages and of what they need, each once.

    Raises:
        MissingError: one is not installed here.
    """
    found: dict[str, Distribution] = {}
    wanted = [(name, "sandbox.packages names") for name in names]
    while wanted:
        name, said = wanted.pop()
        package = _installed(name, said)
        key = package.metadata["Name"].lower()
        if key not in found:
            found[key] = package
            needs = map(Requirement, package.requires or ())
            wanted += [(need.name, f"{name} needs") for need in needs if not need.marker or _holds(need)]
    return list(dict.fromkeys(path for package in found.values() for path in _top(package)))


def modules_of(names: Sequence[str]) -> list[str]:
    """What is imported of the packages themselves, such as ``sklearn`` of ``scikit-learn``."""
    return modules_in(path for name in names for path in _top(_installed(name, "sandbox.packages names")))


def modules_in(paths: Iterable[Path]) -> list[str]:
    """Modules that files and folders of ``package_files`` are."""
    return sorted({path.name.partition(".")[0] for path in paths if not path.name.endswith(_NO_MODULES)})


def _holds(need: Requirement) -> bool:
    assert need.marker is not None
    return need.marker.evaluate({"extra": ""})


def _installed(name: str, said: str) -> Distribution:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        raise MissingError(f"{said} {name!r}, which is not installed here; run: pip install {name}") from None


def _top(package: Distribution) -> list[Path]:
    """Its files and folders in site-packages; scripts, which lie elsewhere, left out."""
    parts = {file.parts[0] for file in package.files or () if file.parts and file.parts[0] not in ("..", "__pycache__")}
    return [Path(str(package.locate_file(part))) for part in sorted(parts)]
