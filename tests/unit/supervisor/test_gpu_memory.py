"""What a GPU has free, as its driver tells it, or the system where it shares its memory."""

from __future__ import annotations

import math

import pytest

from supervisor.host.gpu_memory import Told, free_mb

MB = 1 << 20


@pytest.mark.parametrize(
    ("told", "expected_mb"),
    [
        (("NVIDIA H100", 900 * MB), 900.0),
        (("Orin (nvgpu)", 100 * MB), 5000.0),  # which counts the page cache as used
        (("NVIDIA GB10", None), 5000.0),  # whose driver has no answer
        (None, math.inf),  # no driver: nobody knows
    ],
)
def test_free_memory_is_told_rightly(told: Told | None, expected_mb: float) -> None:
    assert free_mb("cuda:0", lambda _: told, lambda: 5000.0) == expected_mb


def test_a_device_without_memory_of_its_own_has_the_systems() -> None:
    assert free_mb("mps", lambda _: None, lambda: 5000.0) == 5000.0
