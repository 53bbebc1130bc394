"""python -m tests.browser.cost [SECONDS]: what the page costs in bytes, time and work.

With echo models on a server of its own. The processor time is that of the supervisor and the
frontend, for SECONDS without a page and as many with a watched overview, in turns.
"""

from __future__ import annotations

import statistics
import sys
import time

import psutil
from playwright.sync_api import Browser, sync_playwright

from frontend.ui.files import files
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.process.box import CHAT, EMBED, SPEECH, Box, boxes, spec

LOADS = 15
ROUNDS = 3
_PAINTS = "performance.getEntriesByType('paint').map((one) => [one.name, one.startTime])"


def first_paints(browser: Browser, url: str) -> list[float]:
    """Milliseconds until something was to be seen, each time in a browser that knows nothing."""
    found = []
    for _ in range(LOADS):
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.goto("/")
        page.wait_for_selector("main h1")
        found.append(dict(page.evaluate(_PAINTS))["first-contentful-paint"])
        context.close()
    return found


def until_drawn(browser: Browser, url: str) -> list[float]:
    """Milliseconds until the overview stands there with what the server has told of itself."""
    found = []
    for _ in range(LOADS):
        context = browser.new_context(base_url=url)
        page = context.new_page()
        page.goto("/", wait_until="commit")
        page.wait_for_selector("article.model")
        found.append(page.evaluate("performance.now()"))
        context.close()
    return found


def work(box: Box, seconds: float) -> float:
    """Seconds of processor that the server's own processes take, per second."""
    owned = [psutil.Process(box.process.pid), psutil.Process(box.health()["frontend"]["pid"])]

    def taken() -> float:
        times = [one.cpu_times() for one in owned]
        return sum(one.user + one.system for one in times)

    before, began = taken(), time.monotonic()
    time.sleep(seconds)
    return (taken() - before) / (time.monotonic() - began)


def shares(browser: Browser, box: Box, seconds: float) -> list[tuple[float, float, float]]:
    """Of each round: unwatched, with an overview that is seen, with one that is hidden."""
    found = []
    for _ in range(ROUNDS):
        alone = work(box, seconds)
        context = browser.new_context(base_url=box.url)
        page = context.new_page()
        page.goto("/")
        page.wait_for_selector("article.model")
        watched = work(box, seconds)
        page.evaluate(_HIDE)
        time.sleep(1)
        hidden = work(box, seconds)
        context.close()
        found.append((alone, watched, hidden))
    return found


_HIDE = """() => {
  Object.defineProperty(document, "hidden", { get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    in_all = sum(len(one.packed) for one in files().by_path.values())
    print(f"load {psutil.getloadavg()[0]:.1f}; {in_all} bytes of gzip in all")
    with sync_playwright() as playwright, boxes() as make:
        box = make(spec(CHAT, slots=4), spec(EMBED), spec(SPEECH)).wait_ready()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, found in (
            ("first paint", first_paints(browser, box.url)),
            ("overview drawn", until_drawn(browser, box.url)),
        ):
            print(
                f"{name}: median {statistics.median(found):.0f} ms of {sorted(map(round, found))}"
            )
        for alone, watched, hidden in shares(browser, box, seconds):
            print(
                f"unwatched {alone:.2%} of a core, watched {watched:.2%}, "
                f"so {watched - alone:+.2%}; hidden {hidden:.2%}"
            )
        browser.close()
    print(f"load {psutil.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
