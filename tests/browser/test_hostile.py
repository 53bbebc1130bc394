"""Nothing that others write runs in the page, leaves it, or asks another server."""

from __future__ import annotations

from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.hostile import HOSTILE
from tests.process.box import CHAT, Box

# What only another's script, frame or form would have left in the page.
_FOREIGN = ["script", "iframe", "object", "embed", "form[action]", "link", "style", "meta", "base"]
_TRACES = f"""() => [
  document.querySelectorAll("{", ".join(f"main {one}" for one in _FOREIGN)}").length,
  document.querySelectorAll(".markdown img, .markdown [style]").length,
  [...document.querySelectorAll("main *")].filter((one) => one.getAttributeNames()
    .some((name) => name.startsWith("on"))).length,
  [...document.querySelectorAll("main a")].filter((one) => one.protocol === "javascript:").length,
]"""


def assert_harmless(page: Page, title: str) -> None:
    assert page.evaluate(_TRACES) == [0, 0, 0, 0]
    assert page.title() == title


def test_there_are_a_hundred() -> None:
    assert len(HOSTILE) == len(set(HOSTILE)) >= 100


def test_what_a_model_writes(visit: Visit) -> None:
    visit.expects_refusals = True
    page = visit.open("chat")
    for at, text in enumerate(HOSTILE):
        page.get_by_label("Your message").fill(text.replace("\0", ""))
        page.keyboard.press("Enter")
        expect(page.locator(".turn.assistant")).to_have_count(at % 20 + 1)
        expect(page.locator(".turn.assistant").last).to_contain_text("written")
        if at % 20 == 19:
            assert_harmless(page, "Chat \u00b7 edge-serve")
            page.get_by_role("button", name="New chat").click()
    assert_harmless(page, "Chat \u00b7 edge-serve")


def test_what_clients_ask_for_in_logs_requests_and_errors(visit: Visit, box: Box) -> None:
    for text in HOSTILE:
        plain = text.replace("\0", "")
        box.client.get(f"/v1/models/{quote(plain, safe='')}")
        name = "".join(one for one in plain if "!" <= one <= "~")[:128]
        box.chat(plain, model=plain)  # which is refused
        body = {"model": CHAT, "messages": [{"role": "user", "content": plain}]}
        box.client.post("/v1/chat/completions", json=body, headers={"x-request-id": name})
    for name in ("requests", "logs/frontend"):
        page = visit.open(name)
        expect(page.locator("main tbody tr, main .line").nth(20)).to_be_attached()
        assert_harmless(page, f"{name.partition('/')[0].capitalize()} \u00b7 edge-serve")


def test_what_stands_in_the_address(visit: Visit) -> None:
    for text in HOSTILE[::5]:
        for name in ("models", "requests", "logs", "tools", "chat"):
            page = visit.open(f"{name}/{quote(text, safe='')}")
            assert page.evaluate(_TRACES) == [0, 0, 0, 0]
