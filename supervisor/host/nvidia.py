"""Questions to NVIDIA's driver, which is not there on most boxes and does not know on some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def ask(question: Callable[[Any], T], otherwise: T) -> T:
    """What ``question`` finds out when it is handed the driver's library (pynvml, initialised).

    ``otherwise`` where there is no library or no driver, or where it has no answer.
    """
    try:
        import pynvml
    except ImportError:  # it is installed on Linux only
        return otherwise
    try:
        pynvml.nvmlInit()
        try:
            return question(pynvml)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return otherwise
