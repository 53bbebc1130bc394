"""Whether traces are sent, and what is said where they are not."""

from __future__ import annotations

import pytest

from ipc.tracing import PACKAGES, is_wanted, warnings

TO = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        (TO, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        (TO | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (TO | {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (TO | {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_a_collector_has_to_be_named_and_not_switched_off(
    environment: dict[str, str], wanted: bool
) -> None:
    assert is_wanted(environment) is wanted


def test_who_waits_for_traces_is_told_what_is_missing() -> None:
    (missing,) = warnings(TO, installed=False)
    assert missing.endswith(f"pip install -r {PACKAGES}")
    assert warnings({}, installed=False) == []
    assert warnings(TO, installed=True) == []
    (other,) = warnings(TO | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, installed=True)
    assert "4318" in other
