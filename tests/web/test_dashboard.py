"""The dashboard's answers: the view models, bounded, of any run folder, damaged ones and wrong requests included."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report.chain_folder import write_chain
from report.conftest import MANIFEST, RECIPE, STEPS, write_pretrain, write_zero
from starlette.testclient import TestClient
from typer.testing import CliRunner

from r1kit.cli import app
from r1kit.errors import InputError
from r1kit.report.index.rollout_index import RolloutIndex
from r1kit.web.dashboard.routes import dashboard_app
from r1kit.web.dashboard.runs import open_runs
from r1kit.web.listen import rules_for

HOSTILE = "<think> \x1b[31m<script>alert(1)</script> \u202eevil \ud800 </think> <img src=x onerror=alert(1)>"


@pytest.fixture
def opened() -> Iterator[Callable[..., TestClient]]:
    """``opened(RUN, ...)`` -> a client whose server has indexed everything."""
    clients = []

    def start(*runs: Path) -> TestClient:
        for run in runs:
            index = RolloutIndex(run)
            index.catch_up()
            index.close()
        client = TestClient(dashboard_app(open_runs(runs), rules_for()), base_url="http://127.0.0.1:8601")
        clients.append(client)
        return client.__enter__()

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """R1-Zero, its rollouts those of the report's tests and one group of three that is known."""
    folder = tmp_path / "zero"
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    write_pretrain(folder / "01_pretrain")
    write_zero(folder / "02_r1_zero", STEPS, done=True)
    tokens = {"text": ["<think>", " a"], "logprob": [-0.25, None], "entropy": [0.5]}
    rows = [
        {"reward": 1.2, "advantage": 1.4, "parts": {"accuracy": 1.0, "my.py:brief": 0.5}, "per_token": tokens},
        {"reward": 0.0, "advantage": -0.7, "parts": {"accuracy": 0.0}, "status": "timeout", "cause": "rule took 5 s"},
        {"reward": 0.0, "advantage": -0.7, "parts": {}, "status": "ungradable"},
    ]
    log = folder / "02_r1_zero" / "rollouts.jsonl"
    with log.open("a", encoding="utf-8") as stream:
        for row in rows:
            known = {"step": 200, "kind": "train", "prompt_id": "known/train/1", "prompt": "q", "completion": HOSTILE}
            stream.write(json.dumps(known | {"tokens": 9} | row) + "\n")
    return folder


def asked(client: TestClient, path: str) -> Any:
    found = client.get(path)
    assert found.status_code == 200, found.text
    return found.json()


def refused(client: TestClient, path: str, status: int) -> str:
    found = client.get(path)
    assert found.status_code == status
    return str(found.json()["error"]["message"])


# ---- views ---------------------------------------------------------------------------------------------------------


def test_the_overview(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    found = asked(client, "/api/runs/0")
    assert [stage["state"] for stage in found["status"]["stages"]] == ["done", "done"]
    assert found["headline"] == "r1_zero"
    assert "lifted countdown avg@16 from .111 to .902" in found["verdict"]
    assert [node["feeds_on"] for node in found["lineage"]] == [[], ["pretrain"]]
    assert found["index"]["share"] == 1.0
    assert set(found["drawn"]) == {"pretrain", "r1_zero"}
    again = client.get("/api/runs/0", headers={"if-none-match": client.get("/api/runs/0").headers["etag"]})
    assert again.status_code in (200, 304)


def test_it_follows_a_run(opened: Callable[..., TestClient], run: Path) -> None:
    """A step more is there at the next look, which comes within a second."""
    client = opened(run)
    before = asked(client, "/api/runs/0")["drawn"]["r1_zero"]
    (run / "02_r1_zero" / "result.json").unlink()
    with (run / "02_r1_zero" / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 111, "reward": 0.5}\n')
    found = asked(client, "/api/runs/0")
    assert found["drawn"]["r1_zero"] != before
    assert found["status"]["stages"][1]["steps_done"] == 111
    figures = asked(client, "/api/runs/0/stage?name=r1_zero")["figures"]
    reward = next(one for one in figures if one["name"] == "reward")
    assert max(reward["figure"]["data"][-1]["x"]) == 111
    with (run / "02_r1_zero" / "rollouts.jsonl").open("a") as stream:
        stream.write('{"step": 111, "completion": "fresh"}\n')
    while not asked(client, "/api/runs/0/rollouts?text=fresh")["total"]:
        time.sleep(0.05)


def test_notes_and_times_left_come_later(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = open_runs([run])
    may_end = threading.Event()
    monkeypatch.setattr("r1kit.web.dashboard.runs.run_notes", lambda folder: may_end.wait() and ["a note"])
    assert one.view().status.notes == ()
    assert one._learning is not None
    may_end.set()
    one._learning.join()
    assert one.view().status.notes == ("a note",)
    one.index.close()


def test_every_metric_has_its_explanation(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    found = asked(client, "/api/runs/0/stage?name=r1_zero")
    assert [one["name"] for one in found["figures"][:2]] == ["accuracy_over_steps", "length_over_steps"]
    texts = {one["name"]: one["text"] for one in found["figures"]}
    assert len(texts) > 8
    assert [name for name, text in texts.items() if not text] == []
    large = asked(client, "/api/runs/0/stage?large&name=r1_zero")["figures"]
    assert large == found["figures"][:2]
    assert texts["entropy"].startswith("mean entropy of the policy's next-token distribution")
    assert texts["accuracy"].startswith("mean over the step's completions: 1 if the final answer")


def test_parts_of_a_stage_have_their_curves(opened: Callable[..., TestClient], run: Path) -> None:
    student = run / "03_distill" / "llama-s" / "rl"
    student.mkdir(parents=True)
    (student / "metrics.jsonl").write_text("".join(f'{{"step": {n}, "reward": {n}}}\n' for n in (1, 2, 3)))
    client = opened(run)
    assert "distill/llama-s/rl" in asked(client, "/api/runs/0")["drawn"]
    (figure,) = asked(client, "/api/runs/0/stage?name=distill/llama-s/rl")["figures"]
    assert (figure["name"], figure["figure"]["data"][0]["y"]) == ("reward", [1, 2, 3])
    assert "no stage" in refused(client, "/api/runs/0/stage?name=distill/../02_r1_zero", 400)


def test_runs_are_compared(opened: Callable[..., TestClient], run: Path, tmp_path: Path) -> None:
    other = tmp_path / "b" / "zero"
    shutil.copytree(run, other)
    recipe = other / "recipe.toml"
    recipe.write_text(f"kept_longer = true\n{recipe.read_text()}")
    client = opened(run, other)
    listed = asked(client, "/api/runs")
    names = [one["name"] for one in listed]
    assert names == [f"{tmp_path.name}/zero", "b/zero"]
    assert [one["differs"] for one in listed] == [{"kept_longer": "–"}, {"kept_longer": "true"}]
    figures = {one["name"]: one["figure"]["data"] for one in asked(client, "/api/compare?stage=r1_zero")}
    assert [line["name"] for line in figures["accuracy/countdown"]] == names
    assert [line["name"] for line in figures["reward"]] == names
    assert asked(client, "/api/compare?stage=nowhere") == []


def test_a_chain_has_its_table(opened: Callable[..., TestClient], tmp_path: Path) -> None:
    write_chain(tmp_path / "chain")
    found = asked(opened(tmp_path / "chain"), "/api/runs/0")
    assert found["tables"][0]["table"]["blocks"][0]["lines"][0]["cells"][1]["value"] == 0.906
    assert found["tables"][0]["claims"]


# ---- rollouts ------------------------------------------------------------------------------------------------------


def known(client: TestClient) -> list[dict[str, Any]]:
    found = asked(client, "/api/runs/0/rollouts?task=known&order=oldest")
    assert found["total"] == 3
    return list(found["rollouts"])


def test_one_rollout(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    found = asked(client, f"/api/runs/0/rollouts/{known(client)[0]['id']}")
    assert "\x1b" not in found["completion"]
    assert "␛[31m<script>alert(1)</script> ⟦RLO⟧evil" in found["completion"]  # text for textContent, nothing left out
    parts = {part["name"]: part for part in found["parts_explained"]}
    assert (parts["accuracy"]["value"], parts["my.py:brief"]["value"]) == (1.0, 0.5)
    assert "your own reward function" in parts["my.py:brief"]["text"]
    record = found["per_token"]
    assert (record["text"], record["logprob"]) == (["<think>", " a"], [-0.25, None])
    assert "entropy" not in record  # of another length than the tokens
    assert set(record["missing"]) == {"entropy", "gap"}
    plain = asked(client, f"/api/runs/0/rollouts/{known(client)[1]['id']}")
    assert set(plain["per_token"]["missing"]) == {"logprob", "entropy", "gap"}
    assert (plain["status"], plain["cause"]) == ("timeout", "rule took 5 s")


def test_its_group_and_its_steps(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    one = known(client)[1]["id"]
    group = asked(client, f"/api/runs/0/rollouts/{one}/group")
    assert [member["advantage"] for member in group] == [1.4, -0.7, -0.7]
    steps = asked(client, f"/api/runs/0/rollouts/{one}/steps")
    assert [(step["step"], step["n"], step["right_share"]) for step in steps] == [(200, 3, 0.5)]


def test_long_texts_are_cut(opened: Callable[..., TestClient], tmp_path: Path) -> None:
    folder = tmp_path / "run" / "01_r1_zero"
    folder.mkdir(parents=True)
    long = {"text": ["x"] * 50_000, "logprob": [-1.0] * 50_000}
    row = {"step": 1, "completion": "x" * 1_000_000, "prompt": "p" * 1_000_000, "per_token": long}
    (folder / "rollouts.jsonl").write_text(f"{json.dumps(row)}\n")
    client = opened(tmp_path / "run")
    listed, whole = client.get("/api/runs/0/rollouts"), client.get("/api/runs/0/rollouts/1")
    assert len(listed.content) < 3000
    assert len(whole.content) < 900_000
    assert whole.json()["completion"].endswith("[800,000 characters more]")
    assert whole.json()["per_token"]["left_out"] == 30_000
    assert len(client.get("/api/runs/0/rollouts/1/group").content) < 60_000


def test_a_log_that_was_written_anew_under_the_index(run: Path) -> None:
    """Until the index has followed (no thread does here), what it knows is shown and said to be all."""
    client = TestClient(dashboard_app(open_runs([run]), rules_for()), base_url="http://127.0.0.1:8601")
    index = RolloutIndex(run)
    index.catch_up()
    number = known(client)[0]["id"]
    (run / "02_r1_zero" / "rollouts.jsonl").write_text("")
    found = asked(client, f"/api/runs/0/rollouts/{number}")
    assert found["is_gone"] is True
    assert "<think>" in found["completion"]
    index.close()


def test_empty_parameters_ask_for_nothing(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    assert asked(client, "/api/runs/0/rollouts?order=&page=&upto=&task=") == asked(client, "/api/runs/0/rollouts")


# ---- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/runs/3", 404, "there is no run 3"),
        ("/api/runs/0/stage?name=../../etc", 400, "no stage '../../etc'"),
        ("/api/runs/0/rollouts/999999", 404, "there is no rollout 999999"),
        (f"/api/runs/0/rollouts/{10**30}", 404, "there is no rollout"),
        ("/api/runs/0/rollouts?page=-1", 400, "page must be a whole number"),
        ("/api/runs/0/rollouts?page=9999999999", 400, "page must be a whole number"),
        ("/api/runs/0/rollouts?page=" + "9" * 5000, 400, "page must be a whole number"),
        ("/api/runs/0/rollouts?order=reword", 400, "Did you mean 'reward'"),
        ("/api/runs/0/rollouts?tsak=x", 400, "Did you mean 'task'"),
        ("/api/runs/0/rollouts?step_from=x", 400, "step_from must be a number"),
        ("/report/9", 404, "there is no run 9"),
        ("/static/..%2f..%2fpyproject.toml", 404, ""),
    ],
)
def test_wrong_requests_get_one_line(
    opened: Callable[..., TestClient], run: Path, path: str, status: int, said: str
) -> None:
    assert said in refused(opened(run), path, status)


def test_a_run_with_next_to_nothing_in_it(opened: Callable[..., TestClient], tmp_path: Path) -> None:
    """A recipe of another version, a torn manifest, an empty stage folder, logs of damage alone."""
    (tmp_path / "recipe.toml").write_text(
        'name = "old"\nseed = "?"\n[stages.r1_zero]\nsetting_of_another_version = 3\n'
    )
    (tmp_path / "manifest.json").write_text('{"recipe": "old", "lin')
    (tmp_path / "01_pretrain").mkdir()
    stage = tmp_path / "02_r1_zero"
    stage.mkdir()
    for log in ("metrics", "eval", "rollouts"):
        (stage / f"{log}.jsonl").write_text('{"step": "x"}\n[]\n\0\0\n{"st')
    (stage / "aha.json").write_text('{"not": "a list"}')
    client = opened(tmp_path)
    found = asked(client, "/api/runs/0")
    assert found["index"]["damaged"] == 3
    assert found["status"]["skipped"]["02_r1_zero/metrics.jsonl"] == 3
    assert asked(client, "/api/runs/0/rollouts")["total"] == 0
    assert asked(client, "/api/runs/0/stage?name=r1_zero")["figures"] == []
    assert client.get("/report/0").status_code == 200
    assert asked(client, "/api/runs/0/facets")["steps"] == [None, None]


def test_a_run_that_goes_away_is_said(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    run.rename(run.with_name("elsewhere"))
    for path in ("", "/rollouts", "/facets", "/stage?name=r1_zero"):
        assert "is gone" in refused(client, f"/api/runs/0{path}", 400)


def test_a_folder_that_is_no_run_ends_with_2(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        open_runs([tmp_path])
    with pytest.raises(InputError, match="named twice"):
        open_runs([tmp_path, tmp_path])
    found = CliRunner().invoke(app, ["dashboard", str(tmp_path / "nowhere")])
    assert isinstance(found.exception, InputError)
    assert "no run folder at" in str(found.exception)


# ---- pages ---------------------------------------------------------------------------------------------------------


def test_without_script_the_reports_of_several_runs_can_be_chosen(
    opened: Callable[..., TestClient], run: Path, tmp_path: Path
) -> None:
    page = opened(run, Path(shutil.copytree(run, tmp_path / "other"))).get("/").text
    found = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert 'http-equiv="refresh"' not in found
    assert '<a href="/report/0">' in found
    assert '<a href="/report/1">other</a>' in found


def test_the_page_leads_to_the_report_where_there_is_no_script(opened: Callable[..., TestClient], run: Path) -> None:
    client = opened(run)
    page = client.get("/")
    assert '<noscript><meta http-equiv="refresh" content="0; url=/report/0">' in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]
    report = client.get("/report/0")
    assert "What it cost" in report.text or "R1-Zero" in report.text
    assert (
        "'unsafe-inline'" not in report.headers["content-security-policy"].partition("script-src")[2].partition(";")[0]
    )
    assert "sha256-" in report.headers["content-security-policy"]
