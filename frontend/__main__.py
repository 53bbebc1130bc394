"""``python -m frontend``: the only process that clients reach; started by the supervisor alone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from frontend.api.admin.operator import Operator
from frontend.app import Kept, build, keyless_of, lines_of
from frontend.batches.service import Batches
from frontend.current import Current
from frontend.dispatch.budget import Budget
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.links import Links
from frontend.dispatch.waits import happens, tick
from frontend.incidents.keeping import Keeping
from frontend.incidents.sources import LiveSources
from frontend.listener.bounds import Bounds
from frontend.listener.by_port import ByPort
from frontend.listener.connection import protocol
from frontend.metrics.prometheus import Metrics
from frontend.routes import PROBES, SOCKETS
from frontend.store.database import Unavailable
from frontend.usage.report import UsageReports
from ipc.messages.control import FRONTEND_FILES, AccessConfig, Drain, Reconfigure, Serve
from ipc.runtime import child, heap

if TYPE_CHECKING:
    from frontend.wyoming.server import WyomingServer

logger = logging.getLogger(__name__)

BACKLOG = 2048
# How long connections are kept waiting for a frontend that does not yet know its workers. The
# supervisor tells in milliseconds, unless it is in trouble itself, and a socket is there at once.
STATES_S = 5.0
LINKS_S = 1.0
# And for one that does not yet know what keys have had today: a slow disk is no reason for more.
DAY_KNOWN_S = 2.0
# After the drain only connections without a request are left; they need no patience.
CLOSE_S = 2
# Longer than clients and proxies keep an idle connection, so that they end it and not we: one that
# is closed while a request is on its way loses the request. nginx has the same.
IDLE_S = 75
DATE_S = 1.0
# For a client to say hello in TLS, and goodbye; asyncio has 60 s and 30 s.
HANDSHAKE_S, GOODBYE_S = 10.0, 5.0


class Server(uvicorn.Server):
    """uvicorn without signal handlers: the supervisor's `Drain` is the way to stop it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ends = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self.should_exit = True
        self._ends.set()

    async def main_loop(self) -> None:
        """uvicorn's, which looks ten times a second whether to end; the header `date` has to be
        made anew each second."""
        while not await self.on_tick(0):
            await happens(self._ends, DATE_S)


def main() -> None:
    args = child.begin("frontend", __doc__, _add_arguments)
    heap.give_back_large_blocks()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(args))
    child.end(0)


async def _run(args: argparse.Namespace) -> None:
    control = Control(args.control, args.generation)
    serve = await control.serve
    links = Links(control.identity, control)
    dispatcher = Dispatcher(serve.specs, links, aliases=serve.aliases)
    budget = Budget(serve.memory_mb << 20)
    metrics = Metrics(dispatcher, control, budget, vllm_names=serve.vllm_metrics)
    batches = Batches(serve.batches, dispatcher, serve.max_json_bytes)
    kept = Kept.of(serve, control.events)
    operator = Operator(dispatcher, control, kept.requests)

    def make(limits: Serve) -> Starlette:
        return build(dispatcher, control, limits, metrics, budget, batches, operator, kept)

    given = [fd for fd in (args.listen_fd, args.ollama_fd) if fd is not None]
    sockets = [socket.socket(fileno=fd) for fd in given]
    app, apps = _applications(make, serve, sockets)
    lines = Current(lambda limits: lines_of(make(limits), metrics, budget, kept), serve)

    def keyless() -> Current:
        return Current(lambda limits: keyless_of(make(limits), metrics, budget, kept), serve)

    wyoming = _wyoming(args.wyoming_fd, keyless, dispatcher, budget)
    server = Server(_config(app, serve.gate, budget))
    if serve.gate.ssl_certfile:
        _bound_handshakes()
    loops = (control.beat(), tick(dispatcher), kept.ledger.run())
    tasks = [asyncio.create_task(one) for one in loops]

    parts = (kept.requests, kept.events, kept.sampling, serve.settings)
    sources = LiveSources(dispatcher, control, *parts)

    def on_drain(drain: Drain) -> None:
        operator.end()
        kept.live.end()
        leaving = _drain(batches, dispatcher, links, server, wyoming, drain.seconds)
        tasks.append(asyncio.create_task(leaving))

    def on_reconfigure(message: Reconfigure) -> None:
        dispatcher.aliases = dict(message.serve.aliases)
        sources.know(message.serve.settings)
        for each in (*apps, lines):
            each.set(message.serve)
        if wyoming is not None:
            wyoming.set(message.serve)

    control.listen(
        on_models=lambda models: dispatcher.set_models(models.specs),
        on_reconfigure=on_reconfigure,
        on_states=lambda states: dispatcher.set_states(states.models),
        on_drain=on_drain,
    )
    heap.settle()
    kept.begin()
    control.ready()
    await asyncio.gather(_know_the_workers(dispatcher), _know_the_day(kept))
    batches.begin(lines)
    sampling = kept.sampling.run(control.health, dispatcher.queues)
    incidents = Keeping(serve.incidents, control, sources)
    tasks += [asyncio.create_task(sampling), asyncio.create_task(incidents.run())]
    if wyoming is not None:
        await wyoming.begin(serve)
    await server.serve(sockets=sockets)
    for task in tasks:
        task.cancel()
    kept.end()
    incidents.end()
    control.close()


def _applications(
    make: Callable[[Serve], ASGIApp], serve: Serve, sockets: Sequence[socket.socket]
) -> tuple[ASGIApp, list[Current]]:
    """What answers at ``sockets``, the second of which is that of Ollama's API, and its parts."""
    first = Current(make, serve)
    if len(sockets) == 1:
        return first, [first]
    other = Current(lambda limits: make(msgspec.structs.replace(limits, ollama=True)), serve)
    return ByPort(first, {sockets[1].getsockname()[1]: other}), [first, other]


def _wyoming(
    fd: int | None, app: Callable[[], Current], dispatcher: Dispatcher, budget: Budget
) -> WyomingServer | None:
    """What answers voice assistants at the listener ``fd``. It takes memory of which a server that
    has none does without."""
    if fd is None:
        return None
    from frontend.wyoming.server import WyomingServer

    return WyomingServer(socket.socket(fileno=fd), app(), dispatcher, budget)


async def _know_the_workers(dispatcher: Dispatcher) -> None:
    """Until then each model would be said to be loading, those too that are ready."""
    if not await happens(dispatcher.informed, STATES_S):
        logger.error(
            "the supervisor has not said within %g s which models are ready; until it does, "
            "requests get 503 model_loading",
            STATES_S,
        )
    elif not await happens(dispatcher.connected, LINKS_S):
        logger.warning("workers_unconnected", extra={"after_s": LINKS_S})


async def _know_the_day(kept: Kept) -> None:
    """Until then each key would have all that it may have in a day once more."""
    reports = UsageReports(kept.ledger, kept.store)
    try:
        async with asyncio.timeout(DAY_KNOWN_S):
            had = await reports.tokens_by_key(kept.allowances.day_began_s)
    except (Unavailable, TimeoutError) as error:
        if kept.store.is_kept:
            logger.warning("usage_of_today_unknown", extra={"why": str(error) or "no answer"})
        return
    kept.allowances.has_had(had)


def _config(app: ASGIApp, gate: AccessConfig, budget: Budget) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol(_bounds(gate), budget),
        ws="none",  # `Connection` hands sockets on, and imports what they need with the first
        ws_ping_timeout=None,  # one that waits for room is not read, and would be cut
        ws_per_message_deflate=False,
        proxy_headers=False,
        ssl_certfile=gate.ssl_certfile,
        ssl_keyfile=gate.ssl_keyfile,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=CLOSE_S,
    )


def _bounds(gate: AccessConfig) -> Bounds:
    room = _room(gate.max_connections)
    return Bounds(probes=PROBES, sockets=SOCKETS, connections=room)


def _bound_handshakes() -> None:
    """Give each TLS handshake of the listener less time: until its end a connection is not one that
    `Bounds` knows. uvicorn has no setting for it."""
    loop = asyncio.get_running_loop()
    loop.create_server = partial(  # type: ignore[method-assign]
        loop.create_server, ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=GOODBYE_S
    )


def _room(wanted: int) -> int:
    """How many connections fit, once the limit on open files is raised as far as it goes."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return wanted if most == resource.RLIM_INFINITY else min(wanted, max(1, most - FRONTEND_FILES))


async def _drain(
    batches: Batches,
    dispatcher: Dispatcher,
    links: Links,
    server: Server,
    wyoming: WyomingServer | None,
    seconds: float,
) -> None:
    """Refuse what is new, let what runs finish, end what is left with an error, stop listening.

    Batches go on where they are at the next start, so nobody waits for them.
    """
    dispatcher.drain()
    leave = asyncio.create_task(batches.close())
    await happens(dispatcher.idle, seconds)
    await asyncio.wait({leave}, timeout=CLOSE_S)
    dispatcher.close()
    if wyoming is not None:
        await wyoming.end()
    links.close_all()
    server.end()


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # no build for this platform: asyncio's own loop serves as well
        return None
    return uvloop.Loop


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen-fd", required=True, type=int, help="the listening socket")
    parser.add_argument("--ollama-fd", type=int, help="that of Ollama's API, if it has its own")
    parser.add_argument("--wyoming-fd", type=int, help="that of the Wyoming protocol, if wanted")


if __name__ == "__main__":
    main()
