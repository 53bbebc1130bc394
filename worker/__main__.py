"""``python -m worker``: started by the supervisor alone, which says what to run over the socket."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
from pathlib import Path

from ipc.runtime import child, landlock
from worker.host import Host

logger = logging.getLogger(__name__)

# The kernel's out-of-memory killer should take one model, never the supervisor or the frontend.
OOM_SCORE_ADJ = 500


def main() -> None:
    args = child.begin("worker", __doc__, _add_arguments)
    with contextlib.suppress(OSError):  # no /proc, or not writable: only a preference is lost
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJ))
    if args.read_only is not None:
        _give_up(args.read_only, connecting=args.offline)
    child.end(asyncio.run(_run(args)))


def _give_up(folder: Path, *, connecting: bool) -> None:
    """Before there is any thread but the one that watches for the supervisor's end."""
    try:
        held = landlock.give_up(folder, connecting=connecting)
    except OSError as error:
        logger.warning("not_confined", extra={"folder": str(folder), "why": str(error)})
        return
    if not held:
        logger.warning("not_confined", extra={"folder": str(folder), "why": "no Landlock here"})


async def _run(args: argparse.Namespace) -> int:
    return await Host(args.control, args.run_dir, args.name, args.generation).run()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-dir", required=True, type=Path, help="where to bind the data socket")
    parser.add_argument("--read-only", type=Path, help="never change anything in this folder")
    parser.add_argument("--offline", action="store_true", help="nor connect to anybody by TCP")


if __name__ == "__main__":
    main()
