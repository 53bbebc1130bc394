"""A server that announces itself is found where it listens, for as long as it does."""

from __future__ import annotations

import signal
import socket
from contextlib import closing
from typing import Any

import pytest
from zeroconf import IPVersion, Zeroconf

from frontend.wyoming.announcement import machine_name
from tests.ports import free_port
from tests.process.box import DEADLINE_S, SPEECH, MakeBox, spec, wait_until

TYPE = "_wyoming._tcp.local."


def own_address() -> str:
    """This machine's in its network; skips where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("224.0.0.251", 5353))
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def look_up(name: str, address: str) -> Any:
    """What is known of ``name`` to somebody who has not asked before; None: nothing."""
    with closing(Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)) as asking:
        return asking.get_service_info(TYPE, name, timeout=3000)


def test_it_is_found_until_it_ends(make_box: MakeBox) -> None:
    port, address = free_port(), own_address()
    name = f"{machine_name(port)}.{TYPE}"
    box = make_box(spec(SPEECH), wyoming_port=port, wyoming_host="0.0.0.0", wyoming_announced=True)
    found = wait_until(lambda: look_up(name, address))
    assert (found.parsed_addresses(), found.port) == ([address], port)
    with socket.create_connection((address, found.port), timeout=DEADLINE_S):
        pass
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(DEADLINE_S) == 0
    wait_until(lambda: look_up(name, address) is None)
