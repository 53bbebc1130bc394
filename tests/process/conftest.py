"""Boxes for tests that need one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.box import CHAT, EMBED, SPEECH, Box, Gate, MakeBox, boxes, spec

# `nohup` and a shell's background jobs ignore these, and what the tests start would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_box() -> Iterator[MakeBox]:
    """Starts boxes that end with the test."""
    with boxes() as make:
        yield make


@pytest.fixture(scope="module")
def module_box() -> Iterator[MakeBox]:
    """Starts boxes that end with the module."""
    with boxes() as make:
        yield make


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """Closed at first; what still waits for it goes on when the test ends."""
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture
def box(make_box: MakeBox) -> Box:
    """All three tasks, small queues, ready."""
    return make_box(
        spec(CHAT, slots=4, prefetch=1, queue_limit=8), spec(EMBED), spec(SPEECH)
    ).wait_ready()
