"""``python -m tests.bench COMMAND``: what each measures is a module."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

from supervisor.models import torch_install
from supervisor.models.archive import FetchError

OF_TORCH = "tests.bench.gpu"
COMMANDS = {
    "gpu": (OF_TORCH, "the torch engine, as a share of what this GPU can do"),
    "peers": ("tests.bench.peers.command", "edge-serve beside other servers, on this machine"),
    "simulate": ("tests.bench.simulation.command", "boxes and models by the thousand, simulated"),
    "compare": ("tests.bench.compare", "edge-serve beside the bare engines, on this machine"),
}


def main(argv: list[str]) -> int | None:
    """Run the command that ``argv`` begins with; the status to exit with."""
    name = argv[0] if argv else "--help"
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in COMMANDS:
        print(f"tests.bench: no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module, what = COMMANDS[name]
    if module == OF_TORCH and not torch_install.is_here() and not {"-h", "--help"}.isdisjoint(argv):
        print(f"edge-serve bench {name}: {what}\n\nIt needs torch, which its first run installs.")
        return 0
    run: Callable[[list[str]], int | None] = _load(module).main
    return run(argv[1:])


def _load(module: str) -> ModuleType:
    """The module, imported. Some measure torch, which not every box has yet."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if torch_install.is_here():
            raise
        print(f"edge-serve bench: {error}; it is installed now, once", file=sys.stderr)
        try:
            torch_install.install(lambda _label, _done, _total: None)
        except FetchError as failed:
            sys.exit(f"edge-serve bench: {failed}")
        return import_module(module)


def _usage() -> str:
    lines = (f"  {name:<12}{what}" for name, (_, what) in COMMANDS.items())
    return "\n".join(["Usage: python -m tests.bench COMMAND [-h] ...", "", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
