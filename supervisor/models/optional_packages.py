"""Packages that not every box needs, installed when something asks for them: torch, and plots.

Each set is pinned in a file of its own, and ``bin/venv.sh`` installs it as it does the rest: one
at a time, and again if it was interrupted. Only the environment that this script has made is ever
changed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from supervisor.config.settings import ROOT, child_env
from supervisor.models.archive import FetchError, Report
from supervisor.models.packages import run_pip

_SCRIPT = ROOT / "bin" / "venv.sh"
_OWN = ROOT / ".venv"  # what the script makes


@dataclass(frozen=True)
class OptionalPackages:
    """``name`` is that of the extra in pyproject.toml, too; ``modules`` are what can be imported
    once it is installed."""

    name: str
    modules: tuple[str, ...]

    @property
    def pins(self) -> str:
        return f"requirements-{self.name}.txt"

    def are_here(self) -> bool:
        """Whether all of them can be imported, whatever their versions."""
        return all(find_spec(module) for module in self.modules)

    def install(self, report: Report) -> None:
        """Have them here, and in our own environment as they are pinned; pip bounds its own waits.

        Raises `FetchError`.
        """
        if Path(sys.prefix).resolve() != _OWN.resolve():
            if not self.are_here():
                raise FetchError(f"{self.modules[0]} is not installed here; run: {self.by_hand}")
            return
        if not self.are_here() and not os.access(_OWN, os.W_OK):
            what = f"{self.modules[0]} is not installed"
            raise FetchError(f"{what}, and {_OWN} is another user's; do this as its owner")
        env = child_env(PIP_PROGRESS_BAR="raw", PIP_NO_INPUT="1")
        run_pip(["bash", str(_SCRIPT), self.pins], self.name, report, env)
        invalidate_caches()

    @property
    def by_hand(self) -> str:
        """The command that installs them into this environment."""
        pins = ROOT / self.pins
        what = f"--requirement {pins}" if pins.is_file() else f"'edge-serve[{self.name}]'"
        return f"{sys.executable} -m pip install {what}"


RAY = OptionalPackages("ray", ("ray", "cryptography"))
PLOT = OptionalPackages("plot", ("matplotlib",))
