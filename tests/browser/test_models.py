"""Models: loaded, unloaded, pinned; an update is seen, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit
from tests.process.box import CHAT, EMBED, Box, boxes, spec, wait_until
from tests.process.faults.test_model_set import ChangingBox, told

# What loads beside another model yields the processors to all that want them.
LOAD_MS = 120_000


def test_a_model_is_unloaded_and_loaded(visit: Visit) -> None:
    page = visit.open("models")
    row = page.locator("tr", has_text=EMBED)
    row.get_by_role("button", name="Unload").click()
    expect(row.locator(".state")).to_have_text("not loaded")
    row.get_by_role("button", name="Load").click()
    expect(row.locator(".state")).to_have_text("ready")


def test_a_model_is_pinned_on_its_own_page(visit: Visit) -> None:
    page = visit.open(f"models/{quote(EMBED, safe='')}")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_role("button", name="Unpin").click()
    expect(page.get_by_role("button", name="Pin", exact=True)).to_be_visible()


def test_a_model_that_has_failed_is_tried_again_at_a_press(browser: Browser) -> None:
    failing = spec(EMBED, load="on_demand", options={"load_fails": "always"})
    with boxes() as make:
        box = make(spec(CHAT), failing).wait_ready()
        assert box.embed("a text").status_code == 503
        context = browser.new_context()
        row = Visit(context, box.url).open("models").locator("tr", has_text=EMBED)
        expect(row.locator(".state")).to_have_text("failed")
        row.get_by_role("button", name="Load").click()
        wait_until(lambda: failed_loads(box) == 2)
        context.close()


def failed_loads(box: Box) -> int:
    """How often a load of the second model has failed."""
    events = box.client.get("/admin/events", params={"follow": "false"}).text
    return sum('"replica.exit"' in line and EMBED in line for line in events.splitlines())


@pytest.fixture
def changing() -> Iterator[ChangingBox]:
    with boxes(ChangingBox) as make:
        box = make(spec(CHAT), update_watch_s=600.0).wait_ready()
        assert isinstance(box, ChangingBox)
        yield box


def test_an_update_is_undone_at_a_press(browser: Browser, changing: ChangingBox) -> None:
    context = browser.new_context()
    page = Visit(context, changing.url).open(f"models/{quote(CHAT, safe='')}")
    changing.add(spec(CHAT, options={"word_ms": 1}))
    update = page.get_by_role("status").filter(has_text="The update serves, and is watched")
    expect(update).to_be_visible(timeout=LOAD_MS)
    update.get_by_role("button", name="Roll back").click()
    expect(update).to_have_count(0)
    wait_until(lambda: told(changing, "update.rolled_back") == 1)
    context.close()
