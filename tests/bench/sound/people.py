"""Languages spoken by people: which are told, and the words of each.

    python -P -m tests.bench.sound.people MODEL_FOLDER

The recordings are those of the tests and those of Debian's packages in people.yaml, of which apt
downloads what is missing; nothing is installed. Columns as in `tests/bench/sound/languages.py`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from supervisor.models.archive import unpack
from supervisor.models.store import PackedFile
from tests import recordings
from tests.bench.sound.languages import Clip, asked, compare

LIST = Path(__file__).with_name("people.yaml")
FOLDER = recordings.FOLDER / "debian"
DOWNLOAD_S = 600


def of_the_tests() -> Iterator[Clip]:
    """All but the English ones, which other figures tell about."""
    recordings.main()
    for entry in recordings.known():
        if entry["language"] != "en":
            path = recordings.FOLDER / entry["file"]
            yield _clip(entry, path)


def of_debian() -> Iterator[Clip]:
    entries = yaml.safe_load(LIST.read_text())
    package = itemgetter("package", "version")
    for (name, version), group in groupby(entries, key=package):
        listed = list(group)
        missing = [entry for entry in listed if not _path(entry).exists()]
        if missing:
            _fetch(name, version, missing)
        yield from (_clip(entry, _path(entry)) for entry in listed)


def _clip(entry: dict[str, Any], path: Path) -> Clip:
    english = entry.get("english", "")
    translated = english if isinstance(english, str) else " ".join(english)
    return Clip(entry["language"], entry["name"], path.read_bytes(), entry["text"], translated)


def _path(entry: dict[str, Any]) -> Path:
    return FOLDER / str(entry["package"]) / Path(entry["path"]).name


def _fetch(package: str, version: str, entries: list[dict[str, Any]]) -> None:
    """Raises `FetchError`, and `CalledProcessError` where apt or dpkg-deb fails."""
    files = {_path(entry).name: PackedFile(entry["path"], entry["sha256"]) for entry in entries}
    with tempfile.TemporaryDirectory() as work:
        download = ["apt-get", "download", "-q", f"{package}={version}"]
        subprocess.run(download, cwd=work, check=True, timeout=DOWNLOAD_S)
        (archive,) = Path(work).glob("*.deb")
        content = Path(work) / "content.tar"
        with content.open("wb") as out:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=out, check=True)
        unpack([content], files, FOLDER / package, lambda *_: None)


def main() -> None:
    given = asked("languages spoken by people")
    compare(given.model, chain(of_the_tests(), of_debian()), given.words)


if __name__ == "__main__":
    main()
