"""What a reload is told to be, for people."""

from __future__ import annotations

from typing import Any

from supervisor.cli.commands.reload import lines

NOTHING: dict[str, Any] = {
    "added": [],
    "removed": [],
    "updated": {},
    "adjusted": {},
    "settings": [],
    "restart": [],
    "downtime": [],
    "left": [],
    "fetched": [],
    "warnings": [],
}


def test_each_change_has_a_line() -> None:
    report = NOTHING | {
        "added": ["new"],
        "removed": ["old"],
        "updated": {"chat": ["slots"], "big": ["facts"], "huge": ["facts"]},
        "adjusted": {"embed": ["queue_limit"]},
        "downtime": ["big", "huge"],
        "left": ["huge"],
        "fetched": ["far"],
        "settings": ["API_KEYS"],
        "restart": ["PORT"],
        "warnings": ["a key is short"],
    }
    assert list(lines(report)) == [
        "warning: a key is short",
        "new: joins",
        "old: leaves once its requests are answered",
        "chat: is updated, new workers load beside the old ones (slots)",
        "big: is replaced, and away meanwhile (facts)",
        "huge: stays as it is, there is no room for two of it; --allow-downtime replaces it "
        "(facts)",
        "embed: changes without a restart (queue_limit)",
        "far: its files are fetched first",
        "takes effect at once: API_KEYS",
        "needs a restart, and stays as it was: PORT",
    ]


def test_no_change_is_told_too() -> None:
    assert list(lines(NOTHING)) == ["nothing has changed"]
