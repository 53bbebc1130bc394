"""What has gone wrong is listed, and its file is had by a click."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ipc.messages.control import IncidentsConfig
from tests.browser.conftest import Visit
from tests.process.box import CHAT, Box, boxes, spec


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Box]:
    with boxes() as make:
        config = IncidentsConfig(folder=str(tmp_path / "incidents"))
        yield make(spec(CHAT), state_dir=str(tmp_path), incidents=config).wait_ready()


def test_a_crash_is_listed_with_its_file(browser: Browser, keeping: Box) -> None:
    context = browser.new_context(base_url=keeping.url, accept_downloads=True)
    visit = Visit(context, keeping.url)
    page = visit.open("logs")
    expect(page.locator(".incidents")).to_have_count(0)
    keeping.kill(CHAT)
    page.get_by_text("What has gone wrong: 1").click()
    expect(page.locator(".incidents li")).to_contain_text(f"a worker of {CHAT} died")
    with page.expect_download() as download:
        page.get_by_role("link", name="Its file").click()
    told = json.loads(gzip.decompress(Path(download.value.path()).read_bytes()))
    assert told["what"] == "crash"
    assert download.value.suggested_filename == f"{told['id']}.json.gz"
    context.close()
    assert (visit.problems, visit.foreign) == ([], [])
