from __future__ import annotations

import fcntl
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from r1kit.report.page import write_report
from r1kit.report.terminal import print_status, print_summary

WriteRun = Callable[..., Path]


def piped(show: Callable[[Console], None], encoding: str = "utf-8") -> str:
    """What a pipe of 80 columns gets."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="strict")
    show(Console(file=stream, width=80))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_summary_of_a_finished_run(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    report = write_report(path)
    text = piped(lambda console: print_summary(path, console))
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if str(report) not in line)
    assert "avg@16                 .111 [.09, .13]  .902 [.88, .92]   +.791" in text
    assert "response length                     31               67   ×2.16" in text
    assert "Accuracy on countdown" in text
    assert "Tokens in a response" in text
    assert "use 11 8 1 make 64" in text
    assert "base: wrong, 19 tokens" in text
    assert "R1-Zero: right, 71 tokens" in text
    assert text.rstrip().endswith(str(report))


def test_without_a_stage_evaluate_every_stage_that_evaluated_is_in_the_table(
    write_run: WriteRun, tmp_path: Path
) -> None:
    path = write_run(tmp_path / "run")
    recipe = path / "recipe.toml"
    recipe.write_text(
        recipe.read_text() + '[stages.teach]\nkind = "sft"\n[stages.more]\nkind = "r1_zero"\nstart = "teach"\n'
    )
    (row,) = [json.loads(line) for line in (path / "02_r1_zero" / "eval.jsonl").read_text().splitlines()][-1:]
    taught = row | {"split": "dev", "interval": None}
    for place, name, evals in (
        (3, "teach", [taught | {"step": 9, "avg_at_k": 0.5}]),
        (4, "more", [taught | {"step": 0, "avg_at_k": 0.25}, taught | {"step": 7, "avg_at_k": 0.75}]),
    ):
        (path / f"0{place}_{name}").mkdir()
        (path / f"0{place}_{name}" / "eval.jsonl").write_text("".join(json.dumps(one) + "\n" for one in evals))
    lines = piped(lambda console: print_summary(path, console)).splitlines()
    at = next(place for place, line in enumerate(lines) if line.startswith("avg@16, dev split"))
    assert lines[at].split()[3:] == ["base", "r1_zero", "teach", "more"]
    assert [cell.partition("±")[0] for cell in lines[at + 1].split()] == ["countdown", ".11", ".90", ".50", ".75"]


def test_a_verdict_without_two_evaluations_says_what_is_missing(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    log = path / "02_r1_zero" / "eval.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    last = max(row["step"] for row in rows)
    for kept, told in (
        ((), "not evaluated yet"),
        ((last,), "evaluated once"),
        ((last - 1, last), "not evaluated before"),
    ):
        log.write_text("".join(json.dumps({**rows[0], "step": step}) + "\n" for step in kept))
        text = " ".join(piped(lambda console: print_summary(path, console)).split())
        assert f"R1-Zero is done; {told}" in text
        assert "so there is no before and after." in text


def test_the_summary_of_a_run_that_has_barely_begun(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("[stages.pretrain]\nsteps = 10\n")
    assert "Nothing has run yet." in piped(lambda console: print_summary(tmp_path, console))


def test_a_completion_cannot_steer_the_terminal(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    log = path / "02_r1_zero" / "rollouts.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rows = [line | {"completion": "\x1b[2J[bold red]\r\x07" + line["completion"]} for line in lines]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = piped(lambda console: print_summary(path, console))
    assert not set(text) & {"\x1b", "\r", "\x07"}
    assert "[bold red]" in text  # shown, not obeyed


def test_a_pipe_that_takes_ascii_only_gets_ascii(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    text = piped(lambda console: print_summary(path, console), encoding="ascii")
    assert "majority .47 -> .97" in " ".join(text.split())
    assert "* avg@16" in text
    assert "avg@16 .111 -> .902" in piped(lambda console: print_status(path, console), encoding="ascii")


def test_the_status_of_a_run_that_is_running_stopped_or_done(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", steps=40, done=False)
    log = path / "02_r1_zero" / "metrics.jsonl"
    changed = log.stat().st_mtime
    for file in (path / "02_r1_zero").iterdir():
        os.utime(file, (changed, changed))
    live = piped(lambda console: print_status(path, console, now=changed + 5))
    assert "pretrain  done                     3 min 51 s" in live
    assert "r1_zero   running, step 40 of 110        83 s  2 min  avg@16 .111 → .774" in live
    assert "about 2 min left of the run" in live
    assert "\x1b" not in live
    quiet = piped(lambda console: print_status(path, console, now=changed + 600))
    assert "stopped at step 40 of 110" in quiet
    (path / "02_r1_zero.before-1").mkdir()
    done = piped(lambda console: print_status(write_run(path), console))
    assert "avg@16 .111 → .902" in done
    assert "kept in 02_r1_zero.before-1" in " ".join(done.split())


def test_a_run_that_was_killed_is_stopped_at_once_and_a_quiet_one_runs(write_run: WriteRun, tmp_path: Path) -> None:
    """The lock tells, whenever the logs moved last."""
    path = write_run(tmp_path / "run", steps=40, done=False)
    (path / ".lock").touch()
    late = (path / "02_r1_zero" / "metrics.jsonl").stat().st_mtime + 6000
    with (path / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "running, step 40" in piped(lambda console: print_status(path, console, now=late))
    assert "stopped at step 40" in piped(lambda console: print_status(path, console))


def test_damaged_lines_are_counted(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    assert "left out" not in piped(lambda console: print_status(path, console))
    with (path / "02_r1_zero" / "metrics.jsonl").open("a") as log:
        log.write("\x1b[31m{broken\n[]\n")
    with (path / "02_r1_zero" / "eval.jsonl").open("a") as log:
        log.write("null\n")
    found = piped(lambda console: print_status(path, console))
    assert "02_r1_zero/metrics.jsonl: 2 damaged lines left out" in found
    assert "02_r1_zero/eval.jsonl: 1 damaged line left out" in found


def test_stages_after_an_unfinished_one_wait(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('name = "x"\n[stages.pretrain]\nsteps = 10\n[stages.r1_zero]\nsteps = 5\n')
    (tmp_path / "01_pretrain").mkdir()
    (tmp_path / "01_pretrain" / "metrics.jsonl").write_text('{"step": 4, "loss": 2.5, "seconds": 3.0}\n')
    text = piped(lambda console: print_status(tmp_path, console))
    assert "pretrain  running, step 4 of 10" in text
    assert "r1_zero   waiting" in text
