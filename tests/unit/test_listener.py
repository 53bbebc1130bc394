"""Where nobody can listen, and what is said then."""

from __future__ import annotations

import pytest

from supervisor.listener import InUseError, listen


def test_a_port_that_is_taken_is_told_apart() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(
            InUseError, match=rf"^cannot listen on 127.0.0.1:{port}: Address already in use; choose"
        ):
            listen("127.0.0.1", port)
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
