"""What is known of an error in loading, whichever library it comes from."""

from __future__ import annotations

import pytest

from worker.engine import LoadError, lacks_memory


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (MemoryError(), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("CUDA failed with error out of memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("unknown architecture"), False),
        (None, False),
    ],
)
def test_a_want_of_memory_is_found_behind_what_an_engine_says(
    cause: Exception | None, expected: bool
) -> None:
    error = LoadError("/p cannot be loaded")
    error.__cause__ = cause
    assert lacks_memory(error) is expected
