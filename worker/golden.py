"""The proof that a model answers as it should, before it is given any request: its golden file."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

from ipc.facts.golden import Golden, GoldenError, read
from ipc.messages.events import Delta, Done, EmbedResult, Event, Failed
from ipc.messages.jobs import ChatInput, EmbedInput, Input, Job, Message, Sampling
from ipc.messages.spec import Spec
from worker.engine import Engine, LoadError

_POLL_S = 0.02
# For one answer; a model that takes longer would not serve anyone.
TIMEOUT_S = 300.0
# How much of a wrong answer is told.
_SHOWN_CHARS = 80


def prove(engine: Engine, spec: Spec) -> None:
    """Have the engine answer the golden file of ``spec``, if it has one. Raises `LoadError` for the
    first answer that is another."""
    if not spec.golden:
        return
    try:
        lines = read(Path(spec.golden), spec.task)
    except GoldenError as error:
        raise LoadError(f"golden: {error}") from None
    for number, line in enumerate(lines, start=1):
        events = _answer(engine, spec, line)
        if (fault := _fault(line, events)) is not None:
            raise LoadError(f"golden: answer {number} of {len(lines)} {fault}")


def _answer(engine: Engine, spec: Spec, line: Golden) -> list[Event]:
    """All that the engine says to one request."""
    deadline_at = time.monotonic() + TIMEOUT_S
    job = Job(id="golden", model=spec.name, input=_input(spec, line), deadline_at=deadline_at)
    if not engine.admit(job):
        raise LoadError("golden: a request found no room in an empty engine")
    events: list[Event] = []
    while not (events and isinstance(events[-1], Done | Failed)):
        if time.monotonic() > deadline_at:
            raise LoadError(f"golden: no answer within {TIMEOUT_S:.0f} s", permanent=False)
        # An engine that waits for its batch to fill, or for somebody else, is not to be hurried.
        time.sleep(min(engine.wait_s() or 0.0, _POLL_S))
        events += [event for event in engine.step() if event.job == job.id]
    return events


def _input(spec: Spec, line: Golden) -> Input:
    if spec.task == "embed":
        return EmbedInput(texts=[line.input])
    sampling = Sampling(max_tokens=line.max_tokens, temperature=0.0)
    return ChatInput(messages=[Message("user", line.input)], sampling=sampling)


def _fault(line: Golden, events: Sequence[Event]) -> str | None:
    """What is wrong with an answer; None if it is the one that is wanted."""
    end = events[-1]
    if isinstance(end, Failed):
        return f"failed: {end.error.message}"
    if isinstance(end, Done) and isinstance(end.result, EmbedResult):
        vector = array("f", bytes(end.result.vectors.data))
        return _unlike(line, vector)
    said = "".join(event.text for event in events if isinstance(event, Delta))
    if said == line.answer:
        return None
    return f"is {said[:_SHOWN_CHARS]!r} in place of {(line.answer or '')[:_SHOWN_CHARS]!r}"


def _unlike(line: Golden, vector: Sequence[float]) -> str | None:
    wanted = line.embedding or []
    if len(vector) != len(wanted):
        return f"has {len(vector)} dimensions in place of {len(wanted)}"
    norms = math.hypot(*vector) * math.hypot(*wanted)
    cosine = sum(a * b for a, b in zip(vector, wanted, strict=True)) / norms if norms else 0.0
    if cosine >= line.cosine:
        return None
    return f"has a cosine of {cosine:.4f} to the one that is wanted, less than {line.cosine:g}"
