"""The folders that systemd makes for the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal


def service_folder(variable: Literal["CACHE", "RUNTIME", "STATE"]) -> Path | None:
    """What ``<variable>_DIRECTORY`` names, the first where it names several (systemd.exec(5));
    None where there is none, as outside of systemd."""
    given = os.environ.get(f"{variable}_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else None
