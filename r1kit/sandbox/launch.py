"""Start bubblewrap: ``python -I -S launch.py PLAN COMMAND...``, PLAN being JSON. It runs outside the walls.

Root is given up first, so that what is inside is an ordinary user that owns nothing: the kernel counts its processes,
and a hole in the walls would not lead to root. An interpreter below a closed folder such as ``/root`` is shown to that
user through a mount in a namespace of its own, which goes away with the process.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from typing import NoReturn

NOBODY = 65534
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
SHOWN = "/tmp"
"""Folder that the mount namespace covers with an empty file system; the world outside keeps its own."""


def main() -> NoReturn:
    plan, command = json.loads(sys.argv[1]), sys.argv[2:]
    if plan["cgroup"]:
        with open(os.path.join(plan["cgroup"], "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))
    program = os.open(command[0], os.O_RDONLY)  # it too may lie below a closed folder
    os.set_inheritable(program, True)
    if os.geteuid() == 0:
        shown = _show(plan["prefix"])
        command = [shown if part == plan["prefix"] else part for part in command]
        _give_up_root()
    os.execve(program, command, {})


def _show(prefix: str) -> str:
    """Mount the interpreter's folder where anybody can reach it."""
    libc = ctypes.CDLL(None, use_errno=True)
    shown = f"{SHOWN}/python"
    _check(libc.unshare(CLONE_NEWNS), "make a mount namespace")
    _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    folder = os.open(prefix, os.O_PATH | os.O_DIRECTORY)  # before its path may be covered
    _check(libc.mount(b"tmpfs", SHOWN.encode(), b"tmpfs", 0, b"mode=755,size=64k"), f"mount on {SHOWN}")
    os.mkdir(shown)
    _check(
        libc.mount(f"/proc/self/fd/{folder}".encode(), shown.encode(), None, MS_BIND | MS_REC, None),
        "show the interpreter",
    )
    os.close(folder)
    return shown


def _check(code: int, what: str) -> None:
    if code:
        raise SystemExit(f"root could not {what}: {os.strerror(ctypes.get_errno())}")


def _give_up_root() -> None:
    os.setgroups([])
    try:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # This root is already an ordinary user outside, in a namespace that knows no other; bubblewrap goes on as it.


if __name__ == "__main__":
    main()
