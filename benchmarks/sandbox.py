"""The sandbox: verdicts a second and a core's worth of work each, latency, and a soak with attacks mixed in.

    python benchmarks/sandbox.py speed [--workers 2] [--programs 2000]
    python benchmarks/sandbox.py soak [--workers 2] [--programs 20000] [--attacks .1]

``speed`` compares the warm pool with a fresh sandbox a program and with a fresh Python process a program (no walls at
all), in turns. ``soak`` has as many processes as workers, each with a sandbox of its own, as training has verifiers;
every verdict is checked against the one that the program must get, and what could leak is counted before and after.
Latencies of the pool are those of batches of 32, divided by 32. Processor time counts the judge, the sandbox and what
runs in it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from r1kit.sandbox import CallTest, LadderSettings, Limits, Sandbox, SandboxSettings, StdinTest, climb, open_sandbox
from r1kit.sandbox import Run as SandboxRun
from r1kit.sandbox.pool import Pool

ATTACKS = Path(__file__).resolve().parent.parent / "tests" / "attacks"
CALLS = [CallTest("f([3, 1])", [42, 1, 3]), CallTest("f([])", [42]), CallTest("f([2, -7, 2])", [42, -7, 2, 2])]
SCRIPT = [StdinTest("3 1\n", "42 1 3\n")]
RIGHT = "def f(x):\n    return [42, *sorted(x)]\n"
WRONG = "def f(x):\n    return sorted(x)\n"
LIMITS = Limits(seconds=30.0, cpu_seconds=4, memory_bytes=1 << 28, output_bytes=1 << 18, value_bytes=1 << 18)
SETTINGS = LadderSettings(extract="whole", limits=LIMITS, total_seconds=30.0)
HASTY = replace(SETTINGS, limits=replace(LIMITS, seconds=0.3))


def processor_seconds(sandbox: Sandbox | None = None) -> float:
    """Of this process, of what it started that has ended, and of an open sandbox and all that has run in it."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    inside = 0
    if isinstance(sandbox, Pool):
        for worker in sandbox._workers:
            first = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()[0]
            fields = Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()
            inside += sum(map(int, fields[11:15]))
    return sum(each.ru_utime + each.ru_stime for each in spent) + inside / os.sysconf("SC_CLK_TCK")


def warm(workers: int, programs: int) -> tuple[list[float], float]:
    """Wall clock a program, from batches of 32, and processor seconds a program; opening is not counted."""
    sandbox = open_sandbox(SandboxSettings(workers=workers))
    spent = processor_seconds(sandbox)
    runs = [SandboxRun(program=RIGHT, calls=tuple(test.call for test in CALLS))] * 32
    taken = []
    for _ in range(max(1, programs // 32)):
        started = time.perf_counter()
        sandbox.run(runs, LIMITS)
        taken.append((time.perf_counter() - started) / 32)
    spent = (processor_seconds(sandbox) - spent) / (32 * len(taken))
    sandbox.close()
    return taken, spent


def single(programs: int) -> tuple[list[float], float]:
    """Whole verdicts, ladder and all, one at a time."""
    sandbox = open_sandbox(SandboxSettings())
    spent = processor_seconds(sandbox)
    taken = []
    for _ in range(programs):
        started = time.perf_counter()
        assert climb(RIGHT, CALLS, SETTINGS, sandbox).reward == 1.0
        taken.append(time.perf_counter() - started)
    spent = (processor_seconds(sandbox) - spent) / len(taken)
    sandbox.close()
    return taken, spent


def cold_sandbox(programs: int) -> tuple[list[float], float]:
    taken, spent = [], 0.0
    for _ in range(programs):
        started = time.perf_counter()
        sandbox = open_sandbox(SandboxSettings())
        assert climb(RIGHT, CALLS, SETTINGS, sandbox).reward == 1.0
        spent += processor_seconds(sandbox) - processor_seconds()
        sandbox.close()
        taken.append(time.perf_counter() - started)
    return taken, spent / len(taken)


def cold_python(programs: int) -> tuple[list[float], float]:
    text = RIGHT + "\nimport json\nprint(json.dumps([f([3, 1]), f([]), f([2, -7, 2])]))"
    taken, spent = [], processor_seconds()
    for _ in range(programs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, check=True)
        taken.append(time.perf_counter() - started)
    return taken, (processor_seconds() - spent) / len(taken)


def speed(workers: int, programs: int) -> None:
    ways: dict[str, Callable[[], tuple[list[float], float]]] = {
        f"warm pool, {workers} workers": lambda: warm(workers, programs),
        "warm pool, 1 worker": lambda: warm(1, programs // 2),
        "warm, one verdict at a time": lambda: single(programs // 2),
        "a fresh sandbox a program": lambda: cold_sandbox(max(5, programs // 100)),
        "a fresh Python a program, no walls": lambda: cold_python(max(5, programs // 40)),
    }
    print("| way | verdicts/s | processor ms a verdict | p50 ms | p99 ms | verdicts/s by round |")
    print("|---|---|---|---|---|---|")
    found: dict[str, list[tuple[float, float, list[float]]]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            taken, spent = way()
            found[name].append((1 / statistics.fmean(taken), 1e3 * spent, taken))
    for name, rounds in found.items():
        taken = sorted(each for _, _, row in rounds for each in row)
        rates = [rate for rate, _, _ in rounds]
        print(
            f"| {name} | {statistics.median(rates):,.0f} | {statistics.median(spent for _, spent, _ in rounds):.1f} "
            f"| {1e3 * taken[len(taken) // 2]:.2f} | {1e3 * taken[len(taken) * 99 // 100]:.2f} "
            f"| {', '.join(f'{rate:,.0f}' for rate in rates)} |"
        )


def header(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# (\w+): (.*)$", text, re.MULTILINE))


def judged(text: str, sandbox: Sandbox) -> tuple[str, list[str]]:
    """The cause that the ladder finds and those that the program's header allows."""
    told = header(text)
    allowed = told.get("Verdict", "ok" if text == RIGHT else "wrong_answer").split(" or ")
    settings = HASTY if "timeout" in allowed else SETTINGS
    tests = SCRIPT if told.get("Form") == "stdin" else CALLS
    return climb(text, tests, settings, sandbox).cause, allowed


def soak_worker(seed: int, programs: int, share: float, told: Any) -> None:
    draw = random.Random(seed)
    attacks = [(path.stem, path.read_text()) for path in sorted(ATTACKS.glob("*.py"))]
    attacks = [(name, text) for name, text in attacks if header(text).get("Form") != "asserts"]
    sandbox = open_sandbox(SandboxSettings())
    causes: Counter[str] = Counter()
    wrong: list[str] = []
    slowest, memory = 0.0, 0
    for number in range(programs):
        name, text = (
            draw.choice(attacks) if draw.random() < share else draw.choice([("right", RIGHT), ("wrong", WRONG)])
        )
        started = time.perf_counter()
        cause, allowed = judged(text, sandbox)
        slowest = max(slowest, time.perf_counter() - started)
        causes[cause] += 1
        if cause not in allowed:
            wrong.append(f"{name}: {cause}")
        if number == programs // 10:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    descriptors = len(os.listdir("/proc/self/fd"))
    sandbox.close()
    told.put({"causes": causes, "wrong": wrong, "slowest": slowest, "grown_kb": grown, "descriptors": descriptors})


def traces() -> dict[str, int]:
    """Counts in which a leak would show."""
    names = [path.read_text() for path in Path("/proc").glob("[0-9]*/comm") if path.exists()]
    return {
        "bwrap processes": sum(name.strip() == "bwrap" for name in names),
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "files in /dev/shm": len(os.listdir("/dev/shm")),
        "files in /tmp": len(os.listdir("/tmp")),
        "System V segments": len(Path("/proc/sysvipc/shm").read_text().splitlines()),
        "keys": len(Path("/proc/keys").read_text().splitlines()),
    }


def available() -> int:
    """Memory the kernel could give, in MB."""
    found = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())
    return int(found[1]) >> 10 if found else 0


def soak(workers: int, programs: int, share: float) -> None:
    before, memory, started = traces(), available(), time.perf_counter()
    told = multiprocessing.get_context("spawn").Queue()
    arguments = [(seed, programs // workers, share, told) for seed in range(workers)]
    processes = [multiprocessing.get_context("spawn").Process(target=soak_worker, args=each) for each in arguments]
    for process in processes:
        process.start()
    found = [told.get() for _ in processes]
    for process in processes:
        process.join()
    seconds = time.perf_counter() - started
    causes = sum((each["causes"] for each in found), Counter())
    summary = {
        "programs": sum(causes.values()),
        "attack share": share,
        "seconds": round(seconds, 1),
        "verdicts/s": round(sum(causes.values()) / seconds, 1),
        "wrong verdicts": sorted(name for each in found for name in each["wrong"]),
        "slowest verdict, s": round(max(each["slowest"] for each in found), 2),
        "judge's memory grown after the first tenth, KB": [each["grown_kb"] for each in found],
        "judge's open descriptors": [each["descriptors"] for each in found],
        "causes": dict(causes.most_common()),
        "before": before,
        "after": traces(),
        "memory available, MB": [memory, available()],
    }
    print(json.dumps(summary, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "soak"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--programs", type=int, default=0)
    parser.add_argument("--attacks", type=float, default=0.1)
    given = parser.parse_args()
    if given.what == "speed":
        speed(given.workers, given.programs or 2000)
    else:
        soak(given.workers, given.programs or 20000, given.attacks)


if __name__ == "__main__":
    main()
