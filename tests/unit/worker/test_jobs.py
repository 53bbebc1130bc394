"""What a worker sends where an engine's events have no form on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ipc.messages.events import Delta, Events, Failed
from ipc.transport.wire import Decoder
from worker.jobs import _frames


@pytest.mark.parametrize(
    "delta",
    [
        Delta("a", "half of one: \ud83d"),
        Delta("a", "x", np.float64(1.0)),  # type: ignore[arg-type]
        Delta("a", "x", np.int64(1)),  # type: ignore[arg-type]
        Delta("a", "x", 2**70),
        Delta("a", "x", object()),  # type: ignore[arg-type]
    ],
    ids=["surrogate", "float", "int", "large", "object"],
)
def test_events_that_cannot_be_sent_fail_their_jobs(delta: Any) -> None:
    sent = Decoder[Events](Events).decode(_frames([Delta("b", "fine"), delta]))
    assert [type(event) for event in sent.events] == [Failed, Failed]
    assert [event.job for event in sent.events] == ["b", "a"]
    assert all("cannot be sent" in event.error.message for event in sent.events)  # type: ignore[union-attr]
