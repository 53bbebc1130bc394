"""``python -m supervisor.cli.job --command JSON``: a command that the server runs for operators.

It gives way to all other work, and ends with the server, which reads what it says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys

import psutil

from ipc.runtime import lifeline

_LEAST_NICE = 19


def main() -> None:
    parser = argparse.ArgumentParser(prog="supervisor.cli.job", description=__doc__)
    parser.add_argument("--command", required=True, help="the arguments of edge-serve, as JSON")
    parser.add_argument("--parent", required=True, type=int, help="die when this pid does")
    parser.add_argument("--lifeline-fd", required=True, type=int)
    arguments = parser.parse_args()
    lifeline.hold(arguments.parent, arguments.lifeline_fd)
    _give_way()
    from supervisor import cli

    sys.argv = ["edge-serve", *json.loads(arguments.command)]
    cli.main()


def _give_way() -> None:
    """Whoever waits for an answer comes first."""
    os.nice(_LEAST_NICE)
    with contextlib.suppress(psutil.Error, OSError, AttributeError):  # not every system can
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


if __name__ == "__main__":
    main()
