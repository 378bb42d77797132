"""A sandbox somewhere else: a SandboxFusion server over HTTP. Optional; its walls are that server's.

A call's values come back in a file that the server fetches, in the same plain format as from any other sandbox, so they
are candidate values here too. Time is what the server says, and includes starting Python.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from r1kit.errors import InputError, MissingError, R1Error
from r1kit.sandbox.outcome import Ended, read_outcome
from r1kit.sandbox.protocol import Limits, Outcome, Run
from r1kit.sandbox.runner import ITSELF, OUTPUT, TIMEOUT
from r1kit.sandbox.worker import program_source

__all__ = ["FusionSandbox"]

RESULTS = "r1-results.jsonl"
START_SECONDS = 2.0
"""Added to a run's deadline for starting Python there."""
NETWORK_SECONDS = 30.0
"""What the answer may take beyond that."""
DRIVER = """
import json, os
exec(%(source)r, {})
import sys
names = vars(sys.modules["r1kit.sandbox.program"])
os.dup2(os.open(%(results)r, os.O_CREAT | os.O_TRUNC | os.O_WRONLY), names["RESULT_FD"])
job = json.loads(%(job)r)
status = 1
try:
    status = names["run"](job["program"], job["calls"], job["script"], names["Results"](job["budget"]))
finally:
    os._exit(status)
"""


class FusionSandbox:
    """Programs run on a SandboxFusion server, ``workers`` requests at a time.

    Args:
        url: the server's address.
        workers: requests side by side.

    Raises:
        MissingError: no such server answers.
    """

    name = "fusion"

    def __init__(self, url: str, workers: int = 1) -> None:
        self._url = url.rstrip("/")
        self._threads = ThreadPoolExecutor(workers)
        found = self._ask(Run(program="", calls=("40 + 2",)), Limits())
        if found.end != "ok":
            self.close()
            raise MissingError(f"the SandboxFusion server at {url} cannot run Python: {found.detail}")

    def run(self, runs: Sequence[Run], limits: Limits) -> list[Outcome]:
        """See ``Sandbox.run``. Raises InputError for tests that need a process beside the program's, which is no wall
        there."""
        if any(run.tests for run in runs):
            raise InputError(
                "sandbox 'fusion' cannot run tests that are more than calls with a value to expect; set sandbox kind = "
                '"bubblewrap" or "docker"'
            )
        return list(self._threads.map(lambda run: self._ask(run, limits), runs))

    def close(self) -> None:
        """See ``Sandbox.close``."""
        self._threads.shutdown()

    def _ask(self, run: Run, limits: Limits) -> Outcome:
        patience = limits.seconds + START_SECONDS
        request = {
            "code": _driver(run, limits),
            "language": "python",
            "stdin": run.stdin or "",
            "run_timeout": patience,
            "memory_limit_MB": max(1, limits.memory_bytes >> 20),
            "fetch_files": [RESULTS],
        }
        answer = self._post(request, patience + NETWORK_SECONDS, 4 * (limits.output_bytes + limits.value_bytes) + 65536)
        return _outcome(answer, run, limits)

    def _post(self, content: dict[str, Any], patience: float, most: int) -> dict[str, Any]:
        body = json.dumps(content).encode()
        request = urllib.request.Request(f"{self._url}/run_code", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=patience) as answer:
                found = json.loads(answer.read(most))
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise MissingError(
                f"no SandboxFusion server answers at {self._url} ({error}); start it, or set url"
            ) from error
        except ValueError as error:
            raise R1Error(f"the server at {self._url} does not answer as SandboxFusion does") from error
        if not isinstance(found, dict) or not isinstance(found.get("run_result"), dict):
            said = str(found.get("message", "") if isinstance(found, dict) else "")[:200]
            raise R1Error(
                f"the SandboxFusion server at {self._url} failed: {' '.join(said.split()) or 'no run_result'}"
            )
        return found


def _driver(run: Run, limits: Limits) -> str:
    """The script that the server runs: our own code around the program."""
    job = {"program": run.program, "calls": run.calls, "script": run.stdin is not None, "budget": limits.value_bytes}
    return DRIVER % {"source": program_source(), "results": RESULTS, "job": json.dumps(job)}


def _outcome(answer: dict[str, Any], run: Run, limits: Limits) -> Outcome:
    result = answer["run_result"]
    stdout = str(result.get("stdout") or "").encode("utf-8", "replace")
    files = answer.get("files")
    try:
        results = base64.b64decode(files[RESULTS] if isinstance(files, dict) else "")
    except (KeyError, TypeError, ValueError):
        results = b""
    reason = ITSELF
    if result.get("status") == "TimeLimitExceeded":
        reason = TIMEOUT
    elif len(stdout) > limits.output_bytes:
        reason = OUTPUT
    code = result.get("return_code")
    status = (code & 255) << 8 if isinstance(code, int) and code >= 0 else -code if isinstance(code, int) else 0
    seconds = result.get("execution_time")
    taken = float(seconds) if isinstance(seconds, (int, float)) else 0.0
    ended = Ended(status=status, reason=reason, cpu_seconds=taken, seconds=taken)
    return read_outcome(run, limits, ended, stdout[: limits.output_bytes], results[: limits.value_bytes])
