"""Each program of ``tests/attacks`` gets the verdict in its header, and the program after it gets a right one."""

from __future__ import annotations

import os
import platform
import re
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from r1kit.sandbox import (
    AssertTest,
    CallTest,
    Case,
    LadderSettings,
    Limits,
    Sandbox,
    SandboxSettings,
    StdinTest,
    Verdict,
    climb,
    open_sandbox,
)

ATTACKS = sorted((Path(__file__).resolve().parent.parent / "attacks").glob("*.py"))
CALLS = [CallTest("f([3, 1])", [42, 1, 3]), CallTest("f([])", [42]), CallTest("f([2, -7, 2])", [42, -7, 2, 2])]
SCRIPT = [StdinTest("3 1\n", "42 1 3\n")]
ASSERTS = """
def check(f):
    "KEYWORD"
    given = [[3, 1], [], [2, -7, 2]]
    for x in given:
        got = f(list(x))
        assert len(got) == len(x) + 1 and got[0] == 42 and got != [] and not got < [0], "its form"
        assert all(abs(a - b) < 1e-6 for a, b in zip(got, [42, *sorted(x)]))
        assert isinstance(got, list) and got == [42, *sorted(x)]
    for got, want in zip(map(f, given), [[42, 1, 3], [42], [42, -7, 2, 2]]):
        assert got == want
    assert given == [[3, 1, 42], [42], [2, -7, 2, 42]] or given == [[3, 1], [], [2, -7, 2]], "what it did to its list"
check(f)
"""
LOOPS = [AssertTest.of(ASSERTS), AssertTest.of("assert f([1]) in ([42, 1], [1, 42]) and f([1]) != 3")]
RIGHT = "def f(x):\n    return [42, *sorted(x)]\n"
MEGABYTE = 1 << 20
LIMITS = Limits(
    seconds=60.0, cpu_seconds=4, memory_bytes=256 * MEGABYTE, output_bytes=MEGABYTE // 4, value_bytes=MEGABYTE // 4
)
SETTINGS = LadderSettings(extract="whole", limits=LIMITS, total_seconds=60.0)
HASTY = replace(SETTINGS, limits=replace(LIMITS, seconds=0.3))
"""For what is to run into its deadline; all else is to end by itself, however slow the machine is."""


def header(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^# (\w+): (.*)$", path.read_text(), re.MULTILINE))


def judge(path: Path, sandbox: Sandbox) -> Verdict:
    tests: list[Case] = {"stdin": SCRIPT, "asserts": LOOPS}.get(header(path).get("Form", ""), CALLS)  # type: ignore[assignment]
    settings = HASTY if "timeout" in header(path)["Verdict"] else SETTINGS
    return climb(path.read_text(), tests, settings, sandbox)


@pytest.fixture(scope="module")
def secret() -> Iterator[None]:
    """A secret in the environment, where ``read_environment`` looks for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("R1_SECRET_KEY", "42")
        yield


@pytest.fixture(scope="module")
def attacked(secret: None, sandbox: Sandbox) -> Sandbox:
    return sandbox


@pytest.mark.parametrize("path", ATTACKS, ids=lambda path: path.stem)
def test_attack(path: Path, attacked: Sandbox) -> None:
    if re.search(r"\.syscall\(|int 0x80", path.read_text()) and platform.machine() != "x86_64":
        pytest.skip("its system call numbers are those of x86-64")
    verdict = judge(path, attacked)
    allowed = header(path)["Verdict"].split(" or ")
    assert verdict.cause in allowed, verdict
    assert verdict.reward == float(verdict.cause == "ok")
    assert all(letter.isprintable() for letter in verdict.detail)
    after = climb(RIGHT, CALLS, SETTINGS, attacked)
    assert (after.cause, after.reward) == ("ok", 1.0), after


def test_corpus_is_large_and_each_says_what_it_tries() -> None:
    assert len(ATTACKS) >= 60
    assert all(header(path)["Tries"] and header(path)["Verdict"] for path in ATTACKS)


def children(of: int) -> set[int]:
    """All processes below one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found: set[int] = set()
    while grown := {child for child, parent in parents.items() if parent in found | {of}} - found:
        found |= grown
    return found


def left_behind() -> dict[str, object]:
    """What a leak would show in."""
    return {
        "processes": children(os.getpid()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "segments": Path("/proc/sysvipc/shm").read_text() if Path("/proc/sysvipc/shm").exists() else "",
        "keys": Path("/proc/keys").read_text().count("left"),
        "shared memory": sorted(os.listdir("/dev/shm")),
        "here": sorted(os.listdir("/")),
    }


def test_nothing_is_left_behind() -> None:
    """Leaks of every kind: the attacks that try to leave something, then closing."""
    leaving = ("fork", "daemon", "left", "shared", "semaphore", "queue", "keyring", "mount", "fill", "many", "thread")
    before = left_behind()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with_secret = open_sandbox(SandboxSettings(workers=2))
    try:
        one = children(os.getpid())
        for path in ATTACKS:
            if any(word in path.stem for word in leaving):
                judge(path, with_secret)
        climb(RIGHT, CALLS, SETTINGS, with_secret)
        assert len(children(os.getpid())) == len(one)
    finally:
        with_secret.close()
    assert left_behind() == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 * 1024  # kilobytes
