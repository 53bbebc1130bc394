"""Whether somebody collects traces, as the variables of OpenTelemetry say it, and whether that can
be done."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

PACKAGES = "requirements-otel.txt"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector is named, and not switched off."""
    return (
        any(environment.get(name) for name in _ENDPOINTS)
        and environment.get("OTEL_TRACES_EXPORTER", "otlp") == "otlp"
        and environment.get("OTEL_SDK_DISABLED", "").lower() != "true"
    )


def is_installed() -> bool:
    """Whether the packages are here; none of them is imported."""
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def warnings(environment: Mapping[str, str], *, installed: bool) -> list[str]:
    """What keeps traces from being sent that somebody waits for."""
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if not is_wanted(environment):
        return []
    if not installed:
        return [
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and no trace is sent: OpenTelemetry's packages "
            f"are missing; run: pip install -r {PACKAGES}"
        ]
    if protocol != "http/protobuf":
        return [
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: traces are sent as http/protobuf; name the "
            "collector's port for that, mostly 4318"
        ]
    return []
