"""How each child process of the supervisor begins and ends."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from ipc.runtime import lifeline, log


def begin(
    prog: str, description: str | None, add_arguments: Callable[[argparse.ArgumentParser], None]
) -> argparse.Namespace:
    """Read the arguments that the supervisor passes, tie this process to its life, set up logs."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--control", required=True, help="the supervisor's ZeroMQ endpoint")
    parser.add_argument("--name", required=True, help="this child's name, say chat-1")
    parser.add_argument("--generation", required=True, type=int)
    parser.add_argument("--parent", required=True, type=int, help="die when this pid does")
    parser.add_argument("--lifeline-fd", required=True, type=int)
    parser.add_argument("--faults-fd", type=int, default=2, help="for the stacks of a crash")
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--log-format", default="text", choices=["text", "json"])
    add_arguments(parser)
    args = parser.parse_args()
    lifeline.hold(args.parent, args.lifeline_fd)
    # SIGABRT, the stop ladder's second rung, leaves all stacks in the log.
    faulthandler.enable(args.faults_fd)
    log.set_up(f"{args.name}.{args.generation}", args.log_level, args.log_format)
    return args


def end(status: int) -> NoReturn:
    """Leave at once: native libraries can hang or crash in their destructors."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
