"""The bubblewrap sandbox: what crosses the wall, what must not, and what happens when parts of it die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from r1kit.errors import MissingError
from r1kit.sandbox import Limits, Outcome, Raised, Returned, Run, Sandbox, SandboxSettings, open_sandbox
from r1kit.sandbox import bubblewrap as module
from r1kit.sandbox.pool import Pool
from r1kit.sandbox.walls import prove_walls
from r1kit.sandbox.worker import Worker

LIMITS = Limits(seconds=60.0)


def call(sandbox: Sandbox, program: str, expression: str = "f()", limits: Limits = LIMITS) -> Outcome:
    return sandbox.run([Run(program=program, calls=(expression,))], limits)[0]


def value(sandbox: Sandbox, program: str, expression: str = "f()") -> object:
    outcome = call(sandbox, program, expression)
    assert outcome.calls, outcome
    assert isinstance(outcome.calls[0], Returned), outcome
    return outcome.calls[0].value


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    "plain",
    [
        None, True, 0, -(2**63), 10**400, 1.5, float("inf"), 1e-320, 2 - 3j, "", "π\x00\ud800\u202e", b"\x00\xff",
        [], [[1, [2.0]], ()], (1, "a"), {"a": {1: [2]}, (1, 2): None, 3.5: b"x"}, {"b"}, {frozenset({1})},
    ],
    ids=repr,
)  # fmt: skip
def test_plain_values_cross_the_wall_as_they_are(sandbox: Sandbox, plain: object) -> None:
    text = "float('inf')" if plain == float("inf") else repr(plain)
    found = value(sandbox, "", text)
    assert found == plain
    assert type(found) is type(plain)


def test_subclasses_cross_as_what_they_are_built_on(sandbox: Sandbox) -> None:
    program = "import collections, enum\nclass E(enum.IntEnum):\n    A = 3\n"
    assert value(sandbox, program, "collections.Counter('aab')") == {"a": 2, "b": 1}
    assert value(sandbox, program, "collections.namedtuple('P', 'x y')(1, E.A)") == (1, 3)


def test_a_run_keeps_what_it_gave_before_it_failed(sandbox: Sandbox) -> None:
    program = (
        "def f(x):\n    if x == 3:\n        raise KeyError('no 3')\n    while x == 5:\n        pass\n    return x\n"
    )
    run = Run(program=program, calls=("f(1)", "f(3)", "f(4)", "f(5)", "f(6)"))
    (outcome,) = sandbox.run([run], Limits(seconds=1.0))
    assert outcome.end == "timeout"
    assert outcome.calls == (Returned(1), Raised("line 3: KeyError: 'no 3'"), Returned(4))


def test_a_script_reads_its_input_every_way_and_ends_as_python_ends(sandbox: Sandbox) -> None:
    ways = ["input()", "sys.stdin.readline().strip()", "open(0).read().strip()", "os.read(0, 99).decode().strip()"]
    ways += ["open('/dev/stdin').read().strip()", "io.open(file='/dev/fd/0', mode='rb').read().decode().strip()"]
    ways += ["pathlib.Path('/dev/stdin').read_text().strip()", "next(fileinput.input('/dev/stdin')).strip()"]
    ways += ["os.read(os.open(b'/dev/stdin', os.O_RDONLY), 99).decode().strip()"]
    imports = "import fileinput, io, os, pathlib, sys"
    programs = [f"{imports}\nif __name__ == '__main__':\n    print({way}[::-1])" for way in ways]
    late = "import threading, atexit\natexit.register(print, 'last')\nthreading.Timer(0.05, print, ['late']).start()"
    runs = [Run(program=text, stdin="abc\n") for text in [*programs, late]]
    outcomes = sandbox.run(runs, LIMITS)
    assert [each.stdout for each in outcomes] == [b"cba\n"] * 9 + [b"late\nlast\n"]
    assert {each.end for each in outcomes} == {"ok"}


def test_a_program_names_its_streams(sandbox: Sandbox) -> None:
    program = "print('a', file=open('/dev/stderr', 'w'))\nwith open('/dev/stdout', 'w') as out:\n    out.write('b')\n"
    twice = "open('/dev/stdin').close()\nprint(repr(open('/dev/stdin').read()), repr(input()))"
    outcomes = sandbox.run([Run(program=program + "print('c')", stdin=""), Run(program=twice, stdin="d\ne")], LIMITS)
    assert [each.stdout for each in outcomes] == [b"bc\n", b""]
    assert outcomes[1].detail == "line 2: EOFError: EOF when reading a line", "as from a pipe, what is read is gone"
    (outcome,) = sandbox.run([Run(program="def f(): return open('/dev/stdin').read()", calls=("f()",))], LIMITS)
    assert outcome.calls == (Returned(""),)


def test_input_and_program_far_larger_than_a_pipe(sandbox: Sandbox) -> None:
    text = "x" * (3 << 20)
    (outcome,) = sandbox.run([Run(program=f"#{text}\nprint(len(input()))", stdin=text + "\n")], LIMITS)
    assert outcome.stdout == f"{3 << 20}\n".encode()


def test_nothing_passes_from_one_program_to_the_next(sandbox: Sandbox) -> None:
    leave = """
import builtins, gc, json, math, os, random, sys, time
builtins.left = json.left = math.left = "left behind"
sys.modules["left"] = json
math.sqrt = lambda x: 7
random.seed(1); random.random = lambda: 0
os.environ["LEFT"] = "1"; os.umask(0o777)
open("/tmp/left", "w").write("left"); os.chdir("/dev")
secret = "mark" + "er" * 3
def f():
    return secret
"""
    look = """
import builtins, ctypes, json, math, os, random, sys
found = [hasattr(m, "left") for m in (builtins, json, math)] + ["left" in sys.modules, math.sqrt(4) != 2]
found += ["LEFT" in os.environ, os.umask(0o22) == 0o777, os.path.exists("/tmp/left"), os.getcwd() != "/tmp"]
start = id(object()) & ~0x3FFFF
found.append(b"rererekram" in ctypes.string_at(start, 0x40000)[::-1])  # backwards: not the word that is looked for
def f():
    return found
"""
    first = value(sandbox, "import random\ndef f():\n    return random.random()")
    assert value(sandbox, leave) == "markererer"
    assert value(sandbox, look) == [False] * 10
    assert value(sandbox, "import random\ndef f():\n    return random.random()") == first


def test_the_interpreter_keeps_no_text_of_earlier_programs(sandbox: Sandbox) -> None:
    """Program, input, output and value of one run are looked for in the memory of the next."""
    words = ["programword", "inputword", "outputword", "valueword"]
    halves = [(word[:4], word[4:]) for word in words]
    run = Run(program="#programword\nprint('output' + 'word')\n", stdin="inputword" * 2000)
    sandbox.run([run, Run(program="", calls=("'value' + 'word'",))], LIMITS)
    search = f"""
import ctypes
def f():
    halves = {halves!r}
    maps = [id(object()), id(()), id(f), id(ctypes), id(halves)]
    found = []
    for start in {{each & ~0xFFFFF for each in maps}}:
        try:
            data = ctypes.string_at(start, 0x100000)
        except Exception:
            continue
        for first, second in halves:
            at = data.find(first.encode())
            while at >= 0:
                if data[at + len(first) : at + len(first) + len(second)] == second.encode():
                    found.append(first)
                at = data.find(first.encode(), at + 1)
    return found
"""
    outcome = call(sandbox, search)
    assert outcome.end in ("ok", "killed"), outcome  # an address beyond an arena ends it; it found nothing till then
    if outcome.end == "ok":
        assert outcome.calls == (Returned([]),)


def test_runs_are_dealt_out_and_answered_in_order() -> None:
    with pool(3) as several:
        runs = [Run(program=f"import time\ntime.sleep({(7 - i) % 4 * 0.05})\nx = {i}", calls=("x",)) for i in range(12)]
        found = [each.calls for each in several.run(runs, LIMITS)]
    assert found == [(Returned(i),) for i in range(12)]


def pool(workers: int) -> Pool:
    opened = open_sandbox(SandboxSettings(workers=workers))
    assert isinstance(opened, Pool)
    return opened


def test_a_worker_that_was_touched_sees_no_other_program(sandbox: Sandbox) -> None:
    assert isinstance(sandbox, Pool)
    before = sandbox._workers[0].process.pid
    value(sandbox, "def f():\n    return 1")
    assert sandbox._workers[0].process.pid == before
    value(sandbox, "import os\ndef f():\n    os.mkdir('/tmp/a')\n    os.rmdir('/tmp/a')\n    return 1")
    assert sandbox._workers[0].process.pid != before


def test_a_killed_worker_is_replaced() -> None:
    with pool(1) as one:
        os.kill(one._workers[0].process.pid, signal.SIGKILL)
        time.sleep(0.2)
        assert value(one, "", "40 + 2") == 42  # it died between two runs: nothing is blamed


@pytest.mark.parametrize("inside", [False, True])
def test_what_is_killed_is_run_once_more(inside: bool) -> None:
    """The sandbox, or the program alone, by whoever may have done it; once it is killed again it is what it did."""

    def victim() -> int:
        return one._workers[0].process.pid if not inside else deepest(one._workers[0].process.pid)

    with pool(1) as one:
        for times, end in ((1, "ok"), (2, "killed")):
            killer = threading.Thread(
                target=lambda times=times: [(time.sleep(0.3), os.kill(victim(), signal.SIGKILL)) for _ in range(times)]
            )
            killer.start()
            outcome = call(one, "import time\ntime.sleep(0.8)\nx = 42", "x")
            killer.join()
            assert outcome.end == end, outcome
        assert value(one, "", "40 + 2") == 42


@pytest.mark.parametrize(("name", "times"), [("SIGSEGV", 1), ("SIGABRT", 1), ("SIGKILL", 2)])
def test_a_program_that_crashes_is_not_run_again(name: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[int] = []
    hand = Worker.hand
    monkeypatch.setattr(Worker, "hand", lambda worker, *job: handed.append(job[0]) or hand(worker, *job))
    with pool(1) as one:
        for _ in range(2):  # also once the worker has served
            outcome = call(one, f"import os, signal\nos.kill(os.getpid(), signal.{name})")
            assert (outcome.end, outcome.detail) == ("killed", f"ended by signal {name}")
    assert len(handed) == 2 * times


def test_a_sandbox_that_does_not_answer_is_killed_at_the_deadline() -> None:
    with pool(1) as one:
        os.kill(one._workers[0].process.pid, signal.SIGSTOP)
        for pid in children(one._workers[0].process.pid):
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        outcome = call(one, "x = 1", "x", Limits(seconds=0.3))
        assert outcome.end == "timeout"
        assert time.monotonic() - started < 4
        assert value(one, "", "40 + 2") == 42


def deepest(pid: int) -> int:
    """The last of a line of only children."""
    while found := children(pid):
        pid = found[0]
    return pid


def test_a_program_that_was_stopped_with_all_of_its_owner_is_not_late() -> None:
    script = (
        "from r1kit.sandbox import *; from r1kit.sandbox.protocol import *; box = open_sandbox(SandboxSettings());"
        "print('here', flush=True);"
        "print(box.run([Run(program='import time\\ntime.sleep(.8)', calls=())], Limits(seconds=1.2))[0].end)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "here\n"
        time.sleep(0.4)
        family = [owner.pid]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
            family += children(pid)
        time.sleep(3)
        for pid in family:
            os.kill(pid, signal.SIGCONT)
        assert owner.stdout.read() == "ok\n"


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def test_a_broken_off_call_does_not_leak_into_the_next() -> None:
    with pool(1) as one:
        signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            one.run([Run(program="while True: pass", calls=("1",))] * 3, LIMITS)
        assert value(one, "", "40 + 2") == 42


def test_all_of_it_dies_with_its_owner(tmp_path: Path) -> None:
    program = (
        "import os, time; from r1kit.sandbox import *; box = open_sandbox(SandboxSettings());"
        "print(box._workers[0].process.pid, flush=True);"
        "box.run([Run(program='while True: pass', calls=('1',))], Limits(seconds=60))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        outer = int(owner.stdout.readline())
        below = [outer, *children(outer)]
        while not (programs := children(below[-1])):
            time.sleep(0.02)
        below += programs
        assert len(below) == 3  # bubblewrap, process 1, the program
        owner.kill()
    limit = time.monotonic() + 10
    while any(map(alive, below)) and time.monotonic() < limit:
        time.sleep(0.02)
    assert not [pid for pid in below if alive(pid)]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("bwrap: No permissions to create a new namespace, likely because the kernel does not allow", "may not make"),
        ("bwrap: setting up uid map: Permission denied", "may not make its walls here"),
        ("bwrap: Unknown option --size", "too old for code tasks"),
    ],
)
def test_closed_where_bubblewrap_cannot_make_its_walls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: str
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match=error):
        open_sandbox(SandboxSettings())


def test_doctor_sees_a_wall_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same sandbox with its filter and some walls taken away, each of which must be reported."""
    walls = module._walls

    def weaker(*given: Any) -> list[str]:
        found = walls(*given)
        found = [part for part in found if part not in ("--unshare-net", "--unshare-pid", "--as-pid-1")]
        del found[found.index("--seccomp") : found.index("--seccomp") + 2]
        del found[found.index("--remount-ro") : found.index("--remount-ro") + 2]
        return [*found, "--unshare-pid", "--as-pid-1", "--ro-bind", "/etc", "/etc", "--dir", "/home"]

    monkeypatch.setattr(module, "_walls", weaker)
    monkeypatch.setattr(module, "program_filter", lambda: b"")
    with pool(1) as one:
        found = prove_walls(one, "x86_64")
    broken = {name for name, held in found.items() if not held}
    assert broken >= {"files", "home", "processes", "write", "namespaces"}
    assert "deadline" not in broken
