"""What all tests have in common.

They leave nothing in the home of whoever runs them, and those that make up their inputs make up the
same each time; `--hypothesis-profile=default` looks further.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the files, those that take long are begun first, so that all
    processes end at about the same time: files that are marked, then those with many tests."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        sizes = Counter(item.path for item in items)
        items.sort(key=lambda item: (not item.get_closest_marker("long"), -sizes[item.path]))


@pytest.fixture(scope="session", autouse=True)
def _state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers that tests start keep what they measure here, unless a test says where."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
