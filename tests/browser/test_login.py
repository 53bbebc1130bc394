"""A server with keys: who gets to see which pages, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from tests.browser.conftest import Visit
from tests.process.box import EMBED, Box, boxes, spec, wait_until

KEYS = {"ann": ApiKey.of("sesame", "admin"), "bob": ApiKey.of("poppy")}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Box]:
    with boxes() as make:
        box = make(spec(EMBED), gate=AccessConfig(api_keys=KEYS))
        wait_until(lambda: box.ask("/livez") == 200)
        yield box


@pytest.fixture
def page(browser: Browser, guarded: Box) -> Iterator[Page]:
    context = browser.new_context()
    visit = Visit(context, guarded.url)
    visit.page.goto(guarded.url)
    yield visit.page
    context.close()
    assert (visit.problems, visit.foreign) == ([], [])


def log_in(page: Page, key: str) -> None:
    page.get_by_label("One of this server's API keys").fill(key)
    page.get_by_role("button", name="Log in").click()


def test_who_has_no_key_sees_nothing_but_the_door(page: Page) -> None:
    log_in(page, "guess")
    expect(page.get_by_role("alert")).to_have_text("this API key is unknown")
    assert page.locator("nav").count() == 0


def test_pages_of_operators_are_for_who_manages_the_server(page: Page) -> None:
    log_in(page, "poppy")
    expect(page.get_by_role("link", name="Models", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Logs", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Log out").click()
    log_in(page, "sesame")
    expect(page.get_by_role("link", name="Logs", exact=True)).to_be_visible()


def test_the_key_is_kept_nowhere_in_the_browser(page: Page) -> None:
    log_in(page, "sesame")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    kept = page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert "sesame" not in kept


def test_a_session_that_has_ended_is_not_taken_for_a_server_that_is_gone(page: Page) -> None:
    log_in(page, "sesame")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.context.clear_cookies()  # as when the server has been started again
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
