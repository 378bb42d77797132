"""The dashboard in a real browser: a person looks at a run, finds samples, reads them, watches the run go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)><script>document.title='taken'</script> \x1b[31m \u202e"
KNOWN = "<think> seven eight fifty-six wait </think> <answer> 7 * 8 </answer>"
VIEWS = {"overview": "#/0/overview", "metrics": "#/0/metrics?stage=r1_zero", "samples": "#/0/samples?stage=r1_zero"}


def until(page: Any, script: str) -> None:
    """Wait for an expression to hold; the page's policy lets none be evaluated inside."""
    for _ in range(600):
        if page.evaluate(script):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never so: {script}")


def add(run: Path, log: str, *rows: dict[str, Any]) -> None:
    with (run / "02_r1_zero" / f"{log}.jsonl").open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def add_known(run: Path) -> None:
    """A group of three at step 900 whose words, parts and tokens are known, and its prompt again at step 901."""
    texts = [KNOWN, HOSTILE, "seven"]
    for step in (900, 901):
        rows = [
            {
                "step": step, "kind": "train", "prompt_id": "known/train/1", "prompt": "use 7 8 make 56",
                "tokens": 12 * (step - 899), "completion": text, "finish": "stop", "reward": reward,
                "parts": {"accuracy": float(reward > 1), "format": 0.5}, "status": "ok", "version": 8,
                "advantage": advantage,
            }
            for text, reward, advantage in zip(texts, (1.2, 0.0, 0.2), (1.3, -0.8, -0.5), strict=True)
        ]  # fmt: skip
        pieces = [piece + " " for piece in KNOWN.split(" ")]
        rows[0]["per_token"] = {"text": pieces, "logprob": [-0.1 * n for n in range(len(pieces))]}
        rows[1] |= {"status": "timeout", "cause": "the rule took longer than 5 s"}
        add(run, "rollouts", *rows)


def test_without_script_a_report_says_that_figures_are_missing(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]
) -> None:
    page = visit(serve("dashboard", own_run) + "report/0", script=False)
    assert "figures are drawn by JavaScript" in page.inner_text("header")
    assert page.locator(".plot").first.bounding_box()["height"] < 30


def test_runs_of_long_names_and_damaged_logs_fit_a_narrow_window(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any], fits: Callable[[Any], None], tmp_path: Path
) -> None:
    other = Path(shutil.copytree(own_run, tmp_path / "Lauf <script>alert(9) mit \u202e einem langen Namen"))
    with (other / "02_r1_zero" / "metrics.jsonl").open("a") as log:
        log.write("{broken\n")
    add(other, "rollouts", {"step": 900, "kind": "train", "completion": "x", "reward": 1.0, "advantage": 1e308})
    with (other / "02_r1_zero" / "rollouts.jsonl").open("a") as log:
        log.write("{broken\n[]\n")
    page = visit(serve("dashboard", other, own_run), width=400)
    told = "document.querySelector('.run-head .notes')?.textContent"
    until(page, f"{told} === 'damaged lines passed over: 02_r1_zero/metrics.jsonl 1, rollouts.jsonl 2'")
    fits(page)
    page.goto(page.url.split("#")[0] + "#/0/samples?step_from=900")
    page.locator(".list li a").first.click()
    page.get_by_text("advantage +1.00e+308").wait_for()
    fits(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_view(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any], shoot: Callable[..., Path],
    accessible: Callable[[Any], None], fits: Callable[[Any], None], scheme: str, width: int,
) -> None:  # fmt: skip
    address = serve("dashboard", own_run)
    for view, where in VIEWS.items():
        page = visit(address + where, width=width, scheme=scheme)
        page.wait_for_selector("#view .list a" if view == "samples" else "#view .main-svg")
        page.wait_for_selector("#head .state")
        page.wait_for_timeout(500)
        shoot(page, f"dashboard-{view}-{scheme}-{width}", whole=view != "samples")
        fits(page)
        accessible(page)


def test_a_person_finds_and_reads_samples(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any], shoot: Callable[..., Path],
    accessible: Callable[[Any], None],
) -> None:  # fmt: skip
    add_known(own_run)
    page = visit(serve("dashboard", own_run))
    page.wait_for_selector("#head .state")
    page.keyboard.press("/")
    page.wait_for_selector("input.find:focus, .find:focus")
    page.wait_for_selector(".list a")
    page.keyboard.type("eight fifty-SIX")
    page.wait_for_selector(".told:text-is('1–2 of 2')")
    page.keyboard.press("Escape")
    page.wait_for_selector(".pane h2:has-text('step 901')")  # the first one is shown at once
    page.keyboard.press("j")
    page.wait_for_selector(".pane h2:has-text('step 900')")
    assert page.inner_text(".completion .answer") == "<answer> 7 * 8 </answer>"
    assert page.locator(".reward tr", has_text="accuracy").inner_text().startswith("accuracy\t1")
    assert "1 if the final answer" in page.inner_text(".reward")
    # the thinking, folded and open; tokens in colour, and why the other colours cannot be had
    assert page.get_attribute(".think", "open") is not None
    page.keyboard.press("f")
    assert page.get_attribute(".think", "open") is None
    page.keyboard.press("f")
    page.keyboard.press("c")
    assert page.get_attribute(".token >> nth=5", "title") == "log-prob -0.5"
    assert page.is_disabled(".choice button:has-text('entropy')")
    assert "known of training samples alone" in page.inner_text(".toolbar .why")
    shoot(page, "dashboard-tokens", whole=False)
    accessible(page)
    # its group side by side; the same prompt over steps
    page.keyboard.press("g")
    page.wait_for_selector(".group article")
    assert page.locator(".group .advantage small").all_inner_texts() == [
        "advantage +1.3", "advantage -0.8", "advantage -0.5",
    ]  # fmt: skip
    shoot(page, "dashboard-group", whole=False)
    accessible(page)
    page.keyboard.press("s")
    page.wait_for_selector(".at:has-text('step 900')")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".at:has-text('r1_zero, step 901 · .33 right · 24 tokens')")
    page.wait_for_selector(".grown .completion")
    shoot(page, "dashboard-steps", whole=False)
    accessible(page)
    # what is chosen stands in the address
    again = visit(page.url)
    again.wait_for_selector(".pane .completion")
    assert again.input_value("input[name=text]") == "eight fifty-SIX"


def test_filters(own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> None:
    add_known(own_run)
    page = visit(serve("dashboard", own_run) + "#/0/samples")
    told = ".told:text-is('{}')"
    page.wait_for_selector("option[value=known]", state="attached")
    page.select_option("select[name=task]", "known")
    page.wait_for_selector(told.format("1–6 of 6"))
    page.select_option("select[name=right]", "no")
    page.wait_for_selector(told.format("1–4 of 4"))
    page.select_option("select[name=status]", "timeout")
    page.wait_for_selector(told.format("1–2 of 2"))
    page.wait_for_selector(".pane .warning:has-text('the rule took longer than 5 s')")
    page.fill("input[name=step_to]", "900")
    page.keyboard.press("Tab")
    page.wait_for_selector(told.format("1–1 of 1"))
    page.click("button[type=reset]")
    until(page, "Number(document.querySelector('.told').textContent.split(' of ')[1].replace(',', '')) > 50")
    first = page.get_attribute(".list li >> nth=0", "data-id")
    page.keyboard.press("]")
    until(page, f"document.querySelector('.list li').dataset.id !== '{first}'")
    page.keyboard.press("k")  # over the page's beginning: the last one of the page before
    until(page, "document.querySelector('.list li:last-child a').getAttribute('aria-current') === 'true'")
    assert page.get_attribute(".list li >> nth=0", "data-id") == first


def test_model_text_is_never_html(own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> None:
    add_known(own_run)
    page = visit(serve("dashboard", own_run) + "#/0/samples?task=known&status=timeout")
    page.wait_for_selector(".pane .completion")
    assert "<img src=x onerror=alert(1)><script>" in page.inner_text(".pane .completion")
    assert "␛[31m ⟦RLO⟧" in page.inner_text(".pane .completion")
    assert page.locator("#view img, #view script").count() == 0
    assert page.title() != "taken"


def test_it_follows_a_running_run(own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> None:
    """A line of a log is on the page without a reload, and nothing that a reader has open is drawn anew."""
    stage = own_run / "02_r1_zero"
    (stage / "result.json").unlink()
    (own_run / ".lock").unlink(missing_ok=True)
    add(own_run, "metrics", {"step": 776, "seconds": 1e6, "reward": 0.5, "response_tokens": 60.0})
    page = visit(serve("dashboard", own_run))
    page.wait_for_selector("#head .state.running")
    page.evaluate("document.querySelector('.chain').dataset.mine = 'kept'")
    page.wait_for_selector(".of-figures .main-svg")
    figure = page.query_selector(".of-figures figure")
    add(own_run, "metrics", {"step": 777, "seconds": 1e6, "reward": 0.5, "response_tokens": 60.0})
    page.wait_for_selector("#head:has-text('r1_zero, step 777')")
    until(
        page, "[...document.querySelectorAll('.canvas')].some((one) => one.data?.some((line) => line.x?.includes(777)))"
    )
    assert figure.evaluate("(one) => one.isConnected")
    page.keyboard.press("3")
    page.wait_for_selector(".list a")
    add(own_run, "rollouts", {"step": 777, "completion": "fresh from the press"})
    page.click("button.fresh")
    page.wait_for_selector(".list a:has-text('fresh from the press')")


def test_runs_are_compared(
    own_run: Path, nano_zero: Path, tmp_path: Path, serve: Callable[..., str], visit: Callable[..., Any],
    shoot: Callable[..., Path], accessible: Callable[[Any], None], fits: Callable[[Any], None],
) -> None:  # fmt: skip
    other = Path(shutil.copytree(nano_zero, tmp_path / "other"))
    page = visit(serve("dashboard", own_run, other) + "#/0/compare?stage=r1_zero")
    page.wait_for_selector("#view .main-svg")
    assert page.locator(".legend a").all_inner_texts() == ["run", "other"]
    lines = page.evaluate("document.querySelector('[data-figure^=accuracy] .canvas').data.map((line) => line.name)")
    assert lines == ["run", "other"]
    page.wait_for_timeout(300)
    shoot(page, "dashboard-compare")
    accessible(page)
    fits(page)
    page.select_option("#head select", "1")
    page.click("nav a[data-view=overview]")
    until(page, "location.hash === '#/1/overview'")


def test_the_doctor_stands_at_the_top(own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> None:
    rows = [
        {"step": step, "seconds": 2.0 * step, "reward": 0.0, "accuracy": 0.0, "format": 0.0, "flat_group_share": 1.0}
        for step in range(1, 101)
    ]
    (own_run / "02_r1_zero" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = visit(serve("dashboard", own_run))
    page.wait_for_selector(".illness h3:has-text('flat reward')")
    assert page.locator(".illness", has_text="flat reward").locator("code").count() >= 1
    page.click(".illness:has-text('flat reward') a:has-text('its samples')")
    page.wait_for_selector(".list")
    assert "stage=r1_zero" in page.url


@pytest.mark.parametrize("path", ["", "#/0/samples"])
def test_without_javascript_there_is_the_report(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any], path: str
) -> None:
    page = visit(serve("dashboard", own_run) + path, script=False)
    page.wait_for_url("**/report/0")
    assert page.inner_text("h1")


def test_every_number_is_explained(own_run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> None:
    page = visit(serve("dashboard", own_run) + VIEWS["metrics"])
    page.click(".glossary summary")
    page.wait_for_selector(".glossary dt:text-is('entropy')")
    assert "next-token distribution" in page.inner_text(".glossary dt:text-is('entropy') + dd")


def test_keys_are_told(
    own_run: Path, serve: Callable[..., str], visit: Callable[..., Any], accessible: Callable[[Any], None]
) -> None:
    page = visit(serve("dashboard", own_run))
    page.wait_for_selector("#head .state")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    accessible(page)
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
