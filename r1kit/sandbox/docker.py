"""A sandbox in a container: the same warm interpreter as process 1 of ``docker run``. Optional; nothing is pulled.

Docker's walls are its own: namespaces without a user namespace (unless its daemon remaps), its seccomp profile, control
groups. The filter that forbids new processes is added where libseccomp is installed here.
"""

from __future__ import annotations

import itertools
import os
import shutil

from r1kit.errors import MissingError, R1Error
from r1kit.sandbox.cgroup import MEMORY_BYTES, PROCESSES
from r1kit.sandbox.pool import Pool
from r1kit.sandbox.runner import DISK_BYTES, MAX_FILES, WRITABLE
from r1kit.sandbox.seccomp import program_filter
from r1kit.sandbox.worker import Start, runner_source

__all__ = ["docker_pool"]

PASSED = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
"""What the docker client itself needs of this environment; the container gets none of it."""
_numbers = itertools.count()


def docker_pool(image: str, workers: int = 1) -> Pool:
    """Warm containers of ``image``, whose ``python3`` (3.10 or newer) runs the programs.

    Raises:
        MissingError: docker, its daemon or the image are missing; the line says what brings them.
    """
    command = shutil.which("docker")
    if command is None:
        raise MissingError('docker is missing; install it, or set sandbox kind = "bubblewrap"')
    client = command
    return Pool("docker", lambda: _start(client, image), lambda said: _explain(said, image), workers)


def _start(client: str, image: str) -> Start:
    name = f"r1-sandbox-{os.getpid()}-{next(_numbers)}"
    walls = ["--rm", "--interactive", "--pull", "never", "--name", name, "--hostname", "sandbox", "--network", "none"]
    walls += ["--ipc", "none", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    walls += ["--user", "65534:65534", "--pids-limit", str(PROCESSES), "--workdir", WRITABLE, "--entrypoint", "python3"]
    walls += ["--memory", str(MEMORY_BYTES), "--memory-swap", str(MEMORY_BYTES), "--log-driver", "none"]
    walls += ["--tmpfs", f"{WRITABLE}:rw,nosuid,nodev,mode=1777,size={DISK_BYTES},nr_inodes={2 * MAX_FILES}"]
    for setting in (
        "PYTHONHASHSEED=0",
        "PYTHONUTF8=1",
        "PYTHONDONTWRITEBYTECODE=1",
        "MALLOC_ARENA_MAX=1",
        f"HOME={WRITABLE}",
    ):
        walls += ["--env", setting]
    return Start(
        command=[client, "run", *walls, image, "-B", "-s", "-S", "-c", runner_source()],
        filter=_filter(),
        environment={key: os.environ[key] for key in PASSED if key in os.environ},
        after=(client, "rm", "--force", name),
    )


def _filter() -> bytes:
    try:
        return program_filter()
    except MissingError:  # the container's own walls stay
        return b""


def _explain(said: str, image: str) -> R1Error:
    line = " ".join(said.split())[:300] or "it said nothing"
    if "no such image" in line.lower() or "unable to find image" in line.lower():
        return MissingError(f"docker image {image!r} is not here; run: docker pull {image}")
    if "daemon" in line.lower():
        return MissingError(f"docker's daemon does not answer ({line}); start it: sudo systemctl start docker")
    return R1Error(f"the docker sandbox did not start: {line}")
