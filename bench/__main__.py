"""``edge-serve bench COMMAND``, or ``python -m bench COMMAND``: what each measures is a module."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

LOAD = "bench.load.command"
OF_TORCH = "tests.bench.gpu"
# Each has a main(argv); it is imported when it is asked for, since each loads libraries of its own.
COMMANDS = {
    "chat": (LOAD, "a running server's chat under load"),
    "embeddings": (LOAD, "its embeddings"),
    "audio": (LOAD, "its transcriptions"),
    "rerank": (LOAD, "its reranking"),
    "gpu": (OF_TORCH, "the torch engine, as a share of what this GPU can do"),
    "peers": ("tests.bench.peers.command", "edge-serve beside other servers, on this machine"),
    "compare": ("tests.bench.compare", "edge-serve beside the bare engines, on this machine"),
    "together": ("bench.together", "a running server's kinds of models, alone and all at once"),
}


def main() -> int | None:
    """Run the command that the arguments begin with; the status to exit with."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in COMMANDS:
        print(f"edge-serve bench: no command {name!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    module, what = COMMANDS[name]
    if not _can_run(module) and not {"-h", "--help"}.isdisjoint(sys.argv[2:]):
        print(f"edge-serve bench {name}: {what}\n\nIt needs torch, which its first run installs.")
        return 0
    # What a measurement has started ends with it, as for Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    run: Callable[[list[str]], int | None] = _load(module).main
    # The load generator has four commands, the other modules one each.
    return run(sys.argv[1:] if module == LOAD else sys.argv[2:])


def _can_run(module: str) -> bool:
    """Whether what the module needs is here: torch, for that of torch."""
    from supervisor.models import torch_install

    return module != OF_TORCH or torch_install.is_here()


def _load(module: str) -> ModuleType:
    """The module, imported. Some measure torch, which not every box has yet."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        from supervisor.models import torch_install
        from supervisor.models.archive import FetchError

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
    return "\n".join(["Usage: edge-serve bench COMMAND [-h] ...", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
