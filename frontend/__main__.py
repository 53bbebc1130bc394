"""``python -m frontend``: the only process that clients reach; started by the supervisor alone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette

from frontend.app import build
from frontend.control import Control
from frontend.dispatch import Dispatcher
from frontend.metrics import Metrics
from ipc import child

BACKLOG = 2048
# After the drain only connections without a request are left; they need no patience.
CLOSE_S = 2


class Server(uvicorn.Server):
    """uvicorn without signal handlers: the supervisor's `Drain` is the way to stop it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> None:
    args = child.begin("frontend", __doc__, _add_arguments)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(args))
    child.end(0)


async def _run(args: argparse.Namespace) -> None:
    control = Control(args.control, args.generation)
    serve = await control.serve
    dispatcher = Dispatcher(serve.specs, control.identity)
    control.on_states = lambda states: dispatcher.set_states(states.models)
    server = Server(_config(build(dispatcher, control, serve, Metrics(dispatcher, control))))
    tasks = [asyncio.create_task(control.beat()), asyncio.create_task(dispatcher.watch())]
    control.on_drain = lambda seconds: tasks.append(
        asyncio.create_task(_drain(dispatcher, server, seconds))
    )
    control.ready()
    await server.serve(sockets=[socket.socket(fileno=args.listen_fd)])
    for task in tasks:
        task.cancel()
    control.close()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=CLOSE_S,
    )


async def _drain(dispatcher: Dispatcher, server: uvicorn.Server, seconds: float) -> None:
    """Refuse what is new, let what runs finish, end what is left with an error, stop listening."""
    await dispatcher.drain(seconds)
    dispatcher.close()
    server.should_exit = True


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no build for this platform: asyncio's own loop serves as well
        return None
    return uvloop.Loop


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen-fd", required=True, type=int, help="the listening socket")


if __name__ == "__main__":
    main()
