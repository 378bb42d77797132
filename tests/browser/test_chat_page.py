"""The chat page over ``r1 serve``: two stages of a run side by side, thinking, options, hostile text, stopping."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

Visit = Callable[..., Page]


def asked(page: Page, question: str, answers: int) -> None:
    """Ask, and wait for so many answers on the page."""
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.locator(".answer footer:not(:empty)").nth(answers - 1).wait_for(timeout=60_000)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400)])
def test_two_stages_answer_side_by_side(
    nano_zero: Path, serve: Callable[..., str], visit: Visit, shoot: Callable[..., Path],
    accessible: Callable[[Page], None], fits: Callable[[Page], None], scheme: str, width: int,
) -> None:  # fmt: skip
    page = visit(serve("serve", f"{nano_zero}:pretrain", f"{nano_zero}:r1_zero"), width=width, scheme=scheme)
    expect(page.locator("#hint")).to_contain_text("one question at a time")
    asked(page, "use 7 1 5 make 34", 2)
    names = page.locator(".answer h2").all_inner_texts()
    assert [name.rpartition(":")[2] for name in names] == ["pretrain", "r1_zero"]
    left, right = (page.locator(".answer").nth(place).bounding_box() for place in (0, 1))
    assert left is not None
    assert right is not None
    assert (left["y"] == right["y"]) is (width > 640)
    shoot(page, f"chat-{scheme}-{width}")
    accessible(page)
    fits(page)


def test_options_colour_and_a_new_chat(
    nano_zero: Path, serve: Callable[..., str], visit: Visit, shoot: Callable[..., Path],
    accessible: Callable[[Page], None],
) -> None:  # fmt: skip
    page = visit(serve("serve", f"{nano_zero}:r1_zero"), expected="400")  # a refusal is asked for
    expect(page.locator("#second")).to_be_hidden()
    page.click("#options summary")
    page.fill("#temperature", "0")
    page.fill("#max_tokens", "4")
    page.check("#colour")
    asked(page, "use 2 3 4 make 9", 1)
    expect(page.locator(".answer footer")).to_contain_text("4 tokens")
    expect(page.locator(".answer footer")).to_contain_text("cut at its longest")
    tokens = page.locator(".token")
    assert tokens.count() == 4
    assert "%" in str(tokens.first.get_attribute("title"))
    shoot(page, "chat-options")
    accessible(page)
    page.fill("#temperature", "9")
    page.fill("#question", "use 2 3 4 make 9")
    page.click("#send")
    expect(page.locator(".answer .failed")).to_contain_text("from 0 to 2")
    page.click("#new")
    assert page.locator(".answer").count() == 0


def test_hostile_text_is_shown_as_text(nano_zero: Path, serve: Callable[..., str], visit: Visit) -> None:
    page = visit(serve("serve", f"{nano_zero}:r1_zero"))
    asked(page, "<img src=x onerror=alert(1)> \u202e\u001b[31m make 9", 1)
    shown = page.locator(".question").inner_text()
    assert shown == "<img src=x onerror=alert(1)> ⟦RLO⟧␛[31m make 9"
    assert page.locator(".question img").count() == 0


def test_escape_stops_an_answer(nano_zero: Path, serve: Callable[..., str], visit: Visit) -> None:
    """The stream is held at its first event, so that it is stopped for sure before it ends."""
    page = visit(serve("serve", f"{nano_zero}:r1_zero"))
    page.route("**/v1/chat/completions", lambda route: None)
    page.fill("#question", "use 2 3 4 make 9")
    page.click("#send")
    expect(page.locator("#send")).to_have_text("Stop")
    page.keyboard.press("Escape")
    expect(page.locator(".answer footer")).to_contain_text("stopped")
    expect(page.locator("#send")).to_have_text("Ask")


def test_a_new_chat_knows_nothing_of_an_answer_that_it_stopped(
    nano_zero: Path, serve: Callable[..., str], visit: Visit
) -> None:  # fmt: skip
    page = visit(serve("serve", f"{nano_zero}:r1_zero"))
    page.route("**/v1/chat/completions", lambda route: None)
    page.click("#options summary")
    page.check("#turns_seen")
    for question in ("use 2 3 4 make 9", "use 1 2 3 make 6"):
        page.fill("#question", question)
        with page.expect_request("**/v1/chat/completions") as sent:
            page.click("#send")
        assert [one["content"] for one in sent.value.post_data_json["messages"]] == [question]
        page.click("#new")
        expect(page.locator("#send")).to_have_text("Ask")
