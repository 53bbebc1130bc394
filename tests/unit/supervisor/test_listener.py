"""Where nobody can listen, and what is said then."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass

import pytest

from supervisor.listener import InUseError, listen, listen_at, tcp_url, url


def test_a_port_that_is_taken_is_told_apart() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            InUseError, match=rf"^cannot listen on 127.0.0.1:{port}: Address already in use; choose"
        ):
            listen("127.0.0.1", port)
    listen("127.0.0.1", port).close()


@dataclass(frozen=True)
class Wanted:
    """Where to listen."""

    host: str = "127.0.0.1"
    port: int = 0
    ollama_port: int | None = None
    wyoming_host: str = "127.0.0.1"
    wyoming_port: int | None = None


def test_other_protocols_may_have_ports_of_their_own() -> None:
    with closing(listen_at(Wanted(ollama_port=0, wyoming_port=0))) as listeners:
        assert listeners.ollama is not None
        assert listeners.wyoming is not None
        assert len({each.getsockname()[1] for each in listeners if each}) == 3
        where = f"tcp://127.0.0.1:{listeners.wyoming.getsockname()[1]}"
        assert tcp_url(listeners.wyoming, "0.0.0.0") == where
    with closing(listen_at(Wanted())) as listeners:
        assert listeners[1:] == (None, None)


def test_voice_assistants_are_listened_to_at_a_host_of_their_own() -> None:
    """They have no key, so that what is open to the network is not by itself open to them."""
    with closing(listen_at(Wanted(host="0.0.0.0", wyoming_port=0))) as listeners:
        assert listeners.main.getsockname()[0] == "0.0.0.0"
        assert listeners.wyoming is not None
        assert listeners.wyoming.getsockname()[0] == "127.0.0.1"


def test_where_one_of_two_ports_is_taken_neither_is_kept() -> None:
    with listen("127.0.0.1", 0) as first, listen("127.0.0.1", 0) as free:
        taken, port = first.getsockname()[1], free.getsockname()[1]
        free.close()
        with pytest.raises(
            InUseError, match="; choose another OLLAMA_PORT, or set OLLAMA_API=true"
        ):
            listen_at(Wanted(port=port, ollama_port=taken))
        with pytest.raises(InUseError, match=r"; choose another WYOMING_HOST and WYOMING_PORT$"):
            listen_at(Wanted(port=port, wyoming_port=taken))
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "Cannot assign requested address"),  # TEST-NET-1, RFC 5737
        ("x" * 70, "that is no name of a host"),
    ],
)
def test_an_address_that_is_not_of_this_machine(host: str, why: str) -> None:
    with pytest.raises(OSError, match=f": {why}; choose another with --host and --port$") as error:
        listen(host, 0)
    assert not isinstance(error.value, InUseError)


def answered(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=5):
        return True


HAS_IPV6 = socket.has_dualstack_ipv6()


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_all_of_ipv6_is_all_of_ipv4_too() -> None:
    with listen("::", 0) as listener:
        port = listener.getsockname()[1]
        assert answered("127.0.0.1", port)
        assert answered("::1", port)


def test_a_name_of_both_kinds_is_listened_to_on_ipv4() -> None:
    with listen("localhost", 0) as listener:
        assert listener.family == socket.AF_INET


@pytest.mark.parametrize(
    ("host", "tls", "shown"),
    [
        ("127.0.0.1", False, "http://127.0.0.1:{port}"),
        ("0.0.0.0", True, "https://127.0.0.1:{port}"),
        ("::", False, "http://[::1]:{port}"),
        ("::1", True, "https://[::1]:{port}"),
        ("fe80::1%eth0", False, "http://[fe80::1%25eth0]:{port}"),
        ("localhost", False, "http://localhost:{port}"),
    ],
)
def test_the_url_is_valid_and_names_the_port_that_was_free(
    host: str, tls: bool, shown: str
) -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url(listener, host, tls=tls) == shown.format(port=port)


def test_an_address_is_named_as_a_url_has_it() -> None:
    with pytest.raises(OSError, match=r"^cannot listen on \[2001:db8::1\]:80: "):
        listen("2001:db8::1", 80)  # RFC 3849
