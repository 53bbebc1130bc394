"""What the page says while its server is away, and once it is back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit
from tests.process.box import CHAT, Box, boxes, spec

BACK_MS = 120_000  # who is not answered asks ever less often


@pytest.fixture
def leaving() -> Iterator[Box]:
    with boxes() as make:
        yield make(spec(CHAT, options={"word_ms": 100})).wait_ready()


@pytest.fixture
def visitor(browser: Browser, leaving: Box) -> Iterator[Visit]:
    context = browser.new_context()
    yield Visit(context, leaving.url)
    context.close()


def test_a_page_that_is_opened_first_while_nobody_answers_waits(
    visitor: Visit, leaving: Box
) -> None:
    page = visitor.open("overview")
    leaving.die()
    page.get_by_role("link", name="Models", exact=True).click()
    expect(page.locator("main")).to_contain_text("The server does not answer.")
    expect(page.locator("main")).not_to_contain_text("newer page")
    leaving.start()
    expect(page.locator("main tr", has_text=CHAT)).to_be_visible(timeout=BACK_MS)


def test_an_answer_that_breaks_off_with_its_server_says_so(visitor: Visit, leaving: Box) -> None:
    page = visitor.open("chat")
    page.locator(".composer textarea").fill(" ".join(f"w{number}" for number in range(1000)))
    page.get_by_role("button", name="Send").click()
    answer = page.locator(".turn.assistant")
    expect(answer).to_contain_text("w3")
    leaving.die()
    expect(answer).to_contain_text("the connection to the server has broken off")
