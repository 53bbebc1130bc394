"""What is printed is seen, and is no command to a terminal."""

from __future__ import annotations

import json

import pytest

from supervisor.cli import output
from supervisor.cli.harmless import harmless, harmless_lines

HIDDEN = {
    "a window's title": "\x1b]0;owned\x07",
    "the C1 form of a command": "\x9b2J",
    "a carriage return over what was said": "good\rbad",
    "a line of its own": "one\ntwo",
    "an overstrike": "a\x08b",
    "what turns the direction of writing": "\u202egpj.exe",
    "an isolate": "\u2066x\u2069",
    "a space of no width": "a\u200bb",
    "a separator of lines": "a\u2028b",
    "a tag": "\U000e0041",
    "half of a pair": "\ud800",
    "delete": "\x7f",
}
SEEN = ("Grüße", "日本語\u3000です", "👩\u200d💻", "क\u094d\u200dष", "1\u00a0000", "")


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_has_no_picture_is_shown_to_be_there(text: str) -> None:
    shown = harmless(text)
    assert "\N{REPLACEMENT CHARACTER}" in shown
    assert shown.isprintable()
    assert len(shown) == len(text)


@pytest.mark.parametrize("text", SEEN)
def test_what_people_write_stays(text: str) -> None:
    assert harmless(text) == text


def test_a_text_of_lines_keeps_these_and_its_tabs() -> None:
    assert harmless_lines("a\n\tb\x1b[31m\n") == "a\n\tb\N{REPLACEMENT CHARACTER}[31m\n"


def test_json_is_the_same_document_without_anything_hidden(
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = {name: [text] for name, text in HIDDEN.items()} | {"seen": [*SEEN]}
    output.as_json(document)
    output.json_line(json.dumps(document))
    del document["half of a pair"]  # which no JSON of others may have
    output.as_written_json(json.dumps(document).encode())
    whole, _, rest = capsys.readouterr().out.partition("\n}\n")
    for text in (f"{whole}\n}}", *rest.splitlines()):
        assert json.loads(text).items() >= document.items()
        assert all(harmless(line) == line for line in text.split("\n"))
