"""The default sandbox: bubblewrap's namespaces around a warm interpreter, on this machine's own kernel."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from r1kit.errors import MissingError, R1Error
from r1kit.sandbox import cgroup
from r1kit.sandbox.packages import modules_of, package_files
from r1kit.sandbox.pool import Pool
from r1kit.sandbox.runner import DISK_BYTES, WRITABLE
from r1kit.sandbox.seccomp import interpreter_filter, program_filter
from r1kit.sandbox.worker import Start, runner_source

__all__ = ["bubblewrap_pool"]

INSTALL = "sudo apt-get install bubblewrap libseccomp2"
OLD = f"this bubblewrap is too old for code tasks, which need 0.7 or newer; run: {INSTALL}"
SYSTEM = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64", "/usr/lib32")
INSIDE, PACKAGES = "/python", "/packages"
ENVIRONMENT = {
    "PATH": "/nowhere",
    "HOME": WRITABLE,
    "LD_LIBRARY_PATH": f"{INSIDE}/lib",
    "PYTHONHASHSEED": "0",  # the same program gets the same verdict in every worker
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # each further one takes 64 MB of address space
}


def bubblewrap_pool(workers: int = 1, packages: Sequence[str] = ()) -> Pool:
    """Warm sandboxes that share nothing with one another or with the machine but the kernel, the interpreter and the
    ``packages`` that programs may import.

    Raises:
        MissingError: bubblewrap, libseccomp, user namespaces or a package are missing; the line says what brings them.
    """
    if sys.platform != "linux":
        raise MissingError('code tasks need Linux for their sandbox; set sandbox kind = "docker" on other systems')
    command = shutil.which("bwrap")
    if command is None:
        raise MissingError(f"bubblewrap is missing, and code tasks run only behind its walls; run: {INSTALL}")
    binary = command
    interpreter_filter()
    shown = package_files(packages)
    modules = modules_of(packages)
    return Pool("bubblewrap", lambda: _start(binary, shown, modules), _explain, workers)


def _start(bwrap: str, shown: Sequence[Path], modules: Sequence[str]) -> Start:
    prefix = os.path.realpath(sys.base_prefix)
    group = cgroup.create()
    folders = sorted({str(path.parent) for path in shown})
    plan = json.dumps({"prefix": prefix, "folders": folders, "cgroup": group and str(group)})
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), plan]
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, interpreter_filter())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return Start(
        command=[
            *launcher,
            bwrap,
            *_walls(prefix, descriptor, shown, modules),
            "--",
            *_interpreter(prefix),
            runner_source(),
        ],
        filter=program_filter(),
        descriptors=(descriptor,),
        cgroup=group,
    )


def _walls(prefix: str, seccomp: int, shown: Sequence[Path], modules: Sequence[str]) -> list[str]:
    found = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    found += ["--unshare-cgroup-try", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--cap-drop", "ALL"]
    found += ["--die-with-parent", "--new-session", "--as-pid-1", "--clearenv"]
    environment = {**ENVIRONMENT, "PYTHONPATH": PACKAGES, "R1_WARM": " ".join(modules)} if shown else ENVIRONMENT
    for name, value in environment.items():
        found += ["--setenv", name, value]
    for folder in SYSTEM:
        if os.path.islink(folder):
            found += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            found += ["--ro-bind", folder, folder]
    if prefix == "/usr":
        python = os.path.realpath(_base_executable())
        found += ["--ro-bind", python, python]
    else:
        found += ["--ro-bind", prefix, INSIDE]
    for path in shown:
        found += ["--ro-bind", str(path), f"{PACKAGES}/{path.name}"]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):
        found += ["--dev-bind", device, device]
    found += ["--size", str(DISK_BYTES), "--tmpfs", WRITABLE, "--remount-ro", "/", "--chdir", WRITABLE]
    return [*found, "--seccomp", str(seccomp)]


def _interpreter(prefix: str) -> list[str]:
    """The interpreter that r1 itself runs on, without anything that was installed into it."""
    python = os.path.realpath(_base_executable())
    if prefix != "/usr":
        if not python.startswith(prefix + os.sep):
            raise MissingError(f"the interpreter {python} lies outside its own folder {prefix}; use another Python")
        python = INSIDE + python[len(prefix) :]
    return [python, "-B", "-s", "-S", "-c"]


def _base_executable() -> str:
    return str(getattr(sys, "_base_executable", "") or sys.executable)


def _explain(said: str) -> R1Error:
    """Why a sandbox did not start, from bubblewrap's own words."""
    line = " ".join(said.split())[:300] or "it said nothing"
    lowered = line.lower()
    if "unknown option" in lowered:
        return MissingError(f"{OLD} ({line})")
    if any(word in lowered for word in ("namespace", "uid map", "permission", "not permitted", "root could not")):
        switch = _namespace_switch()
        return MissingError(f"bubblewrap may not make its walls here ({line}); {switch}")
    return R1Error(f"the sandbox did not start: {line}")


def _namespace_switch() -> str:
    """The setting that forbids user namespaces here, as far as it can be told."""
    for name, wanted in (
        ("kernel.unprivileged_userns_clone", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("user.max_user_namespaces", "10000"),
    ):
        path = Path("/proc/sys", *name.split("."))
        value = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if value and (value == "0") == (wanted != "0"):
            return f"run: sudo sysctl -w {name}={wanted}"
    return "in a container, start it with user namespaces allowed: docker run --security-opt seccomp=unconfined ..."
