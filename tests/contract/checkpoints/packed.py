"""Models of a few kilobytes that lie beside the tests, packed."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path


def pack(archive: Path, folder: Path) -> None:
    """All that lies in ``folder``."""
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for one in sorted(folder.iterdir()):
            packed.add(one, one.name)


def unpack(archive: Path, folder: Path, under: str = "") -> None:
    """What of ``archive`` lies ``under`` a name, below ``folder``."""
    with tarfile.open(archive) as packed:
        members = [one for one in packed.getmembers() if one.name.startswith(under)]
        extract(packed, folder, members)


def extract(packed: tarfile.TarFile, folder: Path, members: Iterable[tarfile.TarInfo]) -> None:
    """These of its ``members``, none of them outside ``folder``."""
    # An argument of `extractall` only since Python 3.11.4.
    packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
    packed.extractall(folder, members)
