"""The four trackers for real: a run sent in two sittings, its logs cut back between them, read back with the package's
own reader. ``tests/extras.sh`` runs each in an environment that has it; here it is passed over where it is missing."""

from __future__ import annotations

import importlib
import json
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun

pytestmark = [pytest.mark.tracker, pytest.mark.filterwarnings("default")]
ALL = [*range(1, 11)]


def needs(package: str) -> None:
    pytest.importorskip(package)


def sent_in_two_sittings(path: Path, name: str, monkeypatch: pytest.MonkeyPatch, **settings: str) -> MadeRun:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(path / "trackio"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = MadeRun(path / "run")
    made.steps(1, 7)
    assert f"sent to {name}" in sent(made, name, settings)
    made.cut_back(4)
    made.steps(5, 10)
    made.end()
    assert f"sent to {name}" in sent(made, name, settings)
    assert f"{name} was sent every line before" in sent(made, name, settings)
    return made


def sent(made: MadeRun, name: str, settings: dict[str, str]) -> str:
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    found = subprocess.run(
        [sys.executable, "-m", "r1kit", "track", str(made.path), "--to", name, *changes], capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("tensorboard")
    made = sent_in_two_sittings(tmp_path, "tensorboard", monkeypatch)
    reader = importlib.import_module("tensorboard.backend.event_processing.event_accumulator").EventAccumulator

    def read(series: str) -> Any:
        found = reader(str(made.path / "tensorboard" / series))
        found.Reload()
        return found

    steps = read("r1_zero")
    assert [event.step for event in steps.Scalars("accuracy")] == ALL
    assert [round(event.value, 4) for event in steps.Scalars("accuracy")] == [round(step / 20, 4) for step in ALL]
    assert [event.step for event in read("r1_zero/eval/sums/dev").Scalars("avg_at_k")] == [5, 10]
    (text, *_) = [event.tensor_proto.string_val[0].decode() for event in steps.Tensors("samples")]
    assert "1 + 1 &#124; 2?" in text
    assert "&lt;b>2&lt;/b>" in text
    assert "report.html" in read("report").Tensors("report")[0].tensor_proto.string_val[0].decode()


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("trackio")
    sent_in_two_sittings(tmp_path, "trackio", monkeypatch)
    script = (
        "import json, trackio; store = trackio.SQLiteStorage; (run,) = store.get_runs('made'); "
        "print('rows', json.dumps(store.get_logs('made', run), default=str))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    rows = json.loads(next(line for line in told.splitlines() if line.startswith("rows")).removeprefix("rows "))
    assert [row["r1_zero/step"] for row in rows if "r1_zero/accuracy" in row] == ALL
    assert [row["r1_zero/accuracy"] for row in rows if "r1_zero/accuracy" in row] == [step / 20 for step in ALL]
    looks = [row["r1_zero/eval/sums/dev/step"] for row in rows if "r1_zero/eval/sums/dev/avg_at_k" in row]
    assert looks == [5, 10]
    assert any("r1_zero/samples" in row for row in rows)
    assert list((tmp_path / "trackio").rglob("report.html"))


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("wandb")
    made = sent_in_two_sittings(tmp_path, "wandb", monkeypatch, mode="offline")
    files = sorted((made.path / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2, "a third sitting had nothing to send"
    assert len({file.stem.split("-")[-1] for file in files}) == 1, "one run"
    history = [row for file in files for row in wandb_history(file)]
    assert [row["r1_zero/step"] for row in history if "r1_zero/accuracy" in row] == ALL
    assert [row["r1_zero/accuracy"] for row in history if "r1_zero/accuracy" in row] == [step / 20 for step in ALL]
    looks = [row["r1_zero/eval/sums/dev/step"] for row in history if "r1_zero/eval/sums/dev/avg_at_k" in row]
    assert looks == [5, 10]
    assert any(key.startswith("r1_zero/samples") for row in history for key in row)


def wandb_history(file: Path) -> list[dict[str, Any]]:
    """What a run's file says of its steps, nested keys joined."""
    records = importlib.import_module("wandb.proto.wandb_internal_pb2")
    rows = []
    for data in leveldb_records(file.read_bytes()):
        record = records.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
    return rows


def leveldb_records(content: bytes) -> Iterator[bytes]:
    """wandb's file: 7 bytes, then LevelDB's log: blocks of 32 KiB, in them pieces (checksum 4, length 2, type 1: whole,
    first, middle, last)."""
    at, found = 7, b""
    while at + 7 <= len(content):
        if 0x8000 - at % 0x8000 < 7:
            at += 0x8000 - at % 0x8000
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        found += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield found
            found = b""


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("mlflow")
    pytest.importorskip("sqlalchemy")
    made = sent_in_two_sittings(tmp_path, "mlflow", monkeypatch)
    with sqlite3.connect(made.path / "mlflow.db") as store:
        (state, name) = store.execute("select status, name from runs").fetchall()[0]
        assert state == "FINISHED"
        assert name == "run"
        ask = "select step, value from metrics where key = ? order by step"
        assert store.execute(ask, ["r1_zero/accuracy"]).fetchall() == [(step, step / 20) for step in ALL]
        assert store.execute(ask, ["r1_zero/eval/sums/dev/avg_at_k"]).fetchall() == [(5, 0.125), (10, 0.25)]
    artefacts = {path.name for path in (made.path / "mlflow").rglob("*") if path.is_file()}
    assert artefacts >= {"report.html", "10.md"}
