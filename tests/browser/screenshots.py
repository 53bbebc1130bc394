"""python -m tests.browser.screenshots DIR: each page, light, dark and on a phone, to be looked at.

It starts a server of its own with the default models and one that speaks, has it do what people do,
loads one model in another's place, and takes pictures of all that there is then.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.ports import free_port
from tests.process.box import wait_until

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "tests" / ".data" / "jfk.wav"
CHAT, EMBED = "HuggingFaceTB/SmolLM2-135M-Instruct", "sentence-transformers/all-MiniLM-L6-v2"
HEAR, SPEAK = "openai/whisper-base", "hibari"
CATALOG = f"""
serve: [{CHAT}, {EMBED}, {HEAR}, {SPEAK}]
models:
  - {{name: {HEAR}, load: on_demand}}
  - {{name: {SPEAK}, load: on_demand, memory_mb: 900}}
"""
# So much that the two that are loaded on demand take turns.
BUDGET_MB = 1600
STARTS_S, ANSWERS_S = 180.0, 120.0
WIDTH, HEIGHT = 1280, 860
Scheme = Literal["light", "dark"]
LOOKS: dict[str, tuple[Scheme, dict[str, int]]] = {
    "light": ("light", {"width": WIDTH, "height": HEIGHT}),
    "dark": ("dark", {"width": WIDTH, "height": HEIGHT}),
    "phone": ("light", {"width": 390, "height": 844}),
}


@contextmanager
def server() -> Iterator[httpx2.Client]:
    """With its models loaded, and a state of its own, which goes with it."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="es-") as folder:
        catalog = Path(folder, "models.yaml")
        catalog.write_text(CATALOG)
        settings = {"EDGE_SERVE_STATE_DIR": folder, "MEMORY_BUDGET_MB": str(BUDGET_MB)}
        command = ["supervisor.cli", "--port", str(port), "--config", str(catalog)]
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", *command], cwd=ROOT, env=os.environ | settings
        )
        url = f"http://127.0.0.1:{port}"
        try:
            with httpx2.Client(base_url=url, timeout=ANSWERS_S) as client:
                wait_until(lambda: _is_ready(client), STARTS_S)
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def use(client: httpx2.Client) -> None:
    """What people ask of such a server in a quarter of an hour, some of it in vain."""
    texts = ["Bread is made of flour.", "Paris is the capital of France.", "The cat sleeps."]
    _post(client, "embeddings", {"model": EMBED, "input": texts})
    for question in ("What is a solar eclipse?", "Name three rivers.", "Say hello in French."):
        messages = [{"role": "user", "content": question}]
        _post(client, "chat/completions", {"model": CHAT, "messages": messages, "max_tokens": 60})
    _hear(client)
    _post(client, "audio/speech", {"model": SPEAK, "input": "The kettle is on the stove."})
    _hear(client)
    _post(client, "embeddings", {"model": EMBED, "input": "How do I bake bread?"})
    _post(client, "chat/completions", {"model": "gpt-5", "messages": []})


def _post(client: httpx2.Client, path: str, body: dict[str, Any]) -> None:
    client.post(f"/v1/{path}", json=body)


def _hear(client: httpx2.Client) -> None:
    sound = {"file": (RECORDING.name, RECORDING.read_bytes())}
    client.post("/v1/audio/transcriptions", data={"model": HEAR}, files=sound)


# --- what is done on a page before its picture is taken ---


def _talk(page: Page) -> None:
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Most tokens").fill("110")
    page.get_by_text("Options (some are set)", exact=True).click()
    for number, text in enumerate(("Why is the sky blue?", "And at sunset? Two sentences."), 1):
        page.get_by_label("Your message").fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Retry")).to_have_count(number)


def _transcribe(page: Page) -> None:
    page.get_by_label("With the times of words").check()
    page.locator("input[type=file]").set_input_files(RECORDING)
    expect(page.locator(".timed .word").first).to_be_visible()


def _speak(page: Page) -> None:
    page.get_by_role("button", name="Speak", exact=True).click()
    expect(page.locator("audio")).to_be_visible()


def _compare(page: Page) -> None:
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Python").click()
    expect(page.locator("table.matrix")).to_be_visible()


def _nothing(page: Page) -> None:
    page.wait_for_load_state("load")


ACTS: dict[str, Callable[[Page], None]] = {
    "chat": _talk,
    "tools/transcribe": _transcribe,
    "tools/speak": _speak,
    "tools/embeddings": _compare,
}


def addresses(page: Page) -> list[str]:
    """Every page that the menu has, with what else can be opened from one of them."""
    page.goto("/")
    page.wait_for_selector("nav#pages a")
    found = [one.partition("#/")[2] for one in page.locator("nav#pages a").evaluate_all(_HREFS)]
    page.goto("/#/requests")
    request = page.locator("main table a[href*='#/requests/']", has_text=re.compile(r"\d")).last
    request.wait_for()
    opened = str(request.get_attribute("href")).partition("#/")[2]
    others = ["tools/transcribe", "tools/speak", "tools/embeddings", "models/" + HEAR]
    return [*(one for one in found if one != "tools"), *others, opened]


_HREFS = "links => links.map((one) => one.href)"


def name_of(address: str) -> str:
    page, _, rest = address.partition("/")
    return f"{page}-{rest}" if page == "tools" else f"{page}-one" if rest else page


def take(browser: Browser, url: str, folder: Path, only: list[str]) -> None:
    first = browser.new_page(base_url=url)
    pages = [one for one in addresses(first) if not only or name_of(one) in only]
    first.close()
    for look, (scheme, size) in LOOKS.items():
        context = browser.new_context(
            base_url=url,
            color_scheme=scheme,
            viewport={"width": size["width"], "height": size["height"]},
            locale="en-US",
        )
        context.set_default_timeout(1000 * ANSWERS_S)
        expect.set_options(timeout=1000 * ANSWERS_S)
        page = context.new_page()
        for address in pages:
            page.goto(f"/#/{address}")
            page.wait_for_selector("main h1")
            expect(page.locator("main > .quiet")).to_have_count(0)
            ACTS.get(address, _nothing)(page)
            page.wait_for_timeout(2500)  # a second report: rates come of two
            whole = (look == "phone" and address != "chat") or address == "overview"
            picture = page.screenshot(full_page=whole, animations="disabled")
            _keep(picture, folder / f"{name_of(address)}-{look}.webp")
        context.close()


def _keep(picture: bytes, path: Path) -> None:
    """Of a long page its beginning."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.crop((0, 0, image.width, min(image.height, 2 * HEIGHT)))
    image.save(path, lossless=True, quality=100, method=6)
    print(path, path.stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="of a server that runs, in place of one of its own")
    parser.add_argument("--only", nargs="+", default=[], help="these pages, as pictures are called")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        if given.url:
            take(browser, given.url, given.folder, given.only)
        else:
            with server() as client:
                use(client)
                take(browser, str(client.base_url), given.folder, given.only)
        browser.close()


if __name__ == "__main__":
    main()
