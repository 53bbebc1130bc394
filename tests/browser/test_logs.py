"""Logs: followed, searched, and bounded in what a browser has to draw."""

from __future__ import annotations

import json

from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.process.box import Box

MANY = 10_000


def test_a_log_is_followed(visit: Visit, box: Box) -> None:
    page = visit.open("logs/frontend")
    box.client.get("/v1/models", headers={"x-request-id": "req-that-is-looked-for"})
    expect(page.locator(".log")).to_contain_text("req-that-is-looked-for")


def test_ten_thousand_lines_are_kept_and_few_are_drawn(visit: Visit) -> None:
    lines = [f"line-{number} \x1b[31mred\x1b[0m" for number in range(MANY)]
    body = "".join(f"data: {json.dumps({'line': line})}\n\n" for line in lines)
    visit.page.route("**/admin/logs/supervisor*", lambda route: route.fulfill(body=body))
    page = visit.open("logs/supervisor")
    expect(page.locator("main")).to_contain_text("The last 1,000 of 10,000 lines")
    expect(page.locator(".line")).to_have_count(1000)
    expect(page.locator(".line").last).to_have_text(f"line-{MANY - 1} red")
    expect(page.locator(".line .ansi-1").last).to_have_text("red")
    assert page.locator("*").count() < 6 * 1000  # what the browser has to keep
    page.get_by_label("Only lines with").fill("line-17 ")
    expect(page.locator(".line")).to_have_text(["line-17 red"])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "line-17 red"
    page.get_by_role("link", name="Connect", exact=True).click()
    expect(page.locator("h1")).to_have_text("Connect")
