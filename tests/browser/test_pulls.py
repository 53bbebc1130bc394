"""Models that are fetched from the page: what one would take, and one that is given up."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit

LOOKED = {
    "model": "acme/one", "task": "chat", "engine": "llama.cpp", "device": "cpu", "variant": "Q8_0",
    "fetch_bytes": 1, "disk_free_bytes": 2, "memory_mb": 3, "memory_free_mb": 4,
    "memory_total_mb": 5, "verdict": "fits", "remarks": [],
}  # fmt: skip
FAILED = {
    "id": "pull-1", "source": "hf:acme/two", "model": "acme/two", "state": "failed", "doing": "",
    "done_bytes": 1, "total_bytes": 2, "error": "the hub has said no", "bytes_per_s": None,
    "eta_s": None,
}  # fmt: skip


def gives(route: Route, body: Any) -> None:
    route.fulfill(body=json.dumps(body), content_type="application/json")


def test_what_one_would_take_is_not_shown_beside_another_name(visit: Visit) -> None:
    waiting: list[Route] = []
    visit.page.route("**/admin/pulls?estimate=1", lambda route: waiting.append(route))
    page = visit.open("models")
    source = page.locator("#source")
    source.fill("hf:acme/one")
    with page.expect_request("**/admin/pulls?estimate=1"):
        page.get_by_role("button", name="What would it take?").click()
    source.fill("hf:acme/other")
    gives(waiting[0], LOOKED)
    expect(page.get_by_role("button", name="What would it take?")).to_be_enabled()
    expect(page.get_by_role("button", name="Get it")).to_have_count(0)
    source.fill("hf:acme/one")
    expect(page.get_by_role("button", name="Get it")).to_be_visible()


def test_a_pull_that_has_failed_is_given_up(visit: Visit) -> None:
    pulls = [FAILED]

    def answer(route: Route) -> None:
        if route.request.method == "DELETE":
            pulls[0] = {**FAILED, "state": "cancelled"}
            return gives(route, pulls[0])
        return gives(route, {"pulls": pulls})

    visit.page.route("**/admin/pulls", answer)
    visit.page.route("**/admin/pulls/*", answer)
    page = visit.open("models")
    shown = page.locator(".pulls li")
    expect(shown).to_contain_text("the hub has said no")
    shown.get_by_role("button", name="Cancel").click()
    expect(shown).to_have_count(0)
