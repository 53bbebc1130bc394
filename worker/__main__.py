"""``python -m worker``: started by the supervisor alone, which says what to run over the socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from ipc.runtime import child
from worker.host import Host

# The kernel's out-of-memory killer should take one model, never the supervisor or the frontend.
OOM_SCORE_ADJ = 500


def main() -> None:
    args = child.begin("worker", __doc__, _add_arguments)
    with contextlib.suppress(OSError):  # no /proc, or not writable: only a preference is lost
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    child.end(asyncio.run(_run(args)))


async def _run(args: argparse.Namespace) -> int:
    return await Host(args.control, args.run_dir, args.name, args.generation).run()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-dir", required=True, type=Path, help="where to bind the data socket")


if __name__ == "__main__":
    main()
