"""Each page: it is drawn, everybody can use it, and it does what it says."""

from __future__ import annotations

import re
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit
from tests.process.box import CHAT, Box, wait_until

PAGES = {
    "overview": "All is well",
    "models": "Models",
    "chat": "Chat",
    "tools": "Try out",
    "requests": "Requests",
    "logs": "Logs",
    "keys": "Keys & usage",
    "settings": "Settings",
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


def width_needed(browser: Browser, box: Box, page: str, locale: str) -> int:
    """How wide a page is, on a phone of 320 pixels, once it shows what the server has told it."""
    context = browser.new_context(viewport={"width": 320, "height": 640}, locale=locale)
    opened = Visit(context, box.url).open(page)
    opened.wait_for_load_state("load")
    expect(opened.locator("main > .quiet")).to_have_count(0)  # which stands there until then
    wide: int = opened.evaluate("document.documentElement.scrollWidth")
    context.close()
    return wide


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_small_phone(browser: Browser, box: Box, page: str) -> None:
    assert width_needed(browser, box, page, "en-US") <= 320


@pytest.mark.parametrize("page", PAGES)
def test_no_field_is_too_narrow_to_write_in_on_a_small_phone(
    browser: Browser, box: Box, page: str
) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    opened = Visit(context, box.url).open(page)
    expect(opened.locator("main > .quiet")).to_have_count(0)
    fields = opened.locator("main :is(input, textarea):not([type=checkbox], [type=file]):visible")
    widths = fields.evaluate_all("(all) => all.map((one) => [one.id, one.offsetWidth])")
    context.close()
    assert [field for field in widths if field[1] < 80] == []


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
def test_the_header_is_one_line_on_a_small_phone(browser: Browser, box: Box, locale: str) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640}, locale=locale)
    visit = Visit(context, box.url)
    lines = {}
    for page in PAGES:
        header = visit.open(page).locator("header")
        lines[page] = header.evaluate(
            "(it) => it.clientHeight < 2 * it.querySelector('button.menu').offsetHeight"
        )
    context.close()
    assert lines == dict.fromkeys(PAGES, True)


def test_all_pages_are_reached_by_the_keyboard(visit: Visit) -> None:
    page = visit.open("overview")
    titles = page.locator("nav a").all_text_contents()
    for title in titles:
        page.get_by_role("link", name=title, exact=True).press("Enter")
        expect(page.locator("nav a[aria-current=page]")).to_have_text(title)
        # A page that opens may take the focus, as the chat does.
        expect(page.locator("main > .quiet")).to_have_count(0)


@pytest.mark.parametrize(
    ("locale", "title", "labels"),
    [
        ("en-US", "The last hour", ["Processors", "Memory", "Tokens a second"]),
        ("de-DE", "Die letzte Stunde", ["Prozessoren", "Speicher", "Tokens in der Sekunde"]),
    ],
)
def test_the_overview_has_the_last_hour_in_three_charts(
    browser: Browser, box: Box, locale: str, title: str, labels: list[str]
) -> None:
    box.chat("one two three")
    wait_until(lambda: len(box.client.get("/admin/samples").json()["samples"]) >= 2)
    context = browser.new_context(locale=locale, viewport={"width": 320, "height": 640})
    visit = Visit(context, box.url)
    page = visit.open("overview")
    hour = page.get_by_role("region", name=title)
    expect(hour.locator("figcaption span:first-child")).to_have_text(labels)
    expect(hour.get_by_role("img")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
    assert (visit.problems, visit.foreign) == ([], [])


def test_docs_open_the_description_of_the_api(visit: Visit) -> None:
    visit.page.goto(f"{visit.url}/docs")
    operation = visit.page.locator(".operation", has_text="/v1/embeddings").first
    operation.locator("summary").click()
    expect(operation).to_contain_text("input")


def test_a_request_is_shown_with_where_its_time_went(visit: Visit, box: Box) -> None:
    box.chat("hello there")
    box.chat("hello", temperature=9)
    page = visit.open("requests")
    rows = page.locator("tbody tr")
    page.get_by_label("Status").select_option("4xx")
    expect(rows.first).to_contain_text("400 invalid_value")
    page.get_by_label("Key or address").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_text("None is like that.")).to_be_visible()
    page.get_by_label("Key or address").fill("")
    page.get_by_label("Status").select_option("2xx")
    rows.filter(has_text=CHAT).first.get_by_role("link").click()
    steps = page.locator(".waterfall li")
    for step in ("waited in the queue", "waited in its worker", "read 2 tokens", "wrote"):
        expect(steps.filter(has_text=step)).to_have_count(1)
    expect(page.locator(".facts")).to_contain_text("process")
    expect(page.locator(".facts")).to_contain_text("1 texts of 11 characters")


def test_the_requests_of_a_model_are_a_step_away_from_it(visit: Visit, box: Box) -> None:
    box.chat("hello there")
    box.embed("hello")
    page = visit.open(f"models/{CHAT}")
    page.get_by_role("link", name="Its requests").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value(CHAT)
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.locator("tbody tr", has_text="embed")).to_have_count(0)


def test_there_is_a_code_for_a_phone_where_the_address_is_known_to_others(visit: Visit) -> None:
    address = visit.url.replace("127.0.0.1", "box.localhost")  # which a browser knows by itself
    visit.url = address
    page = visit.open("connect")
    code = page.get_by_role("img", name=f"A code for {address}")
    expect(code).to_have_attribute("viewBox", "-2 -2 29 29")
    expect(code.locator("path")).to_have_attribute("d", re.compile(r"^M0 0h1v1h-1zM1 0h1v1h-1z"))


def test_older_requests_come_page_by_page(visit: Visit, box: Box) -> None:
    for _ in range(55):
        box.embed("hello")
    page = visit.open("requests")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Older ones").click()
    expect(rows.nth(54)).to_be_visible()


def test_a_server_that_is_gone_is_told(browser: Browser, box: Box) -> None:
    context = browser.new_context()
    page = Visit(context, box.url).open("connect")
    context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("No answer from the server")
    expect(page.locator(".badge")).to_contain_text("No answer for")
    context.set_offline(False)
    expect(page.locator(".badge")).to_have_count(0)
    context.close()


def test_it_is_german_for_who_reads_german(browser: Browser, box: Box) -> None:
    context = browser.new_context(locale="de-DE")
    visit = Visit(context, box.url)
    page = visit.open("overview")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Überblick")
    page.get_by_role("button", name="English").click()
    expect(page.locator("nav a[aria-current=page]")).to_have_text("Overview")
    context.close()
    assert (visit.problems, visit.foreign) == ([], [])


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_a_small_phone_in_german(browser: Browser, box: Box, page: str) -> None:
    assert width_needed(browser, box, page, "de-DE") <= 320


def test_on_a_phone_the_pages_are_behind_a_button(browser: Browser, box: Box) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    page = Visit(context, box.url).open("overview")
    menu = page.get_by_role("button", name="Overview", exact=True)
    expect(page.get_by_role("link", name="Connect", exact=True)).to_be_hidden()
    menu.press("Enter")
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.get_by_role("link", name="Connect", exact=True).press("Enter")
    expect(page.locator("h1")).to_have_text("Connect")
    expect(page.get_by_role("link", name="Models", exact=True)).to_be_hidden()
    context.close()


def test_colours_are_the_systems_until_somebody_chooses(browser: Browser, box: Box) -> None:
    context = browser.new_context(color_scheme="dark")
    page = Visit(context, box.url).open("overview")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Colours").click()
    light = page.evaluate(ground)
    page.reload()
    assert page.evaluate(ground) == light != dark
    page.get_by_role("button", name="Colours").click()
    assert page.evaluate(ground) == dark
    context.close()


def test_programs_are_chosen_by_arrows(visit: Visit) -> None:
    page = visit.open("connect")
    page.get_by_role("tab", name="curl").press("ArrowRight")
    expect(page.get_by_role("tab", name="Python")).to_be_focused()
    expect(page.get_by_role("tabpanel")).to_contain_text("from openai import OpenAI")
    page.keyboard.press("End")
    expect(page.get_by_role("tab", name="Home Assistant")).to_be_focused()
    expect(page.get_by_role("tab")).to_have_count(12)


def test_settings_say_where_each_value_comes_from(visit: Visit) -> None:
    page = visit.open("settings")
    row = page.locator("tr", has_text="PORT")
    for words in ("9000", "if not set: 8000", ".env", "A restart takes over"):
        expect(row).to_contain_text(words)
    expect(page.locator("tr", has_text="API_KEYS")).to_contain_text("set, and never shown")
    expect(page.locator("tr", has_text="slots")).to_contain_text("/etc/own.yaml")
    expect(page.locator("tr", has_text="MAX_BATCHES")).to_have_count(0)
    page.get_by_label("Only names with").fill("batches")
    expect(page.locator("tr", has_text="MAX_BATCHES")).to_contain_text("that have not ended")
