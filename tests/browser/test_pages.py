"""Each page: it is drawn, everybody can use it, and it does what it says."""

from __future__ import annotations

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit
from tests.process.box import CHAT, EMBED, Box

PAGES = {
    "overview": "All is well",
    "models": "Models",
    "chat": "Chat",
    "tools": "Try out",
    "requests": "Requests",
    "logs": "Logs",
    "connect": "Connect",
    "api": "API",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_nobody_is_kept_out_by_how_a_page_is_drawn(
    browser: Browser, box: Box, page: str, scheme: Literal["light", "dark"]
) -> None:
    context = browser.new_context(color_scheme=scheme)
    visit = Visit(context, box.url)
    opened = visit.open(page)
    expect(opened.locator("h1").first).to_contain_text(PAGES[page])
    found = Axe().run(opened)
    context.close()
    assert found.violations_count == 0, found.generate_report()
    assert (visit.problems, visit.foreign) == ([], [])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_small_phone(browser: Browser, box: Box, page: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    opened = Visit(context, box.url).open(page)
    opened.wait_for_timeout(300)
    wide = opened.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert wide <= 320


def test_all_pages_are_reached_by_the_keyboard(visit: Visit) -> None:
    page = visit.open("overview")
    titles = page.locator("nav a").all_text_contents()
    for title in titles:
        page.get_by_role("link", name=title, exact=True).press("Enter")
        expect(page.locator("nav a[aria-current=page]")).to_have_text(title)


def test_docs_open_the_description_of_the_api(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/docs")
    operation = visit.page.locator(".operation", has_text="/v1/embeddings").first
    operation.locator("summary").click()
    expect(operation).to_contain_text("input")


def test_a_chat_is_written_as_it_comes(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_label("Your message").fill("hello **world**")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.assistant strong")).to_have_text("world")
    expect(page.locator(".turn.assistant")).to_contain_text("written")


def test_a_chat_is_stopped(visit: Visit) -> None:
    page = visit.open("chat")
    page.get_by_label("Your message").fill("/slow 200 " + "word " * 200)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn.assistant")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_chat_goes_on_while_its_page_is_loaded_again(visit: Visit, box: Box) -> None:
    page = visit.open("chat")
    words = " ".join(f"word{number}" for number in range(60))
    page.get_by_label("Your message").fill(f"/slow 50 {words}")
    page.keyboard.press("Enter")
    expect(page.locator(".turn.assistant")).to_contain_text("word5 ")
    page.reload()
    expect(page.locator(".turn.assistant .markdown")).to_have_text(words)
    expect(page.locator(".turn.assistant")).to_have_count(1)
    assert box.queue(CHAT)["in_flight"] == 0


def test_a_chat_whose_worker_dies_says_so(visit: Visit, box: Box) -> None:
    page = visit.open("chat")
    page.get_by_label("Your message").fill("/exit 7")
    page.keyboard.press("Enter")
    expect(page.locator(".notice.error")).to_contain_text("stopped while it worked")
    box.wait_ready()


def test_texts_are_compared(visit: Visit) -> None:
    page = visit.open("tools/embeddings")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("table.matrix tbody tr")).to_have_count(3)
    expect(page.locator("table.matrix tbody tr").first.locator("td").first).to_have_text("1.00")


def test_what_the_microphone_hears_is_transcribed(visit: Visit) -> None:
    page = visit.open("tools/transcribe")
    page.get_by_label("Names and words").fill("what was said")  # which the engine echoes
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".transcript")).to_have_text("what was said")


def test_a_model_is_unloaded_and_loaded(visit: Visit) -> None:
    page = visit.open("models")
    row = page.locator("tr", has_text=EMBED)
    row.get_by_role("button", name="Unload").click()
    expect(row.locator(".state")).to_have_text("not loaded")
    row.get_by_role("button", name="Load").click()
    expect(row.locator(".state")).to_have_text("ready")


def test_a_request_is_shown_with_where_its_time_went(visit: Visit, box: Box) -> None:
    box.chat("hello")
    page = visit.open("requests")
    page.locator("tr", has_text=CHAT).first.get_by_role("link").click()
    expect(page.locator(".waterfall li")).not_to_have_count(0)


def test_a_log_is_followed(visit: Visit, box: Box) -> None:
    page = visit.open("logs/frontend")
    box.client.get("/v1/models", headers={"x-request-id": "req-that-is-looked-for"})
    expect(page.locator(".log")).to_contain_text("req-that-is-looked-for")


def test_a_server_that_is_gone_is_told(browser: Browser, box: Box) -> None:
    context = browser.new_context()
    page = Visit(context, box.url).open("overview")
    context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("No answer since")
    context.set_offline(False)
    expect(page.get_by_role("alert")).to_have_count(0)
    context.close()
