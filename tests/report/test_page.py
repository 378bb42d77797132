from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from r1kit.errors import InputError
from r1kit.report.draw.sections import plotly_script
from r1kit.report.page import write_report

WriteRun = Callable[..., Path]
EVIL = "</script></pre><script>alert(1)</script><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """Tags and attributes that a browser would see; scripts and styles are text to it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def body_of(path: Path) -> str:
    """The page without plotly's own source."""
    text = path.read_text(encoding="utf-8")
    assert text.count(plotly_script()) == 1
    return text.replace(plotly_script(), "")


def headings(text: str) -> list[str]:
    return re.findall(r"<h2>(.*?)</h2>", text)


def test_sections_come_in_the_order_a_reader_wants(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_report(write_run(tmp_path / "run"))
    assert path == tmp_path / "run" / "report.html"
    text = body_of(path)
    assert headings(text) == [
        "Before and after",
        "Accuracy over steps",
        "Response length",
        "What the chains do",
        "Samples",
        "Aha candidates",
        "Training health",
        "Pretraining and the base gate",
        "Lineage",
        "Settings",
        "Versions and hardware",
    ]
    assert "R1-Zero lifted countdown avg@16 from .111 to .902 [.88, .92]" in text
    assert [name for name in (tmp_path / "run").iterdir() if name.name.startswith(".report")] == []


def test_every_figure_has_a_caption_and_parses(write_run: WriteRun, tmp_path: Path) -> None:
    text = body_of(write_report(write_run(tmp_path / "run")))
    drawn = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert len(drawn) >= 12
    assert all(json.loads(figure)["data"] for figure in drawn)
    assert text.count("<figure>") == text.count("<figcaption>")


def test_nothing_is_fetched(write_run: WriteRun, tmp_path: Path) -> None:
    text = body_of(write_report(write_run(tmp_path / "run")))
    assert not re.search(r"(?:src|href|url|@import)\s*[=(]?\s*[\"']?(?:https?:)?//", text)
    tags = Tags(text).found
    assert all(tag not in ("link", "img", "iframe", "object", "embed", "base") for tag, _ in tags)
    assert all("src" not in attributes for _, attributes in tags)
    policy = next(a["content"] for tag, a in tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy


def test_text_of_a_run_cannot_become_markup(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    zero = path / "02_r1_zero"
    clean = Tags(body_of(write_report(path))).found
    for file in (zero / "rollouts.jsonl", zero / "eval.jsonl", path / "01_pretrain" / "gate.json", zero / "aha.json"):
        text = file.read_text(encoding="utf-8")
        for word in ("countdown", "try 11", "wait", "use 11", "only 55%", "terse", "distinct"):
            text = text.replace(word, json.dumps(EVIL)[1:-1] + word)
        file.write_text(text, encoding="utf-8")
    manifest = json.loads((path / "manifest.json").read_text())
    manifest |= {"recipe": EVIL, "created": EVIL, "versions": {EVIL: EVIL}}
    manifest["lineage"]["pretrain"]["inputs"] = [EVIL]
    (path / "manifest.json").write_text(json.dumps(manifest))
    (path / "recipe.toml").write_text((path / "recipe.toml").read_text() + f"# {EVIL}\n")
    text = body_of(write_report(path))
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    kinds = {tag for tag, _ in clean}
    found = Tags(text).found
    assert {tag for tag, _ in found} <= kinds
    assert sum(tag == "script" for tag, _ in found) == sum(tag == "script" for tag, _ in clean)
    assert not any(name.startswith("on") for _, attributes in found for name in attributes)


def test_what_steers_a_display_is_spelled_out(write_run: WriteRun, tmp_path: Path) -> None:
    """Terminal codes, and marks that turn the direction of a line so that it reads otherwise than it is."""
    path = write_run(tmp_path / "run")
    log = path / "02_r1_zero" / "rollouts.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for row in rows:
        row["completion"] = "\x1b[31mred\x07 \u202egnirts\u202c \u2066x\u2069" + row["completion"]
        row["prompt"] = "ask\u200f\x00"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = body_of(write_report(path))
    assert not set(text) & {"\x1b", "\x07", "\x00", "\u202e", "\u202c", "\u2066", "\u2069", "\u200f"}
    assert "\\x1b[31mred\\x07 \\u202egnirts\\u202c" in text
    assert "ask\\u200f\\x00" in text


def test_damaged_lines_are_told(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    with (path / "02_r1_zero" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 111, "rew')
    assert "02_r1_zero/metrics.jsonl: 1 damaged line left out" in body_of(write_report(path))


def test_a_half_finished_run_has_a_report(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", steps=40, done=False)
    with (path / "02_r1_zero" / "eval.jsonl").open("a") as log:
        log.write('{"step": 50, "task": "countd')
    text = body_of(write_report(path))
    assert "R1-Zero, so far (step 40 of 110)" in text
    assert "unfinished" in text


@pytest.mark.parametrize("files", [["manifest.json"], ["recipe.toml"], ["01_pretrain"], ["02_r1_zero"], []])
def test_any_file_may_be_missing(write_run: WriteRun, tmp_path: Path, files: list[str]) -> None:
    path = write_run(tmp_path / "run")
    for name in files:
        target = path / name
        target.rename(tmp_path / name)
    for log in path.rglob("*.jsonl"):
        log.write_text("")
    assert "<h1>" in body_of(write_report(path))


def test_rows_with_nothing_but_a_step_still_make_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "01_r1_zero"
    folder.mkdir()
    for name in ("metrics", "eval", "rollouts"):
        (folder / f"{name}.jsonl").write_text('{"step": 0}\n{"step": 1}\n')
    assert "R1-Zero" in body_of(write_report(tmp_path))


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_tasks_get_a_table_and_a_line_each(write_run: WriteRun, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    log = path / "02_r1_zero" / "eval.jsonl"
    log.write_text(log.read_text() + log.read_text().replace('"countdown"', '"chain_sum"'))
    text = body_of(write_report(path))
    assert "<h3>countdown</h3>" in text
    assert "<h3>chain_sum</h3>" in text
    assert "chain_sum avg@16" in text


def test_the_page_can_be_sent_on(write_run: WriteRun, tmp_path: Path) -> None:
    """One file under 2 MB, of which plotly's basic bundle is the most; on paper it is light, and logs stay away."""
    path = write_report(write_run(tmp_path / "run"))
    assert path.stat().st_size < 2_000_000
    assert len(plotly_script().encode()) < 1_300_000
    assert "</script" not in plotly_script()
    text = body_of(path)
    assert "@media print" in text
    assert '<details class="log"><summary>The resolved recipe' in text
    assert "beforeprint" in text


def test_a_full_disk_is_told_with_the_name_of_the_report(
    write_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run")

    def full(path: Path, text: str, **more: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_report(run)
    assert raised.value.filename == str(run / "report.html")
