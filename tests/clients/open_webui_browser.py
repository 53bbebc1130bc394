"""Drives Open WebUI in a browser as somebody would, and prints what was seen as JSON.

Runs in the environment of Open WebUI, which has Playwright:
python open_webui_browser.py ADDRESS DOCUMENT RECORDING FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

# One answer may wait for what Open WebUI asks beside it: a title, tags, questions.
PATIENCE_MS = 240_000
BROWSER = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
ANSWER = ".chat-assistant"
INPUT = "#chat-input"


def main(address: str, document: str, recording: str, folder: str) -> dict[str, object]:
    microphone = f"--use-file-for-fake-audio-capture={recording}%noloop"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*BROWSER, microphone]
        )
        page = browser.new_context(permissions=["microphone"]).new_page()
        page.set_default_timeout(PATIENCE_MS)
        try:
            return {
                "chat": chat(page, address),
                "document": ask_document(page, address, Path(document)),
                "speech": dictate(page, address),
            }
        finally:
            page.screenshot(path=f"{folder}/last.png", full_page=True)
            browser.close()


def begin(page: Page, address: str) -> None:
    """A new chat, without what is shown to newcomers."""
    page.goto(address)
    page.wait_for_selector(INPUT)
    page.wait_for_selector("#model-selector-model-button")
    page.wait_for_timeout(1000)
    if page.get_by_text("Okay, Let's Go!").count():
        page.get_by_text("Okay, Let's Go!").click()


def send(page: Page, text: str) -> str:
    """Ask, and return the answer once it is complete."""
    page.click(INPUT)
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_selector(ANSWER)
    # The button to copy an answer appears at its end.
    page.wait_for_selector(".copy-response-button")
    return str(page.locator(ANSWER).last.inner_text())


def chat(page: Page, address: str) -> str:
    begin(page, address)
    return send(page, "What is the capital of France?")


def ask_document(page: Page, address: str, document: Path) -> dict[str, object]:
    """Upload a file, which is embedded piece by piece, and ask about it."""
    begin(page, address)
    uploads: list[int] = []
    page.on(
        "response",
        lambda answer: (
            uploads.append(answer.status)
            if answer.request.method == "POST" and "/api/v1/files/" in answer.url
            else None
        ),
    )
    page.locator("input[type=file]").first.set_input_files(str(document))
    page.get_by_text(document.name).first.wait_for()
    wait_until_processed(page, address, document.name)
    answer = send(page, "What colour is the door of the lighthouse keeper's house?")
    return {"uploads": uploads, "status": status_of(page, address, document.name), "answer": answer}


def wait_until_processed(page: Page, address: str, name: str) -> None:
    for _ in range(PATIENCE_MS // 1000):
        if status_of(page, address, name) in ("completed", "failed"):
            return
        page.wait_for_timeout(1000)


def status_of(page: Page, address: str, name: str) -> str:
    """What Open WebUI says has become of the file."""
    found = page.evaluate(
        """async address => (await fetch(address + '/api/v1/files/', {headers:
        {authorization: 'Bearer ' + localStorage.token}})).json()""",
        address,
    )
    files = found if isinstance(found, list) else found.get("items", [])
    named = [each for each in files if each.get("filename") == name]
    return str((named[-1].get("data") or {}).get("status")) if named else "missing"


def dictate(page: Page, address: str) -> str:
    """Speak into the microphone; returns the text that stands in the field for a message."""
    begin(page, address)
    page.click("#voice-input-button")
    page.wait_for_selector("#confirm-recording-button")
    page.wait_for_timeout(13_000)  # the recording has 11 s
    page.click("#confirm-recording-button")
    page.wait_for_function(f"document.querySelector('{INPUT}')?.innerText.trim().length > 0")
    return str(page.locator(INPUT).inner_text())


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
