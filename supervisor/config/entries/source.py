"""Where a model's files come from: `source` of an entry, as text and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from supervisor.config.values import expanded
from supervisor.config.variables import unexpanded

SOURCES = "pypi:<package>==<version>, sdist:<package>==<version>, hf:<repository> or file:<path>"


@dataclass(frozen=True)
class Packages:
    """Files inside packages of the package index, as ``name==version``; never installed."""

    requirements: tuple[str, ...]
    kind: str  # "wheel" or "sdist"


@dataclass(frozen=True)
class HubRepo:
    repo: str
    revision: str


@dataclass(frozen=True)
class LocalPath:
    path: Path


Source = Packages | HubRepo | LocalPath


def parse_source(text: str, base: Path) -> Source:
    """What ``text`` names; a relative ``file:`` is taken from ``base``. Raises `ValueError`."""
    scheme, _, rest = text.partition(":")
    if name := unexpanded(text):
        raise ValueError(f"{text!r}: {name} is not expanded in YAML; write what it stands for")
    if scheme == "file" and rest.strip():
        return LocalPath((base / expanded(Path(rest.strip()))).resolve())
    if scheme == "hf" and re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", rest, re.ASCII):
        repo, _, revision = rest.partition("@")
        return HubRepo(repo, revision or "main")
    if scheme in ("pypi", "sdist"):
        wanted = tuple(rest.split())
        if wanted and all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", each, re.ASCII) for each in wanted):
            return Packages(wanted, "wheel" if scheme == "pypi" else "sdist")
    raise ValueError(f"{text!r} is not a source; write {SOURCES}")
