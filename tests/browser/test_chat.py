"""The chat: written as it comes, branched, spoken; and what becomes of it if something ends."""

from __future__ import annotations

import json
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.process.box import CHAT, Box, wait_until

FENCE = "```"


def say(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


def test_a_chat_is_written_as_it_comes(visit: Visit) -> None:
    page = visit.open("chat")
    say(page, "hello **world**")
    expect(page.locator(".turn.assistant strong")).to_have_text("world")
    expect(page.locator(".turn.assistant")).to_contain_text("written")


def test_a_chat_is_stopped(visit: Visit) -> None:
    page = visit.open("chat")
    say(page, "/slow 200 " + "word " * 200)
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".turn.assistant")).to_contain_text("stopped")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_escape_stops_an_answer(visit: Visit) -> None:
    page = visit.open("chat")
    say(page, "/slow 200 " + "word " * 200)
    expect(page.locator(".turn.assistant")).to_contain_text("word")
    page.keyboard.press("Escape")
    expect(page.locator(".turn.assistant")).to_contain_text("stopped")


def test_code_of_an_answer_is_copied_by_itself(visit: Visit) -> None:
    visit.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visit.open("chat")
    say(page, f"before\n{FENCE}python\nif a < b:\n    print(a)\n{FENCE}\nafter")
    code = page.locator(".turn.assistant .copyable")
    expect(code.locator("pre")).to_have_text("if a < b:\n    print(a)\n")
    code.get_by_role("button", name="Copy").click()
    expect(code.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "if a < b:\n    print(a)\n"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_file_of_text_is_read_into_the_message(visit: Visit) -> None:
    page = visit.open("chat")
    files = page.locator("input[type=file]")
    files.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": b"x;y\n1;2\n"})
    expect(page.get_by_label("Your message")).to_have_value(f"a.csv:\n{FENCE}\nx;y\n1;2\n{FENCE}\n")
    files.set_input_files({"name": "a.bin", "mimeType": "", "buffer": b"\0\1"})
    expect(page.locator(".notice.error")).to_contain_text("a.bin is no text and no image")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn.assistant pre")).to_have_text("x;y\n1;2\n")


def test_who_edits_a_message_with_an_image_keeps_the_image(visit: Visit) -> None:
    page = visit.open("chat")
    bodies: list[str] = []
    answered = 'data: {"choices": [{"index": 0, "delta": {"content": "seen"}}]}\n\ndata: [DONE]\n\n'
    page.route("**/v1/chat/completions", lambda route: route.fulfill(body=answered))
    page.on("request", lambda one: bodies.append(one.post_data or ""))
    page.locator("input[type=file]").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG"}
    )
    expect(page.get_by_label("Remove this image")).to_be_visible()
    say(page, "first")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Change what was asked").fill("second")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".branches").first).to_contain_text("2/2")
    (message,) = json.loads([one for one in bodies if one][-1])["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]
    assert message["content"][0]["text"] == "second"


def test_reasoning_is_folded_away_with_how_long_it_took(visit: Visit) -> None:
    page = visit.open("chat")
    deltas = [{"reasoning_content": "Well."}, {"content": "Yes."}]
    chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(body=body))
    say(page, "Is it?")
    expect(page.locator(".reasoning summary")).to_have_text(re.compile(r"Its reasoning \(\d+ ms\)"))


def test_a_chat_goes_on_while_its_page_is_loaded_again(visit: Visit, box: Box) -> None:
    page = visit.open("chat")
    words = " ".join(f"word{number}" for number in range(60))
    say(page, f"/slow 50 {words}")
    expect(page.locator(".turn.assistant")).to_contain_text("word5 ")
    page.reload()
    expect(page.locator(".turn.assistant .markdown")).to_have_text(words)
    expect(page.locator(".turn.assistant")).to_have_count(1)
    wait_until(lambda: box.queue(CHAT)["in_flight"] == 0)  # its last word is not yet its end


def test_a_chat_whose_worker_dies_says_so(visit: Visit, box: Box) -> None:
    page = visit.open("chat")
    say(page, "/exit 7")
    expect(page.locator(".notice.error")).to_contain_text("stopped while it worked")
    box.wait_ready()


def test_a_chat_whose_worker_is_killed_goes_on_and_can_be_asked_again(
    visit: Visit, box: Box
) -> None:
    page = visit.open("chat")
    say(page, "/slow 100 " + "word " * 40 + "last")
    expect(page.locator(".turn.assistant")).to_contain_text("word word")
    box.kill(CHAT)
    answer = page.locator(".turn.assistant .markdown")
    expect(answer).to_have_text("word " * 40 + "last", timeout=60_000)
    expect(page.locator(".turn.assistant .error")).to_have_count(0)
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".branches")).to_contain_text("2/2")


def test_who_edits_begins_a_branch_and_loses_nothing(visit: Visit) -> None:
    page = visit.open("chat")
    say(page, "first")
    expect(page.locator(".turn.assistant")).to_contain_text("written")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Change what was asked").fill("second")
    page.get_by_role("button", name="Ask again").click()
    answer = page.locator(".turn.assistant .markdown")
    expect(answer).to_have_text("second")
    page.get_by_role("button", name="The one before").click()
    expect(answer).to_have_text("first")
    page.reload()
    expect(answer).to_have_text("first")
    page.get_by_role("button", name="The next one").click()
    expect(answer).to_have_text("second")


def test_who_cannot_see_it_hears_an_answer_once_it_is_whole(visit: Visit) -> None:
    page = visit.open("chat")
    say(page, "/slow 100 one two three")
    said = page.locator(".chat [role=status]").last
    expect(said).to_have_text("one two three")
    assert page.locator(".turns [aria-live]").count() == 0  # not token by token


def test_a_message_can_be_spoken(visit: Visit) -> None:
    page = visit.open("chat")
    page.route("**/v1/audio/transcriptions", lambda route: route.fulfill(body=HEARD))
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_label("Your message")).to_have_value("what was said")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".turn.assistant .markdown")).to_have_text("what was said")


# An echo engine hears nothing in what a browser makes up for a microphone.
HEARD = 'data: {"type": "transcript.text.done", "text": "what was said"}\n\n'


def test_calls_of_tools_are_answered_together(visit: Visit) -> None:
    page = visit.open("chat")
    calls = [
        {"index": at, "id": f"call-{at}", "type": "function", "function": {"name": name}}
        for at, name in enumerate(("weather", "time"))
    ]
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}
    asked: list[str] = []
    events = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(body=events))
    say(page, "How warm is it, and how late?")
    page.get_by_label("What weather gives").fill("12 degrees")
    page.get_by_label("What time gives").fill("noon")
    page.unroute("**/v1/chat/completions")
    page.on("request", lambda one: asked.append(one.post_data or ""))
    page.get_by_role("button", name="Answer the calls").click()
    expect(page.locator(".turn.tool")).to_have_count(2)
    expect(page.locator(".turn.assistant")).to_have_count(2)
    (body,) = [json.loads(one) for one in asked if one]
    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert [one.get("content") for one in body["messages"][2:]] == ["12 degrees", "noon"]
