"""What all unit tests share."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator

import pytest
import typer.main
from hypothesis import settings

from supervisor.config import strict_yaml

# A machine under load is slow, not wrong: no example has a time limit of its own.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture(scope="session", autouse=True)
def _each_text_is_parsed_once() -> Iterator[None]:
    """Hundreds of tests read the catalog that ships, which takes the most part of a start."""
    parsed = functools.lru_cache(maxsize=64)(strict_yaml.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_yaml, "load", lambda text: copy.deepcopy(parsed(text)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _the_commands_are_built_once() -> Iterator[None]:
    """As in a process of its own, where the command line is read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield
