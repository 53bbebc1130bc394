"""Every link from a page to a file of this project leads to one, and to a heading where it names
one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MADE = {".venv", ".peers", "node_modules", "models", ".data", "clients"}
PAGES = sorted(page for page in ROOT.rglob("*.md") if not _MADE & set(page.relative_to(ROOT).parts))
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    """What it links to besides the web; an absolute path is something else in brackets."""
    return [to for to in _LINK.findall(page.read_text()) if not re.match(r"[a-z]+:|/", to)]


def headings(page: Path) -> set[str]:
    """The names of its headings, as a link has them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if heading:
            assert heading in headings(target), link
