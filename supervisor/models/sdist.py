"""Fetch one source distribution as a file, running nothing of it.

    python -m supervisor.models.sdist NAME==VERSION FOLDER

``pip download`` builds a source distribution to learn its metadata, which runs the package's code.
So pip is asked only to find the file and to open the connection, as its user configured it. pip has
no public interface for that: these few calls have kept their names since pip 22.
"""

from __future__ import annotations

import sys
from pathlib import Path

CHUNK_BYTES = 1 << 18


def fetch(requirement: str, folder: Path) -> Path:
    """Put the archive of ``requirement`` into ``folder``; prints ``Progress <done> of <total>``."""
    from pip._internal.commands import create_command
    from pip._vendor.packaging.requirements import Requirement

    wanted = Requirement(requirement)
    command = create_command("download")
    options, _ = command.parse_args(["--no-deps", "--no-binary=:all:", requirement])
    with command.main_context():
        session = command.get_default_session(options)  # type: ignore[attr-defined]
        finder = command._build_package_finder(options, session)  # type: ignore[attr-defined]
        best = finder.find_best_candidate(wanted.name, wanted.specifier).best_candidate
        if best is None:
            raise LookupError(f"no source distribution of {requirement} in the package index")
        target: Path = folder / best.link.filename
        with session.get(
            best.link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True
        ) as answer:
            answer.raise_for_status()
            total, done = int(answer.headers.get("Content-Length", 0)), 0
            with target.open("xb") as file:
                while chunk := answer.raw.read(CHUNK_BYTES):
                    done += file.write(chunk)
                    print(f"Progress {done} of {total}", flush=True)
    return target


if __name__ == "__main__":
    fetch(sys.argv[1], Path(sys.argv[2]))
