"""The command that starts a vLLM server: what vLLM is told, and that nothing outlives it. vLLM need not be here."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from r1kit.vllm import serve as vllm_serve

LISTED = """
from importlib.metadata import entry_points
print(*sorted(entry.value for entry in entry_points(group="vllm.general_plugins") if entry.load()))
"""
FOLLOWS = """
import sys, time
from r1kit.vllm.serve import follow
follow()
print("follows", flush=True)
time.sleep(60)
"""


def test_vllm_is_told_what_a_run_needs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"dtype": "float32"}))
    found = vllm_serve.arguments(str(tmp_path), "0.0.0.0", 8001, ["--max-num-seqs", "8"])
    told = dict(itertools.pairwise(found))
    assert (told["--model"], told["--host"], told["--port"]) == (str(tmp_path), "0.0.0.0", "8001")
    assert (told["--logprobs-mode"], told["--dtype"]) == ("processed_logprobs", "float32")
    assert json.loads(told["--weight-transfer-config"]) == {"backend": "r1kit"}
    assert "--enable-scale-out" in found
    assert found[-2:] == ["--max-num-seqs", "8"]
    assert "--dtype" not in vllm_serve.arguments("org/model", "h", 1)


def test_plug_ins_are_found_also_where_r1kit_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """``PYTHONPATH`` is enough: vLLM's processes see our entry points."""
    monkeypatch.setattr(vllm_serve, "entry_points", lambda group: [])
    environment = vllm_serve.environment({"PATH": os.environ["PATH"], "PYTHONPATH": "/before"})
    assert environment["PYTHONPATH"].endswith(f"{os.pathsep}/before")
    assert environment["VLLM_SERVER_DEV_MODE"] == "1"
    done = subprocess.run([sys.executable, "-c", LISTED], env=environment, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) >= set(vllm_serve.PLUGINS.values())


def test_a_process_of_the_server_ends_with_it() -> None:
    server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    environment = {**os.environ, vllm_serve.SERVER: str(server.pid)}
    worker = subprocess.Popen([sys.executable, "-c", FOLLOWS], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "follows\n"
        server.send_signal(signal.SIGKILL)
        server.wait()
        assert worker.wait(30) == 1
    finally:
        for process in (server, worker):
            process.kill()
            process.communicate()
