"""The other sandboxes: docker by a stand-in for its client, SandboxFusion by a stand-in for its server; cgroups."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from r1kit.errors import InputError, MissingError
from r1kit.sandbox import CallTest, LadderSettings, Limits, SandboxSettings, StdinTest, cgroup, climb, open_sandbox

TESTS = [CallTest("f([3, 1])", [42, 1, 3]), CallTest("f([])", [42])]
RIGHT = "def f(x):\n    return [42] + sorted(x)\n"
WHOLE = LadderSettings(extract="whole", limits=Limits(seconds=60.0), total_seconds=60.0)

CLIENT = """#!/bin/sh
echo "$@" >> {log}
[ "$1" = run ] || exit 0
while [ "$1" != python:3.11-slim ]; do shift; done
shift
exec {bwrap} --unshare-all --as-pid-1 --die-with-parent --ro-bind / / --dev /dev --tmpfs /tmp -- {python} "$@"
"""


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="the stand-in for a container is bubblewrap")
def test_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client, log = tmp_path / "docker", tmp_path / "log"
    python = os.path.realpath(sys.executable)
    client.write_text(CLIENT.format(log=log, bwrap=shutil.which("bwrap"), python=python))
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox = open_sandbox(SandboxSettings(kind="docker"))
    try:
        assert climb(RIGHT, TESTS, WHOLE, sandbox).cause == "ok"
        assert climb("import os\nos.fork()", TESTS, WHOLE, sandbox).cause == "error"
        assert climb(RIGHT, TESTS, WHOLE, sandbox).cause == "ok"
    finally:
        sandbox.close()
    started, *_, removed = log.read_text().splitlines()
    for wall in ("--network none", "--read-only", "--cap-drop ALL", "no-new-privileges", "--pull never", "--ipc none"):
        assert wall in started
    name = started.split("--name ")[1].split()[0]
    assert removed == f"rm --force {name}"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "start it: sudo systemctl start docker",
        ),
        ("docker: Error response from daemon: No such image: python:3.11-slim", "docker pull python"),
        ("Unable to find image 'python:3.11-slim' locally", "docker pull python:3.11-slim"),
    ],
)
def test_docker_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: str) -> None:
    client = tmp_path / "docker"
    client.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 125\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(MissingError, match=error):
        open_sandbox(SandboxSettings(kind="docker"))


class Server(BaseHTTPRequestHandler):
    """What SandboxFusion does for Python, without its walls."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert (self.path, asked["language"]) == ("/run_code", "python")
        folder = Path(self.server.folder) / str(threading.get_ident())  # type: ignore[attr-defined]
        folder.mkdir(exist_ok=True)
        result: dict[str, object] = {"execution_time": 0.1, "stderr": ""}
        try:
            done = subprocess.run(
                [sys.executable, "-c", asked["code"]], input=asked["stdin"], capture_output=True, text=True, cwd=folder,
                timeout=asked["run_timeout"],
            )  # fmt: skip
            result |= {"status": "Finished", "return_code": done.returncode, "stdout": done.stdout}
        except subprocess.TimeoutExpired:
            result |= {"status": "TimeLimitExceeded", "return_code": None, "stdout": ""}
        files = {
            name: base64.b64encode((folder / name).read_bytes()).decode()
            for name in asked["fetch_files"]
            if (folder / name).exists()
        }
        body = json.dumps({"status": "Success", "message": "", "run_result": result, "files": files}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.folder = tmp_path  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_fusion(url: str) -> None:
    sandbox = open_sandbox(SandboxSettings(kind="fusion", url=url, workers=2))
    try:
        assert climb(RIGHT, TESTS, WHOLE, sandbox).cause == "ok"
        assert climb("def f(x):\n    return x", TESTS, WHOLE, sandbox).cause == "wrong_answer"
        assert climb("x = = 1", TESTS, WHOLE, sandbox).cause == "not_python"
        assert climb("import os\nos._exit(0)", TESTS, WHOLE, sandbox).cause == "error"
        script = [StdinTest("3 1\n", "42 1 3\n"), StdinTest("1\n", "42 1\n")]
        program = "print(42, *sorted(map(int, input().split())))"
        assert climb(program, script, WHOLE, sandbox).rungs.passed == 2
        hasty = LadderSettings(extract="whole", limits=Limits(seconds=0.1))
        assert climb("while True: pass", TESTS, hasty, sandbox).cause == "timeout"
    finally:
        sandbox.close()


def test_fusion_missing() -> None:
    with pytest.raises(MissingError, match="no SandboxFusion server answers"):
        open_sandbox(SandboxSettings(kind="fusion", url="http://127.0.0.1:9"))
    with pytest.raises(InputError, match="needs url"):
        SandboxSettings(kind="fusion")
    with pytest.raises(InputError, match="Did you mean 'docker'"):
        SandboxSettings(kind="dockr")  # type: ignore[arg-type]


def test_cgroup_beside_its_own_where_its_parent_hands_limits_down(tmp_path: Path) -> None:
    own, parent = tmp_path / "own", tmp_path / "mount" / "user"
    (parent / "session").mkdir(parents=True)
    own.write_text("0::/user/session\n")
    (parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (parent / "session" / "cgroup.subtree_control").write_text("\n")
    group = cgroup.create(tmp_path / "mount", own)
    assert group is not None
    assert group.parent == parent
    assert (group / "memory.max").read_text() == str(cgroup.MEMORY_BYTES)
    assert (group / "pids.max").read_text() == str(cgroup.PROCESSES)


def test_no_cgroup_where_none_may_be_made(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("1:name=systemd:/x\n0::/\n")
    (tmp_path / "mount").mkdir()
    assert cgroup.create(tmp_path / "mount", own) is None
    (tmp_path / "mount" / "cgroup.subtree_control").write_text("cpu\n")
    assert cgroup.create(tmp_path / "mount", own) is None
    assert cgroup.create(tmp_path / "mount", tmp_path / "none") is None
