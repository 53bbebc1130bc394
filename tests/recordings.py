"""Fetches the recordings that the speech tests transcribe: ``python -P tests/recordings.py``.

They come out of source distributions, file by file, checked by digest; nothing is installed.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from supervisor.models.store import PackedFile, fetch_files

LIST = Path(__file__).with_name("recordings.yaml")
FOLDER = Path(__file__).with_name(".data")


def known() -> list[dict[str, Any]]:
    """Every recording of the list, with the name of its file here."""
    entries: list[dict[str, Any]] = yaml.safe_load(LIST.read_text())
    return [{**entry, "file": Path(entry["path"]).name} for entry in entries]


def main() -> None:
    missing = [entry for entry in known() if not (FOLDER / entry["file"]).exists()]
    package = itemgetter("package", "version")
    for (name, version), entries in groupby(sorted(missing, key=package), key=package):
        files = {entry["file"]: PackedFile(entry["path"], entry["sha256"]) for entry in entries}
        fetch_files(f"{name}=={version}", "sdist", files, FOLDER, lambda *_: None)
        print(f"{name}=={version}: {', '.join(files)}")


if __name__ == "__main__":
    main()
