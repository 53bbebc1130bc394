"""``edge-serve bench COMMAND``, or ``python -m bench COMMAND``: what each measures is a module."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

LOAD = "bench.load.command"
# Each has a main(argv); it is imported when it is asked for, since each loads libraries of its own.
COMMANDS = {
    "chat": (LOAD, "a running server's chat under load"),
    "embeddings": (LOAD, "its embeddings"),
    "audio": (LOAD, "its transcriptions"),
    "rerank": (LOAD, "its reranking"),
    "together": ("bench.together", "a running server's kinds of models, alone and all at once"),
    "replay": ("bench.replay.command", "the load before an incident, made again"),
}
# What developers measure edge-serve with; a checkout has it.
OF_A_CHECKOUT = "tests.bench.__main__"
DEVELOPERS = ("compare", "gpu", "peers", "simulate")


def main() -> int | None:
    """Run the command that the arguments begin with; the status to exit with."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in (*COMMANDS, *DEVELOPERS):
        print(f"edge-serve bench: no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    if name in DEVELOPERS and not _is_checkout():
        print(f"edge-serve bench: {name} needs a checkout of edge-serve", file=sys.stderr)
        return 2
    # What a measurement has started ends with it, as for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    module = COMMANDS[name][0] if name in COMMANDS else OF_A_CHECKOUT
    run: Callable[[list[str]], int | None] = import_module(module).main
    # The load generator has four commands, and so have developers; others are a module each.
    return run(sys.argv[1:] if module in (LOAD, OF_A_CHECKOUT) else sys.argv[2:])


def _is_checkout() -> bool:
    return find_spec("tests") is not None and find_spec(OF_A_CHECKOUT) is not None


def _usage() -> str:
    lines = [f"  {name:<12}{what}" for name, (_, what) in COMMANDS.items()]
    if _is_checkout():
        lines.append(f"  {', '.join(DEVELOPERS)}: see tests/bench/README.md")
    return "\n".join(["Usage: edge-serve bench COMMAND [-h] ...", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
