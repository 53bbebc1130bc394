"""Why a model takes no request now, and what becomes of those that it cannot finish: the errors
that clients read. The 429 of a full queue is `frontend.dispatch.lane`'s, which knows how long."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Draining,
    GaveWay,
    InsufficientMemory,
    InvalidRequest,
    ModelDraining,
    ModelLoading,
    ModelNotFound,
    QueueTimeout,
    RequestTimeout,
    ServeError,
    Unavailable,
    UnsupportedParameter,
    WorkerCrashed,
)
from ipc.messages.jobs import Task
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState
from ipc.tasks import TASKS
from ipc.transport.wire import WireError

# For whoever runs the server, where it has no model of a kind at all.
_HOW_TO_SERVE = "`edge-serve models` lists those that MODELS or --models can add"
# When to ask again for a model whose load was never measured.
LOAD_S = 5.0
# When to ask again for one that an operator keeps from taking work; nobody knows until when.
DRAINED_S = 30.0


def stopping() -> Draining:
    return Draining("the server is stopping", retry_after_s=5.0)


def upload_outstays(after_s: float) -> RequestTimeout:
    return RequestTimeout(
        f"the upload still comes after {after_s:.0f} s, and others wait for the only place of this "
        "model; send it faster, or shorter"
    )


def takes_it_whole(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"model {name!r} cannot hear sound while it comes; send it a whole file", param="model"
    )


def goes_on_behind_nobody(name: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"model {name!r} cannot go on with an answer that another server has begun; leave "
        "`migration` out",
        param="migration",
    )


def stopped_before_end() -> Draining:
    return Draining("the server stopped before this request was finished")


def not_served(
    name: str, task: Task | None, names: Sequence[str], *, by_key: bool = False
) -> ModelNotFound:
    """Nothing here is called ``name``, or not for this key where that may not use all; ``names``
    are what could be asked for ``task`` instead."""
    told = f"this server has no model called {name!r}{' for this key' if by_key else ''}"
    purpose = f" for {TASKS[task].capability}" if task else ""
    if names:
        told = f"{told}; what it has{purpose}: {', '.join(names)}"
    else:
        told = f"{told}, and no other{purpose}; {_HOW_TO_SERVE}"
    return ModelNotFound(told, param="model")


def no_model_named(task: Task, names: Sequence[str]) -> InvalidRequest:
    """A request names no model, and there are several for ``task``, or none."""
    if names:
        told = f"`model` is required; one of: {', '.join(names)}"
    else:
        told = f"this server has no model for {TASKS[task].capability}; {_HOW_TO_SERVE}"
    return InvalidRequest(told, param="model")


def not_loaded(spec: Spec) -> InvalidRequest:
    """Its model is not loaded, and the request says that it is not to be."""
    return InvalidRequest(
        f"model {spec.name!r} is not loaded, and `autoload` says not to load it", param="autoload"
    )


def not_admitting(
    state: ModelState, spec: Spec, load_left_s: float | None = None
) -> ServeError | None:
    """Why a model in this state takes no requests; None where it does.

    A model that was ready and is being replaced keeps its queue; one that never was has nothing to
    promise yet. One that is not always loaded has a queue to be loaded for, until its load fails.
    ``load_left_s`` is when it should be loaded, if that is known.
    """
    if state.refused is not None:
        return no_room(state.refused)
    if state.state == "failed":
        return circuit_open(state)
    if state.state == "unloaded" and spec.load == "never":
        return Unavailable(
            f"model {state.name!r} is not loaded, and only an operator loads it", retry_after_s=60.0
        )
    if state.state == "stopped":
        return Unavailable(f"model {state.name!r} is stopped", retry_after_s=60.0)
    if not state.routes and not state.was_ready and not _loads_for(state, spec):
        failed = f"; its last start failed: {state.reason}" if state.reason else ""
        what = f"is loading{_at_stage(state)}{failed}"
        return ModelLoading(f"model {state.name!r} {what}", retry_after_s=load_left_s or LOAD_S)
    return None


def _loads_for(state: ModelState, spec: Spec) -> bool:
    """Whether the model is loaded for whoever asks for it."""
    return state.state == "unloaded" or (spec.load != "always" and state.state == "starting")


def model_draining(model: str) -> ModelDraining:
    return ModelDraining(
        f"model {model!r} takes no new requests until an operator of this server resumes it",
        retry_after_s=DRAINED_S,
    )


def no_room(why: str) -> InsufficientMemory:
    return InsufficientMemory(why, retry_after_s=30.0)


def still_loading(state: ModelState, load_left_s: float | None) -> ModelLoading:
    return ModelLoading(
        f"model {state.name!r} was not loaded in the time that a request may "
        f"wait{_at_stage(state)}",
        retry_after_s=load_left_s or LOAD_S,
    )


def _at_stage(state: ModelState) -> str:
    return f" (stage: {state.stage})" if state.stage else ""


def circuit_open(state: ModelState) -> CircuitOpen:
    return CircuitOpen(
        f"model {state.name!r} is not available: {state.reason or 'see /health'}",
        retry_after_s=state.retry_after_s or 60.0,
    )


def worker_crashed(model: str) -> WorkerCrashed:
    return WorkerCrashed(
        f"the worker of model {model!r} stopped while it worked on this request; send it again",
        retry_after_s=1.0,
    )


def worker_takes_nothing() -> WorkerCrashed:
    return WorkerCrashed("the worker takes no requests", retry_after_s=1.0)


def too_large(error: WireError) -> InvalidRequest:
    return InvalidRequest(f"the request is too large: {error}")


def waited_too_long(retry_after_s: float) -> QueueTimeout:
    return QueueTimeout(
        "the request waited too long for a free place; the server is overloaded",
        retry_after_s=retry_after_s,
    )


def took_too_long(spec: Spec) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the request took longer than its limit of {spec.request_timeout_s:g} s"
    )


def gave_way() -> GaveWay:
    return GaveWay("this work in the background was given up for a client that waits")
