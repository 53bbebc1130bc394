"""What a worker tells of prefixes goes to the next one, unless it broke over them."""

from __future__ import annotations

import pytest

from ipc.messages.control import Counters, Heartbeat, Prefixes, Start
from supervisor.children.process import Exit
from tests.unit.supervisor.histories.world import (
    EMBED,
    ENDED,
    FAULT,
    KILLED,
    World,
    connects,
    exits,
    is_sent,
    run,
)

CHILD = "embed-1"


def last_start(world: World) -> Start:
    return [one for one in world.sent if isinstance(one, Start)][-1]


def restarted(world: World, counters: Counters, end: Exit) -> bytes | None:
    """What the next worker is told, after one with these counters has ended so."""
    world.supervisor.on_message(f"{CHILD}.1", Heartbeat(counters=counters))
    exits(f"{CHILD}.1", end)(world)
    world.turn()  # a first restart is due at once
    connects(f"{CHILD}.2")(world)
    return last_start(world).prefixes


def test_the_first_worker_has_nothing_to_know() -> None:
    assert last_start(run(EMBED)).prefixes == b""


BUSY, IDLE = Counters(progress=5, in_flight=1), Counters(progress=5)
LOADING = Counters()


@pytest.mark.parametrize(
    ("counters", "end", "expected"),
    [
        pytest.param(IDLE, KILLED, b"told", id="killed by somebody"),
        pytest.param(IDLE, FAULT, b"", id="broken in idle time"),
        pytest.param(IDLE, ENDED, b"", id="ended in idle time"),
        pytest.param(BUSY, FAULT, b"told", id="broken over a request"),
        pytest.param(LOADING, FAULT, b"told", id="broken before it has begun"),
    ],
)
def test_what_was_told_is_for_the_next(counters: Counters, end: Exit, expected: bytes) -> None:
    world = run(EMBED)
    world.supervisor.on_message(f"{CHILD}.1", Prefixes(b"told"))
    assert restarted(world, counters, end) == expected


def test_what_broke_over_a_request_that_no_heartbeat_has_told_of_is_for_the_next() -> None:
    world = run(EMBED)
    world.supervisor.on_message(f"{CHILD}.1", Prefixes(b"told"))
    is_sent(f"{CHILD}.1")(world)
    assert restarted(world, IDLE, FAULT) == b"told"


def test_the_frontend_has_none_to_tell() -> None:
    world = run(EMBED)
    world.supervisor.on_message("frontend.1", Prefixes(b"told"))
    assert world.kept == {}
