"""Each event that the documents name is told on the page as a person would say it."""

from __future__ import annotations

import re
from pathlib import Path

from frontend.ui.files import WEB

ADMIN = Path(__file__).parents[4] / "docs" / "admin.md"


def documented() -> set[str]:
    """The types in the table of events: what stands in backticks in its first column."""
    events = ADMIN.read_text().partition("\n## Events\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in events.splitlines() if line.startswith("| `")]
    return {kind for row in rows for kind in re.findall(r"`([a-z_.]+)`", row)}


def test_the_page_has_words_for_each_event() -> None:
    script = (WEB / "lib" / "events.js").read_text()
    known = set(re.findall(r'^  "?([a-z_.]+)"?: \(', script, re.MULTILINE))
    assert "model.state" in documented()
    assert documented() - known == set()
