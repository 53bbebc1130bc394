"""The folders that systemd makes for the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Kind = Literal["CACHE", "RUNTIME", "STATE"]


def service_folder(variable: Kind) -> Path | None:
    """The first of `service_folders`, if there is one."""
    return next(iter(service_folders(variable)), None)


def service_folders(variable: Kind) -> list[Path]:
    """Those that ``<variable>_DIRECTORY`` names (systemd.exec(5)); none outside of systemd."""
    given = os.environ.get(f"{variable}_DIRECTORY", "")
    return [Path(one) for one in given.split(":") if one]
