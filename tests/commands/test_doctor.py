from __future__ import annotations

import json
import shutil
from pathlib import Path

from typer.testing import CliRunner

from r1kit.cli import app


def test_the_report_and_its_file_agree(tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    said = CliRunner().invoke(app, ["doctor", "--json", str(file)], catch_exceptions=False).output
    found = json.loads(file.read_text())
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert found["torch"]["version"] in said
    assert found["engines"]["local"] == "ready"
    if shutil.which("bwrap"):
        assert found["sandbox"]["state"] == "ready"
        assert found["sandbox"]["walls"]["network"] is True
    assert f"sandbox  {found['sandbox']['state']}" in said
    assert {"gguf", "dev"} <= set(found["extras"])
    for name, entry in found["extras"].items():
        assert f"extra    {name}: " in said
        assert ("brings" in entry) == bool(entry["missing"])
        assert all(missing.split(">")[0] in entry["brings"] for missing in entry["missing"])
