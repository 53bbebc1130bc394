"""A browser, and a server with the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ipc.messages.configuration import Setting, Value
from ipc.messages.control import HistoryConfig
from tests.process.box import CHAT, EMBED, SPEECH, Box, boxes, spec

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It is only let near the test's own server.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
DEADLINE_MS = 60_000
expect.set_options(timeout=DEADLINE_MS)
SETTINGS = [
    Setting(name="PORT", value=9000, default=8000, origin=".env", is_set=True, restart=True),
    Setting(name="API_KEYS", secret=True, is_set=True, origin="environment"),
    Setting(name="MAX_BATCHES", value=32, default=32, description="that have not ended"),
]
VALUES = {CHAT: {"slots": Value(value=4, origin="entry", file="/etc/own.yaml")}}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium; install Debian's package of this name")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, *FAKE_MICROPHONE]
        )
        yield made
        made.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Echo models for all that the page does; the slow one writes for as long as a test needs."""
    history = HistoryConfig(file=str(tmp_path_factory.mktemp("state") / "history.db"))
    with boxes() as make:
        models = spec(CHAT, slots=4), spec(EMBED), spec(SPEECH)
        yield make(*models, settings=SETTINGS, values=VALUES, history=history).wait_ready()


class Visit:
    """One visitor: his browser, what he may not see, and what he asked elsewhere."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url = url
        self.problems: list[str] = []
        self.expects_refusals = False  # of what the page's policy forbids
        self.foreign: list[str] = []
        self.page: Page = context.new_page()
        self.page.set_default_timeout(DEADLINE_MS)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self._hear(said.type, said.text))
        self.page.on("request", lambda asked: self._see(asked.url))

    def _hear(self, kind: str, text: str) -> None:
        # The browser says this of each answer with an error status; the page tells it by itself.
        refused = self.expects_refusals and "Content Security Policy" in text
        if kind == "error" and "Failed to load resource" not in text and not refused:
            self.problems.append(text)

    def _see(self, url: str) -> None:
        if not url.startswith((self.url, "blob:", "data:")):
            self.foreign.append(url)

    def open(self, page: str) -> Page:
        self.page.goto(f"{self.url}/#/{page}")
        self.page.wait_for_selector("main h1")
        return self.page


@pytest.fixture
def visit(browser: Browser, box: Box) -> Iterator[Visit]:
    """Fails where a page has thrown, broken its own policy, or asked another server."""
    context = browser.new_context(permissions=["microphone"], base_url=box.url)
    one = Visit(context, box.url)
    yield one
    context.close()
    assert (one.problems, one.foreign) == ([], [])
