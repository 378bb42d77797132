"""Run a command as an ordinary user: ``python as_user.py COMMAND...``, as root. What it needs below closed folders such
as ``/root`` (the interpreter, this repository) is shown to that user by mounts in a namespace of its own."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

USER = 12345
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 4096, 16384, 1 << 18
NEEDED = (Path(os.path.realpath(sys.base_prefix)), Path(__file__).resolve().parent.parent.parent)


def closed_above(path: Path) -> Path | None:
    """The topmost folder on the way that others may not pass."""
    return next((each for each in reversed([path, *path.parents]) if not each.stat().st_mode & 0o001), None)


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def check(code: int) -> None:
        if code:
            raise SystemExit(os.strerror(ctypes.get_errno()))

    check(libc.unshare(CLONE_NEWNS))
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    shown = [(path, os.open(path, os.O_PATH), top) for path in NEEDED if (top := closed_above(path))]
    for top in {top for _, _, top in shown}:
        check(libc.mount(b"tmpfs", str(top).encode(), b"tmpfs", 0, b"mode=755"))
    for path, opened, _ in shown:
        path.mkdir(parents=True, exist_ok=True)
        source = f"/proc/self/fd/{opened}".encode()
        check(libc.mount(source, str(path).encode(), None, MS_BIND | MS_REC, None))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    os.execv(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
