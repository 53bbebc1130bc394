"""This program as others are told of it."""

from __future__ import annotations

import functools
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NAME = "edge-serve"
_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


@functools.cache
def program_version() -> str:
    """Of the package that is installed, or of the checkout that this runs from without one."""
    try:
        return version(NAME)
    except PackageNotFoundError:
        with _PROJECT.open("rb") as file:
            found: str = tomllib.load(file)["project"]["version"]
        return found
