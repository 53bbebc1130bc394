"""What is not chat: it does what it says, and its requests can be taken along."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Visit


def test_texts_are_compared(visit: Visit) -> None:
    page = visit.open("tools/embeddings")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("table.matrix tbody tr")).to_have_count(4)
    expect(page.locator("table.matrix tbody tr").first.locator("td").first).to_have_text("1.00")


def test_what_the_microphone_hears_is_transcribed(visit: Visit) -> None:
    page = visit.open("tools/transcribe")
    page.get_by_label("Names and words").fill("what was said")  # which the engine echoes
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".transcript")).to_have_text("what was said")


def test_words_are_shown_while_they_are_said(visit: Visit) -> None:
    """A browser beeps for a microphone; the engine hears the prompt in it."""
    page = visit.open("tools/transcribe")
    page.get_by_label("Names and words").fill("what was said")
    page.get_by_role("button", name="Live words").click()
    expect(page.locator(".transcript")).to_contain_text("what was said")
    page.get_by_role("button", name="Stop listening").click()
    expect(page.get_by_role("button", name="Live words")).to_be_enabled()


def test_a_transcript_with_times_can_be_saved_as_subtitles(visit: Visit) -> None:
    page = visit.open("tools/transcribe")
    page.get_by_label("Names and words").fill("what was said")
    page.get_by_label("With the times of words").check()
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator(".timed .word")).to_have_text(["what", "was", "said"])
    with page.expect_download() as saved:
        page.get_by_role("link", name="SRT").click()
    assert saved.value.suggested_filename == "transcript.srt"
    assert saved.value.path().read_text() == ("1\n00:00:00,000 --> 00:00:03,000\nwhat was said\n\n")


def test_a_request_is_shown_as_programs_write_it(visit: Visit) -> None:
    page = visit.open("tools/embeddings")
    page.get_by_role("button", name="Python").click()
    expect(page.locator(".copyable")).to_contain_text("client.embeddings.create(")
    page.get_by_role("button", name="JavaScript").click()
    expect(page.locator(".copyable")).to_contain_text("client.embeddings.create(")
    page.get_by_role("button", name="curl").click()
    expect(page.locator(".copyable")).to_contain_text("curl http://127.0.0.1")
