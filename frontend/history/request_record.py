"""A request's way, described once: the log, the operators' list, what is kept for days, the page
and the traces all take it from here."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from frontend.dispatch.estimates.shape import Shape
from frontend.dispatch.stream import Fate, Stream
from frontend.http.request_context import RequestContext
from frontend.http.waiting import waiting_of
from ipc.messages.events import ChatResult, Marks, SpeakResult, SpeechResult, Usage
from ipc.messages.jobs import Task

# A request that is received is read and checked; one that runs has not said anything yet.
Stage = Literal["received", "waiting", "running", "answering", "ended"]


class Earlier(msgspec.Struct, frozen=True, array_like=True):
    """An attempt that came to nothing, by when its worker had the job: it was given back unbegun,
    or its worker died and another one went on with the answer."""

    began_s: float
    ended_s: float
    ended: Fate


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one request; never what it says. It came at ``time_s``, in seconds since
    1970; from there all times but ``load_s`` are counted.

    ``waiting`` is where it stands, see `waiting_of`. ``submitted_s`` is when it went to its model's
    queue, ``dispatched_s`` when to the worker with that ``worker_pid``, for how many times
    ``attempt`` says; ``load_s`` is for how long of the time between its model had no worker.
    There ``began_s`` is when the engine first worked on it, ``read_s`` when it had read the prompt
    and had something to say, ``worked_s`` when it was done, after so many ``steps``.
    ``first_s`` is when the first of its answer came, ``total_s`` its end. ``status`` and ``error``
    are its outcome as the log has it, ``finish`` what ended a chat. ``client`` is who asked: a
    key's name, else an address. ``prompt_tokens`` are known before the ``usage`` is, which of one
    that was cut or has failed is as much as was told of it until then; ``audio_s`` is
    how long the sound was that was read or made. One in the ``background`` is a line of a batch;
    the answer of one that ``streams`` was written as it was made. ``earlier`` are the attempts
    that came to nothing before; ``resumed_s`` is when the last worker had an answer that another
    one had begun.
    """

    id: str
    time_s: float
    method: str
    path: str
    stage: Stage
    client: str
    key: str | None = None
    model: str | None = None
    task: Task | None = None
    background: bool = False
    streams: bool = False
    waiting: dict[str, Any] | None = None
    submitted_s: float | None = None
    load_s: float | None = None
    dispatched_s: float | None = None
    resumed_s: float | None = None
    began_s: float | None = None
    read_s: float | None = None
    worked_s: float | None = None
    first_s: float | None = None
    total_s: float | None = None
    attempt: int = 0
    worker_pid: int | None = None
    steps: int | None = None
    status: int | None = None
    error: str | None = None
    finish: str | None = None
    prompt_tokens: int | None = None
    usage: Usage | None = None
    audio_s: float | None = None
    shape: Shape | None = None
    earlier: tuple[Earlier, ...] = ()
    traceparent: str | None = None

    @property
    def queue_s(self) -> float | None:
        """How long its job waited for a worker."""
        if self.submitted_s is None or self.dispatched_s is None:
            return None
        return self.dispatched_s - self.submitted_s


def open_record(context: RequestContext, now: float, wall_s: float) -> RequestRecord:
    """That of a request that is worked on, as it stands ``now`` (monotonic), at ``wall_s``."""
    waits = {"stage": _stage(context.stream), "waiting": waiting_of(context)}
    return _record(context, now, wall_s, waits)


def begun_record(context: RequestContext, now: float, wall_s: float) -> RequestRecord:
    """As `open_record`, less where it stands, which is the dearest to know."""
    return _record(context, now, wall_s, {"stage": _stage(context.stream)})


def ended_record(context: RequestContext, now: float, wall_s: float) -> RequestRecord:
    """That of one that has ended ``now``, before its context lets go of the stream."""
    outcome = {
        "stage": "ended",
        "total_s": now - context.started_at,
        "status": context.status,
        "error": context.error,
        "usage": context.usage or (context.stream and context.stream.usage),
    }
    return _record(context, now, wall_s, outcome)


def _record(
    context: RequestContext, now: float, wall_s: float, known: dict[str, Any]
) -> RequestRecord:
    if context.stream is not None:
        _tell_job(context.stream, context.started_at, known)
    if context.heard_s:
        known["audio_s"] = context.heard_s
    return RequestRecord(
        id=context.request_id,
        time_s=wall_s - (now - context.started_at),
        method=context.method,
        path=context.path,
        client=context.client.name,
        key=context.key,
        model=context.model,
        task=context.task,
        background=context.background,
        streams=context.streams,
        shape=context.shape,
        traceparent=context.traceparent,
        **known,
    )


def _tell_job(stream: Stream, began_at: float, known: dict[str, Any]) -> None:
    known["submitted_s"] = stream.submitted_at - began_at
    known["attempt"] = stream.attempt
    known["prompt_tokens"] = stream.prompt_tokens or None
    if stream.dispatched_at is not None:
        known["dispatched_s"] = stream.dispatched_at - began_at
        known["load_s"] = stream.load_s
        known["worker_pid"] = stream.worker_pid
        if stream.resumed_at is not None:
            known["resumed_s"] = stream.resumed_at - began_at
        if stream.marks is not None:
            _tell_marks(stream.marks, known.get("resumed_s", known["dispatched_s"]), known)
    if stream.earlier:
        known["earlier"] = tuple(
            Earlier(one.began_at - began_at, one.ended_at - began_at, one.ended)
            for one in stream.earlier
        )
    if stream.first_at is not None:
        known["first_s"] = stream.first_at - began_at
    if stream.done is not None:
        result = stream.done.result
        if isinstance(result, ChatResult):
            known["finish"] = result.finish
        elif isinstance(result, (SpeechResult, SpeakResult)):
            known["audio_s"] = result.duration_s


def _tell_marks(marks: Marks, arrived_s: float, known: dict[str, Any]) -> None:
    """On its way to the worker a job is so shortly that it has arrived as it was handed over."""
    known["worked_s"] = arrived_s + marks.ended_s
    known["steps"] = marks.steps
    if marks.began_s is not None:
        known["began_s"] = arrived_s + marks.began_s
    if marks.first_s is not None:
        known["read_s"] = arrived_s + marks.first_s


def _stage(stream: Stream | None) -> Stage:
    if stream is None:
        return "received"
    if stream.dispatched_at is None:
        return "waiting"
    return "running" if stream.first_at is None else "answering"
