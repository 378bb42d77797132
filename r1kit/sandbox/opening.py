"""Which sandbox to use, and opening it; closed where the walls are missing, never another way in silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from r1kit.errors import InputError, nearest
from r1kit.sandbox.protocol import Sandbox

__all__ = ["SANDBOXES", "SandboxKind", "SandboxSettings", "check_sandbox", "open_sandbox"]

SandboxKind = Literal["bubblewrap", "docker", "fusion"]
SANDBOXES: tuple[str, ...] = get_args(SandboxKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Where programs run."""

    kind: SandboxKind = "bubblewrap"
    """bubblewrap: this machine's kernel; docker: a container a worker; fusion: a SandboxFusion server over HTTP."""
    workers: int = 1
    """Warm interpreters in each verifier process, which judges a group's programs so many at a time. A verifier process
    runs for each spare core as it is; with more workers in all than free cores, programs wait for each other while
    their clocks run."""
    packages: Sequence[str] = ()
    """bubblewrap: installed packages that programs may import, such as ``["numpy"]``; they and what they need are shown
    read-only. In a container or on a server it is what they have that programs can import."""
    image: str = "python:3.11-slim"
    """docker: image whose ``python3`` runs the programs; it is not pulled."""
    url: str = ""
    """fusion: address of the server, for example ``http://127.0.0.1:8080``."""

    def __post_init__(self) -> None:
        if self.kind not in SANDBOXES:
            hint = nearest(self.kind, SANDBOXES)
            raise InputError(f"sandbox {self.kind!r} is unknown; allowed are {', '.join(SANDBOXES)}.{hint}")
        if self.workers < 1:
            raise InputError(f"a sandbox needs workers >= 1, not {self.workers}")
        if self.kind == "fusion" and not self.url.startswith(("http://", "https://")):
            raise InputError("sandbox 'fusion' needs url, the address of its server, such as http://127.0.0.1:8080")


def open_sandbox(settings: SandboxSettings) -> Sandbox:
    """A sandbox that is ready to run; the caller closes it.

    Raises:
        MissingError: the walls are not there; the line says what brings them.
    """
    if settings.kind == "docker":
        from r1kit.sandbox.docker import docker_pool

        return docker_pool(settings.image, settings.workers)
    if settings.kind == "fusion":
        from r1kit.sandbox.fusion import FusionSandbox

        return FusionSandbox(settings.url, settings.workers)
    from r1kit.sandbox.bubblewrap import bubblewrap_pool

    return bubblewrap_pool(settings.workers, settings.packages)


def check_sandbox(settings: SandboxSettings) -> None:
    """Raise MissingError, before anything else runs, if the sandbox cannot be had on this machine."""
    open_sandbox(settings).close()
