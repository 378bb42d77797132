"""``r1 eval`` of a model behind ``r1 serve``'s own app, against the same model opened here, and what it writes."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from typer.testing import CliRunner

from r1kit.backends.verifiers import open_verifier
from r1kit.cli import app
from r1kit.commands.serve import _opened, application
from r1kit.errors import InputError
from r1kit.evals.address import Address
from r1kit.evals.harness import _named
from r1kit.serving.writing import Tags
from r1kit.text.template import Template
from r1kit.web.listen import rules_for

GREEDY = ("--k", "2", "--temperature", "0", "--top-p", "1", "--max-tokens", "6")


@pytest.fixture(scope="module")
def served(run_folder: Path) -> Iterator[tuple[str, str]]:
    """(address, name) of the run's R1-Zero."""
    with serving(f"{run_folder}:r1_zero") as found:
        yield found


@contextmanager
def serving(name: str, max_tokens: int = 0) -> Iterator[tuple[str, str]]:
    """(address, name) of a model."""
    model = _opened(name, "", 8, 64, max_tokens, (0.6, 0.95), "exact", Tags())
    held = socket.create_server(("127.0.0.1", 0))
    rules = rules_for("127.0.0.1", token="secret", open_paths=("/v1/",), free_paths=("/health",), limit=4_000_000)
    server = uvicorn.Server(uvicorn.Config(application([model], rules), log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1", name
    finally:
        server.should_exit = True
        thread.join()
        held.close()


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rows") / "sums.jsonl"
    file.write_text("".join(f'{{"prompt": "use 1 2 {n} make 6", "answer": "{n}"}}\n' for n in range(1, 5)))
    return file


def evaluate(*arguments: object) -> str:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)], catch_exceptions=False).output


def samples(out: Path) -> list[dict[str, Any]]:
    (file,) = out.glob("*/samples_*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_served_model_answers_as_it_does_here(
    served: tuple[str, str], problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, name = served
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    here, there = tmp_path / "here", tmp_path / "there"
    evaluate(name, "--task", problems, *GREEDY, "--out", here, "--json", tmp_path / "here.json")
    said = evaluate(
        "--address", address, "--model", name, "--task", problems, *GREEDY, "--out", there, "--against",
        tmp_path / "here.json", "--json", tmp_path / "there.json",
    )  # fmt: skip
    one, two = samples(here), samples(there)
    assert [row["resps"] for row in one] == [row["resps"] for row in two]
    assert [row["doc_hash"] for row in one] == [row["doc_hash"] for row in two]
    assert "+0.000  [+0.000, +0.000], paired by problem (4)" in said
    line = json.loads((tmp_path / "there.json").read_text())
    assert line["against"]["difference"] == 0.0
    assert line["response_tokens"] == json.loads((tmp_path / "here.json").read_text())["response_tokens"]
    kept = (there / "answers.jsonl").read_text()
    assert len(kept.splitlines()) == 1 + 4 * 2
    again = evaluate("--address", address, "--model", name, "--task", problems, *GREEDY, "--out", there)
    assert "8 of 8 answers are there already" in again
    assert (there / "answers.jsonl").read_text() == kept


@pytest.mark.parametrize(
    ("own", "least", "most", "why"), [(0, 12, 12, "its own number"), (1024, 200, 254, "its context is 256 tokens")]
)
def test_a_length_that_nobody_names_is_the_servers(
    run_folder: Path, problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int, least: int, most: int,
    why: str,
) -> None:  # fmt: skip
    """The stage's own, or what the prompts leave of the model's positions."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with serving(f"{run_folder}:r1_zero", own) as (address, name):
        said = evaluate(
            "--address", address, "--model", name, "--task", problems, "--template", "plain", "--limit", 1, "--k", 1,
            "--json", tmp_path / "line.json",
        )  # fmt: skip
    found = json.loads((tmp_path / "line.json").read_text())["max_tokens"]
    assert least <= found <= most
    assert f"answers with at most {found} tokens ({why}" in said


def test_what_it_writes_is_lm_evaluation_harness_s_format(run_folder: Path, problems: Path, tmp_path: Path) -> None:
    """Keys and hashes as the harness has them; the standard error is that of four problems with one right: .25."""
    evaluate(f"{run_folder}:r1_zero", "--task", problems, *GREEDY, "--out", tmp_path)
    rows = samples(tmp_path)
    assert set(rows[0]) == {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash", "exact_match",
    }  # fmt: skip
    assert rows[2]["doc_id"] == 2
    assert rows[2]["arguments"]["gen_args_0"]["arg_0"] == "User: use 1 2 3 make 6 Assistant:"
    assert rows[2]["arguments"]["gen_args_0"]["arg_1"]["max_gen_toks"] == 6
    assert len(rows[2]["resps"][0]) == len(rows[2]["filtered_resps"]) == 2
    (file,) = tmp_path.glob("*/results_*.json")
    table = json.loads(file.read_text())
    result = table["results"]["sums"]
    assert result["exact_match,none"] == pytest.approx(sum(row["exact_match"] for row in rows) / 4)
    assert table["n-samples"]["sums"] == {"original": 4, "effective": 4}
    assert {"results", "configs", "versions", "n-shot", "higher_is_better", "config", "task_hashes"} <= set(table)


def test_the_file_to_compare_with_may_be_the_one_that_is_written(
    run_folder: Path, problems: Path, tmp_path: Path
) -> None:  # fmt: skip
    """What it held is compared with, not what was just put in its place; the other one had all right."""
    file = tmp_path / "last.json"
    command = (f"{run_folder}:r1_zero", "--task", problems, *GREEDY, "--json", file)
    evaluate(*command)
    own = json.loads(file.read_text())
    file.write_text(json.dumps({**own, "model": "the better one", "avg_at_k": 1.0, "per_problem": [1.0] * 4}))
    said = evaluate(*command, "--against", file)
    line = json.loads(file.read_text())
    assert line["against"]["model"] == "the better one"
    assert line["against"]["difference"] == own["avg_at_k"] - 1.0 < 0
    assert " - the better one: -" in said


def test_a_thinking_that_the_prompt_opens_is_put_back(
    served: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """As of a model that is opened here: its form is judged with the tag that the prompt wrote."""
    templates = Template(name="{question}"), Template(name="{question}", prefill="<think>"), Template(prefill="<think>")
    opened = [Address("http://h/v1", "m", template=template).opens for template in templates]
    assert opened == [False, True, False], "in a chat the server's template says"
    address, name = served
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    seen = []

    def opening(*given: Any, **named: Any) -> Any:
        seen.append(named.get("opens"))
        return open_verifier(*given, **named)

    monkeypatch.setattr("r1kit.backends.verifiers.open_verifier", opening)
    asked = ("--task", "countdown", *GREEDY, "--limit", 1, "--template", "{question} <think>")
    evaluate("--address", address, "--model", name, *asked)
    evaluate(name, *asked)
    assert seen == [True, True]


@pytest.mark.parametrize("model", [".", "..", "/a" * 200, "模" * 90, "org/model"])
def test_whatever_a_model_is_called_its_folder_can_be_made(model: str, tmp_path: Path) -> None:
    """Hours of answers are not lost for a name that is too long, and nothing is written beside ``--out``."""
    found = _named(model)
    (tmp_path / "out" / found).mkdir(parents=True)
    (tmp_path / "out" / f"samples_{found}_2026-01-01T00-00-00.000000.jsonl.new").touch()
    assert (tmp_path / "out" / found).resolve().parent == tmp_path / "out"
    assert _named(model + "x") != found


def test_two_models_in_one_command(run_folder: Path, problems: Path, tmp_path: Path) -> None:
    said = evaluate(
        f"{run_folder}:r1_zero", "--against", f"{run_folder}:pretrain", "--task", problems, *GREEDY, "--json",
        tmp_path / "a.json",
    )  # fmt: skip
    assert said.count("4 problems x 2") == 2
    line = json.loads((tmp_path / "a.json").read_text())
    assert line["against"]["model"].endswith(":pretrain")
    low, high = line["against"]["interval"]
    assert low <= line["against"]["difference"] == line["avg_at_k"] - line["against"]["avg_at_k"] <= high
    assert "note: answers of" not in said
    said = evaluate(
        f"{run_folder}:r1_zero", "--against", tmp_path / "a.json", "--task", problems, *GREEDY, "--answer-style",
        "last_number",
    )  # fmt: skip
    assert f":r1_zero are read by last_number and those of {run_folder}:r1_zero by tag, as their stages have it" in said
    with pytest.raises(InputError, match=r"was asked other problems \(sums, 4 of them\)"):
        evaluate(
            f"{run_folder}:r1_zero", "--against", tmp_path / "a.json", "--task", problems, "--limit", 2, *GREEDY,
            "--json", tmp_path / "b.json",
        )  # fmt: skip
    assert json.loads((tmp_path / "b.json").read_text())["problems"] == 2  # what was computed is kept


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name either a MODEL, or --address URL with --model NAME"),
        (("org/m", "--address", "http://h/v1", "--model", "m"), "name either a MODEL"),
        (("--address", "http://h/v1"), "with --model NAME"),
        (("--address", "http://h/v1", "--model", "m", "--dtype", "float32"), "--dtype are of a model that runs here"),
        (("org/m", "--paraphrases", "say \udcff {question}"), "--paraphrases is not UTF-8 text"),
        (("org/m", "--suffix", "\udcff"), "--suffix is not UTF-8 text"),
        (("--address", "h:80", "--model", "m"), "is no address; write http://HOST:PORT/v1"),
        (("org/m", "--against", "nothing.json"), "nothing.json: no such file; r1 eval --json FILE writes one"),
        (("org/m", "--against", "other.json"), "other.json: not what 'r1 eval --json' writes"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    line = {"asked": "x", "model": "m", "task": "t", "k": 2, "problems": 2, "avg_at_k": 0.5}
    (tmp_path / "other.json").write_text(json.dumps({**line, "per_problem": [1.0]}))  # of two problems
    with pytest.raises(InputError, match=said):
        evaluate(*arguments, "--task", "countdown")


def test_a_benchmark_brings_its_own_protocol(run_folder: Path) -> None:
    rows = Path(__file__).parents[1] / "tasks" / "benchmarks" / "livecodebench.jsonl"
    said = evaluate(f"{run_folder}:r1_zero", "--task", f"benchmark/{rows}", "--limit", 1, "--max-tokens", 4)
    assert "1 problems x 8, temperature 0.6, top-p 0.95, at most 4 tokens" in said
