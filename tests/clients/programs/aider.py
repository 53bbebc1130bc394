# /// script
# dependencies = ["aider-chat==0.86.2"]
# [tool.edge-serve]
# models = ["tools"]
# ///
"""aider in a repository of its own: a file is written as it was asked for, and committed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ASKED = "Write a function add(a, b) that returns the sum of a and b."
OPTIONS = [
    "--edit-format=whole",
    "--yes-always",
    "--no-check-update",
    "--no-show-model-warnings",
    "--no-show-release-notes",
    "--no-detect-urls",
    "--no-pretty",
    "--no-gitignore",
    "--analytics-disable",
    "--map-tokens=0",
]


def main(url: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], check=True)
        for key, value in (("user.name", "a"), ("user.email", "a@b")):
            subprocess.run(["git", "-C", folder, "config", key, value], check=True)
        server = [f"--model=openai/{name}", f"--openai-api-base={url}", "--openai-api-key=unused"]
        said = subprocess.run(
            [sys.executable, "-P", "-m", "aider", *server, *OPTIONS, "--message", ASKED, "add.py"],
            cwd=folder,
            env={**os.environ, "HOME": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert said.returncode == 0, said.stdout
        assert "def add(" in Path(folder, "add.py").read_text(), said.stdout
        assert "Tokens:" in said.stdout, said.stdout
        commits = subprocess.run(
            ["git", "-C", folder, "log", "--oneline"], capture_output=True, text=True, check=True
        )
        assert commits.stdout.strip(), said.stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
