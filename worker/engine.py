"""What an engine is: the one interface between a model library and the rest of edge-serve.

An engine lives on one thread and is called by nobody else, so it needs no locks. Continuous
batching is nothing but `Engine.admit` between two calls of `Engine.step`. An engine never talks
to a socket, a clock or a client; it turns jobs into events:

* every admitted job gets any number of `Piece`, mostly `Delta`, then exactly one `Done` or
  `Failed`; before them it may get `Prefilled` of a prompt that takes long to read, and between them
  `Listened` of a recording that takes long to hear,
* unless it is dropped: then it gets nothing more (the loop ends it),
* one whose input is streamed is told by `Consumed` how much of it was used, for as much to follow.

A library that writes chats token by token has less to do: see `worker.chat.token_engine`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ipc.messages.errors import InvalidRequest
from ipc.messages.events import Event
from ipc.messages.jobs import Job, More
from ipc.messages.spec import Loaded, Spec
from ipc.options import AnyOptions, OptionError, decode

Stage = Callable[[str], None]
# What libraries say that have no exception of their own for it.
_NO_MEMORY = re.compile(r"bad_alloc|out of memory|(alloc\w*|insufficient) memory", re.IGNORECASE)


class LoadError(Exception):
    """A model cannot be loaded. A ``permanent`` cause (a bad file, an unknown architecture) stays
    until somebody changes something; others, like a busy GPU, may pass.

    Raised from a step it means that the model is gone and why: /health shows the reason. Where that
    came from ``outside``, the requests in hand are not suspected of it."""

    def __init__(self, reason: str, *, permanent: bool = True, outside: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.permanent = permanent
        self.outside = outside


def options_of(spec: Spec, kind: type[AnyOptions]) -> AnyOptions:
    """``spec.options`` as a struct of the engine's own, with its defaults: one of `ipc.engines`, or
    any other of msgspec for a user's own engine.

    Raises `LoadError` for what the struct does not take.
    """
    try:
        return decode(kind, spec.options)
    except OptionError as error:
        raise LoadError(f"engine {spec.engine} for {spec.task} models: options.{error}") from None


def check_device(spec: Spec, loaded: Loaded) -> None:
    """Raises `LoadError` where a model that was to run on a GPU has settled for the CPU, as some
    libraries do by themselves: it would seem to work, a hundred times slower."""
    if loaded.device == "cpu" and spec.device.partition(":")[0] in ("cuda", "mps"):
        raise LoadError(
            f"engine {spec.engine} has put the model on the cpu, not on {spec.device}; make that "
            "device usable, or set device: cpu",
            permanent=False,
        )


def lacks_memory(error: BaseException) -> bool:
    """Whether ``error`` comes from a want of memory, which others may give back."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or _NO_MEMORY.search(str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class BegunPrompt(NamedTuple):
    """A prompt, in the model's tokens, that an engine has begun to read for a job."""

    job_id: str
    tokens: Sequence[int]


class Engine(Protocol):
    """A model that works on several jobs at once. Constructed without arguments.

    Our own engines are subclasses, so that mypy holds each against this; a user's own need not be.
    """

    @property
    def worn(self) -> str:
        """Why it should be replaced by a fresh one once its jobs have ended, say for memory that
        its library never gives back; empty while there is no reason. Read from any thread; may be
        left out."""
        return ""

    def prepare(self, spec: Spec, stage: Stage) -> None:  # noqa: ARG002
        """Convert what was pulled into ``spec.cache``, once, so that serving starts from there;
        called before any `load`, in a process of its own that ends with it.

        Most engines convert nothing, and leave this out; one of ours that does names the packages
        it converts by in its `ipc.engines.Descriptor`, or it is not called. Raises `LoadError`.
        """
        return

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        """Load ``spec.path`` onto ``spec.device``; call ``stage`` with each stage come to.

        Raises `LoadError`. Imports its library here, not at module level, where that is slow.
        """
        ...

    def admit(self, job: Job) -> bool:
        """Take ``job`` into the running batch; False while there is no room for it.

        Raises a `ServeError` that says what is wrong with the job; it is then refused.
        """
        ...

    def more(self, more: More) -> None:  # noqa: ARG002
        """Take the next piece of an admitted job's input, between two steps. What has been used of
        it is told by `Consumed`, which lets as much more come. Only for engines that say so
        (`Loaded.streams_input`); others may leave it out. Raises the `ServeError` that ends a job.
        """
        raise InvalidRequest("this model takes no input in pieces")

    def step(self) -> list[Event]:
        """Advance every admitted job a little: one token, one batch, one window of audio.

        Bounded, so that cancellation is prompt and progress is visible. An exception means that
        the engine is broken: the worker ends all its jobs and exits, to be started afresh.
        """
        ...

    def wait_s(self) -> float | None:
        """How long the loop may wait for more jobs before the next step: 0 when there is work to
        do now, more to let a batch fill, None when there is nothing to do. An idle engine is asked
        again now and then, so it can find work in itself: a failure to report."""
        ...

    def drop(self, job_id: str) -> None:
        """Forget a job and free its place. Unknown ids are fine."""
        ...

    def prompts_begun(self) -> list[BegunPrompt]:
        """What has been begun since it was last asked, the last of it at least: of an engine that
        keeps what it has computed of prompts (`Loaded.keeps_prefixes`). Others may leave it out."""
        return []

    def close(self) -> None:
        """Release what the library holds. Called once, at exit."""
        ...
