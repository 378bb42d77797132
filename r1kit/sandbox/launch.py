"""Start bubblewrap: ``python -I -S launch.py PLAN COMMAND...``, PLAN being JSON. It runs outside the walls.

Root is given up first, so that what is inside is an ordinary user that owns nothing: the kernel counts its processes,
and a hole in the walls would not lead to root. An interpreter below a closed folder such as ``/root`` is shown to that
user through a mount in a namespace of its own, which goes away with the process; so are folders of packages.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from typing import Any, NoReturn

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
        shown = _show([plan["prefix"], *plan["folders"]])
        command = [_moved(part, plan, shown) for part in command]
        _give_up_root()
    os.execve(program, command, {})


def _show(folders: list[str]) -> dict[str, str]:
    """Mount folders where anybody can reach them: where each is now."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(CLONE_NEWNS), "make a mount namespace")
    _check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")
    opened = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in folders]  # before their paths may be covered
    _check(libc.mount(b"tmpfs", SHOWN.encode(), b"tmpfs", 0, b"mode=755,size=64k"), f"mount on {SHOWN}")
    shown = {}
    for number, (folder, descriptor) in enumerate(zip(folders, opened, strict=True)):
        shown[folder] = f"{SHOWN}/{number}"
        os.mkdir(shown[folder])
        _check(
            libc.mount(f"/proc/self/fd/{descriptor}".encode(), shown[folder].encode(), None, MS_BIND | MS_REC, None),
            "show the interpreter and its packages",
        )
        os.close(descriptor)
    return shown


def _moved(part: str, plan: dict[str, Any], shown: dict[str, str]) -> str:
    """A part of the command that names the interpreter's folder, or something in a folder of packages."""
    if part == plan["prefix"]:
        return shown[part]
    folder, _, name = part.rpartition("/")
    return f"{shown[folder]}/{name}" if folder in plan["folders"] else part


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
