"""A first request, as the settings would have it."""

from __future__ import annotations

import pytest

from ipc.messages.control import AccessConfig
from ipc.messages.keys import ApiKey
from supervisor.example import curl

URL = "https://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (AccessConfig(), f"curl {URL}/v1/models"),
        (
            AccessConfig(api_keys={"ann": ApiKey(digest="digest")}),
            f'curl -H "Authorization: Bearer $EDGE_SERVE_API_KEY" {URL}/v1/models',
        ),
        (
            AccessConfig(ssl_certfile="/etc/my box.pem"),
            f"curl --cacert '/etc/my box.pem' {URL}/v1/models",
        ),
    ],
)
def test_it_gets_past_keys_and_trusts_a_certificate_of_ones_own(
    gate: AccessConfig, line: str
) -> None:
    assert curl(URL, [], gate) == line
