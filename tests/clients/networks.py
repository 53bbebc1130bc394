"""Boxes on a network of their own, which can be parted: each in a network namespace, all of them
joined by a bridge. Clients here reach each by a link beside that, which no partition cuts.

For Linux and root. One such network at a time is on a machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

# Addresses for tests of networks, which nobody routes (RFC 2544).
_BETWEEN, _BESIDE = "198.18.0", "198.19"
_BRIDGE = "es-bridge"


@dataclass(frozen=True)
class Place:
    """Where a box is: the ``address`` that other boxes reach it by, the ``host`` that clients here
    do, the words before a command that runs it there, and its ``port`` of the bridge, if any."""

    address: str
    host: str = "127.0.0.1"
    within: tuple[str, ...] = ()
    port: str = ""

    def cut_off(self) -> None:
        """No other box hears it from now on, nor it them, and nobody is told."""
        _ip("link", "set", self.port, "nomaster")

    def let_in(self) -> None:
        """The others hear it again."""
        _ip("link", "set", self.port, "master", _BRIDGE)


class NoNetwork(Exception):
    """One cannot be made here."""


@contextmanager
def network(size: int) -> Iterator[list[Place]]:
    """Places for so many boxes. Raises `NoNetwork`."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        raise NoNetwork("a network of boxes takes root, Linux and the command ip (iproute2)")
    with ExitStack() as stack:
        _ip("link", "add", _BRIDGE, "type", "bridge")
        stack.callback(_ip, "link", "delete", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        yield [_place(number, stack) for number in range(size)]


def _place(number: int, stack: ExitStack) -> Place:
    name, address, host = f"es-{number}", f"{_BETWEEN}.{number + 2}", f"{_BESIDE}.{number}.2"
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)
    _ip("-n", name, "link", "set", "lo", "up")
    bridge_end, beside_end = f"{name}-bridge", f"{name}-beside"
    _link(name, bridge_end, "between", f"{address}/24", stack)
    _ip("link", "set", bridge_end, "master", _BRIDGE)
    _link(name, beside_end, "beside", f"{host}/30", stack)
    _ip("address", "add", f"{_BESIDE}.{number}.1/30", "dev", beside_end)
    return Place(address, host, ("ip", "netns", "exec", name), bridge_end)


def _link(namespace: str, here: str, there: str, address: str, stack: ExitStack) -> None:
    """A cable from ``here`` to ``there`` in a namespace, where it has an address."""
    _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", namespace)
    stack.callback(_ip, "link", "delete", here)
    _ip("-n", namespace, "address", "add", address, "dev", there)
    _ip("-n", namespace, "link", "set", there, "up")
    _ip("link", "set", here, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
