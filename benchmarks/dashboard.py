"""``r1 dashboard`` on a run of many rollouts whose index is not yet there: how soon the page shows, memory, answers.

    OMP_NUM_THREADS=1 python benchmarks/dashboard.py [--rollouts 100000] [--run DIR] [--follow]

With ``--follow`` (Playwright and Chromium) instead: seconds from a line of ``metrics.jsonl`` to the page that shows it.

The run is made up: an RL stage with that many lines in ``rollouts.jsonl``, groups of 16, completions of 60 to 6,000
characters. The server is a process of its own, started as a user starts it. Seconds are wall time from the start of the
command, and the server's own of the processor, which other jobs do not lengthen; memory is the largest resident set
that the kernel noted of the process (VmHWM).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ASKED = {
    "newest": "",
    "a page in the middle": "page=1000&order=oldest",
    "right, by length": "right=yes&order=longest",
    "a part's value": "part=language&part_from=0.2&part_to=0.4",
    "three common words": "text=low+12+*",
    "a rare word": "text=eureka",
    "stage, steps, wrong, words": "stage=r1_zero&step_from=1000&step_to=2000&right=no&text=12+*+5",
}
GROUP = 16


def write_run(folder: Path, rollouts: int) -> None:
    """``rollouts`` lines of one RL stage, four groups a step."""
    rng = random.Random(7)
    stage = folder / "02_r1_zero"
    stage.mkdir(parents=True)
    (folder / "recipe.toml").write_text(f'name = "many"\n[stages.r1_zero]\nsteps = {rollouts // (4 * GROUP)}\n')
    words = ["try", "low", "high", "wait", "so", "试", "等等", "no", "check"]
    steps = -(-rollouts // (4 * GROUP))
    with (stage / "rollouts.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(rollouts):
            step, prompt = number // (4 * GROUP) + 1, number // GROUP % 400
            length = int(60 * 10 ** (2 * rng.random() ** 3))
            text = "<think>"
            while len(text) < length:
                a, b = rng.randrange(1, 13), rng.randrange(1, 13)
                text += f" {rng.choice(words)} {a} * {b} = {a * b}"
            text += (" eureka" if number % 9973 == 0 else "") + " </think> <answer> 12 * 5 </answer>"
            right = float(rng.random() < step / steps)
            row = {
                "step": step, "kind": "train", "prompt_id": f"countdown/train/{prompt}",
                "prompt": f"use 1 {prompt} make 60",
                "completion": text, "tokens": len(text) // 3, "finish": "stop", "reward": right + 0.2,
                "parts": {"accuracy": right, "format": 1.0, "language": round(rng.random(), 6)}, "answer": "60",
                "status": "ok", "version": step - 1, "advantage": rng.gauss(0, 1),
            }  # fmt: skip
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    with (stage / "metrics.jsonl").open("w", encoding="utf-8") as stream:
        for step in range(1, steps + 1):
            accuracy = step / steps
            stream.write(
                json.dumps({"step": step, "seconds": 2.0 * step, "reward": accuracy, "response_tokens": 60}) + "\n"
            )


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body = answer.read()
    return json.loads(body) if answer.headers["content-type"].startswith("application/json") else body


def timed(url: str) -> float:
    began = time.perf_counter()
    get(url)
    return time.perf_counter() - began


def peak(process: int) -> float:
    """Megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1000


def processor(process: int) -> float:
    """Seconds of the processor, all threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def follow(run: Path, steps: int = 20) -> None:
    """The run goes on: its lines are written here, one at a time, and looked for on the page."""
    from playwright.sync_api import sync_playwright

    log = run / "02_r1_zero" / "metrics.jsonl"
    first = len(log.read_text().splitlines()) + 1
    command = [sys.executable, "-m", "r1kit", "dashboard", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(re.findall(r"http://\S+", server.stdout.readline())[0])
        page.wait_for_selector(".of-figures .main-svg")
        heads, curves = [], []
        for step in range(first, first + steps):
            row = {
                "step": step,
                "seconds": 2.0 * step,
                "reward": 1.0,
                "accuracy": 1.0,
                "response_tokens": 60.0 + step % 2,
            }
            with log.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            began = time.perf_counter()
            page.wait_for_selector(f"#head:has-text('step {step:,}')")
            heads.append(time.perf_counter() - began)
            drawn = f"(one) => one.data?.some((line) => line.x?.includes({step}))"
            while not page.evaluate(f"[...document.querySelectorAll('.canvas')].some({drawn})"):
                page.wait_for_timeout(10)
            curves.append(time.perf_counter() - began)
            page.wait_for_timeout(300)
        for what, each in (("where the run stands", heads), ("its curve", curves)):
            print(f"{what}: median {statistics.median(each):.2f} s, slowest {max(each):.2f} s")
        browser.close()
        server.terminate()


def measure(run: Path) -> None:
    began = time.perf_counter()
    command = [sys.executable, "-m", "r1kit", "dashboard", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        try:
            assert server.stdout is not None
            address = re.findall(r"http://[^/\s]+", server.stdout.readline())[0]
            told: dict[str, tuple[float, float]] = {}

            def note(what: str) -> None:
                told[what] = time.perf_counter() - began, processor(server.pid)

            note("the address is printed")
            get(f"{address}/")
            get(f"{address}/api/runs/0")
            note("the overview is there")
            get(f"{address}/api/runs/0/stage?name=r1_zero")
            note("and its curves")
            while not get(f"{address}/api/runs/0/rollouts")["total"]:
                time.sleep(0.01)
            note("the first rollouts are listed")
            during = []
            while (now := get(f"{address}/api/runs/0")["index"])["share"] < 1:
                during += [timed(f"{address}/api/runs/0/rollouts"), timed(f"{address}/api/runs/0")]
                time.sleep(0.5)
            note("everything is indexed")
            for what, (wall, cpu) in told.items():
                print(f"{what}: {wall:.2f} s, {cpu:.2f} s of the processor")
            if during:
                middle, slowest = 1000 * statistics.median(during), 1000 * max(during)
                print(f"answers meanwhile: median {middle:.0f} ms, slowest {slowest:.0f} ms")
            print(f"rollouts {now['rollouts']:,}; memory while indexing: {peak(server.pid):.0f} MB")
            for name, query in ASKED.items():
                found = get(f"{address}/api/runs/0/rollouts?{query}")
                each = [timed(f"{address}/api/runs/0/rollouts?{query}") for _ in range(5)]
                print(f"{name}: {found['total']:,} found, {1000 * statistics.median(each):.0f} ms")
            one = found["rollouts"][0]["id"]
            for what in ("", "/group", "/steps"):
                each = [timed(f"{address}/api/runs/0/rollouts/{one}{what}") for _ in range(5)]
                print(f"one rollout{what}: {1000 * statistics.median(each):.0f} ms")
            print(f"facets: {1000 * timed(f'{address}/api/runs/0/facets'):.0f} ms")
            print(f"memory in the end: {peak(server.pid):.0f} MB")
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--run", type=Path, help="a run that is there already")
    parser.add_argument("--follow", action="store_true", help="how soon a step is on the page")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = asked.run or Path(folder) / "many"
        if asked.run is None:
            write_run(run, asked.rollouts)
        log = run / "02_r1_zero" / "rollouts.jsonl"
        if asked.follow:
            follow(run)
            return
        print(f"{run}: rollouts.jsonl {log.stat().st_size / 1e6:.0f} MB")
        measure(run)
        size = sum(file.stat().st_size for file in (run / ".index").iterdir())
        print(f"index: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
