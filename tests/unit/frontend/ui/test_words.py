"""What the page says in other languages: all of it, and nothing besides."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from frontend.ui.files import WEB
from tests.unit.frontend.ui.words import said_by

LANGUAGES = sorted((WEB / "words").glob("*.js"))
SCRIPTS = {
    path.relative_to(WEB).as_posix(): path.read_text()
    for folder in (WEB, WEB / "lib", WEB / "pages")
    for path in (folder.glob("*.js") if folder == WEB else folder.rglob("*.js"))
}
_STRING = r'"((?:[^"\\]|\\.)*)"'


def entries(language: Path) -> list[tuple[str, str]]:
    """Its words by the English ones, in their order."""
    pairs = re.findall(f"{_STRING}: {_STRING}", language.read_text())
    return [(json.loads(f'"{english}"'), json.loads(f'"{other}"')) for english, other in pairs]


def test_templates_are_found_whatever_they_hold() -> None:
    script = "html`<b>${t`${a[`x${1}`]} of ${b({c: 1})} wait`}</b> ${not`this`}` + t`all`"
    assert [*said_by(script)] == ["{} of {} wait", "all"]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda path: path.stem)
def test_a_language_has_all_that_the_page_says(language: Path) -> None:
    known = dict(entries(language))
    missing = {said: name for name, script in SCRIPTS.items() for said in said_by(script)}
    assert {said: name for said, name in missing.items() if said not in known} == {}


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda path: path.stem)
def test_a_language_has_nothing_that_nobody_says(language: Path) -> None:
    said = {one for script in SCRIPTS.values() for one in said_by(script)}
    everything = "".join(SCRIPTS.values())  # a state is said as it comes
    found = [english for english, _ in entries(language)]
    assert [one for one in found if one not in said and one not in everything] == []
    assert len(found) == len(set(found))


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda path: path.stem)
def test_as_much_is_filled_in_as_in_english(language: Path) -> None:
    differ = [one for one, other in entries(language) if one.count("{}") != other.count("{}")]
    assert differ == []
