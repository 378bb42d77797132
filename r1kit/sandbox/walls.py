"""Prove the walls of a sandbox by trying to break each from inside: what ``r1 doctor`` shows."""

from __future__ import annotations

from collections.abc import Mapping

from r1kit.sandbox.protocol import Limits, Outcome, Returned, Run, Sandbox

__all__ = ["WALLS", "prove_walls"]

_CALL = """
import ctypes
def call(number, *arguments):
    return ctypes.CDLL(None).syscall(number, *arguments) != -1
"""
WALLS: Mapping[str, str] = {
    # Connecting a datagram socket sends nothing; it asks only whether there is a way out.
    "network": "import socket\ndef broken():\n    socket.socket(2, 2).connect(('192.0.2.1', 9))\n    return True",
    "files": "def broken():\n    return bool(open('/etc/passwd').read())",
    "home": "import os\ndef broken():\n    return os.path.exists('/root') or os.path.exists('/home')",
    "processes": "import os\ndef broken():\n    return os.fork() >= 0",
    "programs": "import os\ndef broken():\n    return os.system('true') == 0",
    "other processes": "import os\ndef broken():\n    return os.path.exists('/proc/1') or os.getppid() != 1",
    "write": "def broken():\n    return open('/left', 'w').write('x') > 0",
    "interpreter": "import os\ndef broken():\n    return open(os.__file__, 'a').write('x') > 0",
    "root": "import os\ndef broken():\n    os.setuid(0)\n    return True",
    "memory": "def broken():\n    return len(bytearray(1 << 32)) > 0",
    "disk": "def broken():\n    return open('/tmp/large', 'wb').write(bytes(1 << 25)) == 1 << 25",
}
"""Name -> a program whose ``broken()`` returns True where the wall is not there."""
CALLS = {
    "tracing": (101, 16, 1),
    "namespaces": (272, 0x10000000),
    "mounts": (165,),
    "io_uring": (425, 8),
    "keys": (250, 0, -4),
}
"""Name -> a system call on x86-64 that must be refused."""
LIMITS = Limits(seconds=10.0, memory_bytes=1 << 28)


def prove_walls(sandbox: Sandbox, machine: str) -> dict[str, bool]:
    """Wall -> whether it held, and ``deadline`` and ``verdict``: an endless loop is ended, the next program is right.

    Args:
        sandbox: what is tried.
        machine: as ``platform.machine()`` says; system calls by number are tried on x86-64 alone.
    """
    programs = dict(WALLS)
    if machine == "x86_64":
        programs |= {name: f"{_CALL}\ndef broken():\n    return call{numbers}" for name, numbers in CALLS.items()}
    outcomes = sandbox.run([Run(program=text, calls=("broken()",)) for text in programs.values()], LIMITS)
    found = {name: _held(outcome) for name, outcome in zip(programs, outcomes, strict=True)}
    hasty = Limits(seconds=0.5)
    (endless,) = sandbox.run([Run(program="while True: pass", calls=("1",))], hasty)
    (right,) = sandbox.run([Run(program="", calls=("40 + 2",))], LIMITS)
    return {**found, "deadline": endless.end == "timeout", "verdict": right.calls == (Returned(42),)}


def _held(outcome: Outcome) -> bool:
    """The program ran up to its try, and the try did not succeed."""
    if outcome.end in ("timeout", "not_python") or not outcome.calls:
        return False
    return outcome.calls[0] != Returned(True)
