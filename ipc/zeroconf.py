"""Whether what announces this server on the network is installed."""

from __future__ import annotations

import importlib.util

PACKAGES = "requirements-zeroconf.txt"


def is_installed() -> bool:
    """Whether the package is here; it is not imported."""
    return importlib.util.find_spec("zeroconf") is not None
