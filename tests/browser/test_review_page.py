"""The review desk in a real browser: keys, an edit that is checked, two people at once, drafts, texts nobody trusts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reviewing import answered, waiting_run

from r1kit.factory.review import read_queue

pytestmark = pytest.mark.browser

MATHS = r"""<think>
The numerator factors as $x^2 - 1 = (x - 1)(x + 1)$, so for $x \neq 1$
$$f(x) = \frac{(x-1)(x+1)}{x-1} = x + 1.$$
Wait, check at \(x = 1.001\): `f(1.001) = 2.001`.
```python
def f(x):  # from both sides
    return (x ** 2 - 1) / (x - 1)
```
Both sides tend to $2 \text{ from both sides}$.
</think>
Cancelling the factor leaves $x + 1$.
<answer> 2 </answer>"""
HOSTILE = "<think> <img src=x onerror=document.title='taken'> $\\href{javascript:alert(1)}{x}$ \x1b[31m \u202e </think>"
HOSTILE += f" {'long ' * 9000} <answer> <script>document.title='taken'</script> </answer>"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A maths sample, a hostile one, and the code problems."""
    made = waiting_run(tmp_path / "run", 6)
    path = made / "03_cold_start" / "review.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for row, question, response in zip(lines, ("What is $f$ at 1?", HOSTILE[:90]), (MATHS, HOSTILE), strict=False):
        row["sample"] |= {"prompt": question, "response": response}
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    return made


@pytest.fixture
def desk(run: Path, serve: Callable[..., str], visit: Callable[..., Any]) -> Callable[..., Any]:
    """``desk("ann")`` -> the page of a person who has said who she is."""
    address = serve("review", run, "--port", 0)

    def opened(name: str, **more: Any) -> Any:
        page = visit(address, **more)
        page.fill("#name", name)
        page.press("#name", "Enter")
        page.wait_for_selector("h1.question")
        settled(page)
        return page

    return opened


def settled(page: Any) -> None:
    page.wait_for_selector('#item[aria-busy="false"]')


def press(page: Any, key: str) -> None:
    settled(page)
    page.keyboard.press(key)
    page.wait_for_timeout(50)
    settled(page)


def number(page: Any) -> str:
    return str(page.inner_text("#item .meta b"))


def statuses(run: Path) -> list[str]:
    return [item.status for item in read_queue(run / "03_cold_start" / "review.jsonl")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_every_view(
    desk: Callable[..., Any], shoot: Callable[..., Path], accessible: Callable[[Any], None],
    fits: Callable[[Any], None], scheme: str, width: int,
) -> None:  # fmt: skip
    page = desk("ann", width=width, scheme=scheme)
    page.wait_for_selector("#rows button")
    keys = {"item": "", "hostile": "s", "code": "s", "edit": "e", "reject": "Escape r", "help": "Escape ?"}
    for view, pressed in keys.items():
        for key in pressed.split():
            press(page, key)
        if view == "edit":
            page.fill("#edited", answered("xs + [99]"))
            page.wait_for_selector("#checked .wrong")
        shoot(page, f"review-{view}-{scheme}-{width}", whole=view in ("item", "code") and width == 400)
        accessible(page)
        fits(page)


def test_maths_code_and_what_nobody_trusts(desk: Callable[..., Any]) -> None:
    page = desk("ann")
    assert page.locator("#item .katex").count() == 7
    words = page.locator("#item .katex .text")  # a line of them, though the report calls its completions so too
    assert words.evaluate("one => one.getClientRects()[0].height") < 30
    assert page.inner_text("#item pre .k") == "def"
    press(page, "v")
    assert page.inner_text("#item pre.raw").startswith("<think>\nThe numerator factors as $x^2 - 1")
    press(page, "v")
    press(page, "s")
    assert "onerror" in page.inner_text("h1.question")
    assert "⟦RLO⟧" in page.inner_text("#item .thinking")
    assert page.locator("#item img, #item script, #item a[href]").count() == 0
    assert page.title() == "Review · cold_start"
    more = page.locator("#item .summary button")
    assert more.inner_text().startswith("Show ")
    more.click()
    assert page.inner_text("#item .summary .piece").count("long") == 9000


def test_a_person_decides_by_keys_and_takes_back(desk: Callable[..., Any], run: Path) -> None:
    page = desk("ann")
    for key in ("a", "r", "4", "s", "s", "k", "a"):
        press(page, key)
    assert statuses(run) == ["accepted", "rejected", "pending", "accepted", "pending", "pending"]
    page.wait_for_selector("text=3 of 6 decided")
    press(page, "u")
    assert number(page) == "Sample 4"
    assert "Taken back. Sample 4 is open again." in page.inner_text("#banner")
    press(page, "u")
    assert statuses(run) == ["accepted", *["pending"] * 5]
    press(page, "r")
    press(page, "0")
    page.keyboard.type("too clever")
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows >> text=rejected", state="detached")
    settled(page)
    (item,) = [each for each in read_queue(run / "03_cold_start" / "review.jsonl") if each.status == "rejected"]
    assert (item.reason, item.by) == ("too clever", "ann")


def test_an_edit_is_checked_kept_as_a_draft_and_saved_when_asked_twice(desk: Callable[..., Any], run: Path) -> None:
    page = desk("ann")
    press(page, "s")
    press(page, "s")
    press(page, "e")
    page.wait_for_selector("#checked >> text=The answer is right")
    page.fill("#edited", answered("xs + [99]"))
    page.wait_for_selector("#checked >> text=The answer is wrong")
    assert page.locator("#changes ins").count() > 0
    page.reload()  # the browser was closed
    page.wait_for_selector("h1.question")
    settled(page)
    assert number(page) == "Sample 3"
    press(page, "e")
    assert page.input_value("#edited") == answered("xs + [99]")
    press(page, "Control+Enter")
    page.wait_for_selector("#checked >> text=once more keeps the edit")
    assert statuses(run)[2] == "pending"
    press(page, "Control+Enter")
    page.wait_for_selector("text=1 of 6 decided")
    item = read_queue(run / "03_cold_start" / "review.jsonl")[2]
    assert (item.status, item.edited, item.by) == ("edited", answered("xs + [99]"), "ann")
    assert item.history[-1].fault == "the answer is wrong"


def test_two_people_at_once(desk: Callable[..., Any], run: Path) -> None:
    ann, bob = desk("ann"), desk("bob", expected="409")
    assert (number(ann), number(bob)) == ("Sample 1", "Sample 2")
    bob.click("#rows >> text=What is")
    bob.wait_for_selector("#banner >> text=ann is at this sample too.")
    press(ann, "a")
    bob.wait_for_selector("#banner >> text=Somebody has decided this sample meanwhile")
    assert "accepted by ann" in bob.inner_text("#item .badge")
    press(bob, "s")
    assert (number(ann), number(bob)) == ("Sample 2", "Sample 3")
    for round_ in range(4):  # both at the same time, on one sample
        identity = read_queue(run / "03_cold_start" / "review.jsonl")[round_ + 1].id
        for page in (ann, bob):
            page.evaluate("id => document.querySelector(`[data-id='${id}']`)?.click()", identity)
            page.wait_for_timeout(100)
            settled(page)
        ann.keyboard.press("a")
        bob.keyboard.press("r")
        bob.keyboard.press("Enter")
        ann.wait_for_timeout(200)
        settled(ann)
        settled(bob)
    items = read_queue(run / "03_cold_start" / "review.jsonl")
    assert all(len(item.standing) <= 1 for item in items), "nobody overwrote the other"
    assert ann.evaluate("localStorage.getItem('r1-review-name')") == "ann"
