"""The part of the environment that not every box needs: torch and what goes with it.

It is pinned in requirements-torch.txt, and ``bin/venv.sh`` installs it as it installs the rest: one
at a time, and again if it was interrupted. Only the environment that this script has made is ever
changed.
"""

from __future__ import annotations

import os
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from ipc.messages.spec import Spec
from supervisor.config.settings import ROOT, child_env
from supervisor.models.archive import FetchError, Report
from supervisor.models.packages import run_pip

_PINS = "requirements-torch.txt"
_MODULES = ("torch", "transformers", "accelerate")
_SCRIPT = ROOT / "bin" / "venv.sh"
_OWN = ROOT / ".venv"  # what the script makes


def serves_by_torch(spec: Spec) -> bool:
    """Whether serving takes torch. What a conversion takes is found out by trying it."""
    return spec.engine == "torch"


def is_here() -> bool:
    """Whether torch can be imported, whatever its version."""
    return all(find_spec(module) for module in _MODULES)


def install(report: Report) -> None:
    """Have torch here, and in our own environment as it is pinned; pip bounds its own waits.

    Raises `FetchError`.
    """
    if Path(sys.prefix).resolve() != _OWN.resolve():
        if not is_here():
            raise FetchError(f"torch is not installed here; run: {_by_hand()}")
        return
    if not is_here() and not os.access(_OWN, os.W_OK):
        raise FetchError(f"torch is not installed, and {_OWN} is another user's; pull as its owner")
    env = child_env(PIP_PROGRESS_BAR="raw", PIP_NO_INPUT="1")
    run_pip(["bash", str(_SCRIPT), _PINS], "torch", report, env)
    invalidate_caches()


def _by_hand() -> str:
    pins = ROOT / _PINS
    what = f"--requirement {pins}" if pins.is_file() else "'edge-serve[torch]'"
    return f"{sys.executable} -m pip install {what}"
