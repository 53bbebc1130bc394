"""Runs an engine as the worker's loop does: admit between steps, step while there is work."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, Literal

from ipc.messages.blob import Blob
from ipc.messages.errors import ServeError, from_info
from ipc.messages.events import Audio, Delta, Done, Event, Events, Failed, Result, SpeechResult
from ipc.messages.jobs import (
    ChatInput,
    EmbedInput,
    Input,
    Job,
    Message,
    Sampling,
    SpeakInput,
    SpeechInput,
    Truncation,
)
from ipc.transport.wire import encode
from worker.engine import Engine

DEADLINE_S = 120.0

_ids = itertools.count()


def job(asked: Input) -> Job:
    """A job that no other shares its id with."""
    return Job(
        id=f"job-{next(_ids)}",
        model="under-test",
        input=asked,
        deadline_at=time.monotonic() + DEADLINE_S,
    )


Role = Literal["system", "user", "assistant", "tool"]


def chat(
    *turns: str | tuple[Role, str],
    max_tokens: int = 24,
    temperature: float = 0.0,
    **sampling: object,
) -> Job:
    """A chat of ``turns``; one without a role is the user's."""
    messages = [
        Message(*turn) if isinstance(turn, tuple) else Message("user", turn) for turn in turns
    ]
    return job(
        ChatInput(
            messages=messages,
            sampling=Sampling(max_tokens=max_tokens, temperature=temperature, **sampling),  # type: ignore[arg-type]
        )
    )


def embed(*texts: str, dimensions: int | None = None, **truncation: Any) -> Job:
    return job(
        EmbedInput(texts=list(texts), dimensions=dimensions, truncation=Truncation(**truncation))
    )


def speech(audio: bytes, **asked: object) -> Job:
    return job(SpeechInput(audio=Blob(audio), **asked))  # type: ignore[arg-type]


def speak(text: str, **asked: object) -> Job:
    return job(SpeakInput(text=text, **asked))  # type: ignore[arg-type]


class Driver:
    """One engine and everything that came out of it, in order."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self._admitted: list[Job] = []

    def admit(self, *jobs: Job) -> None:
        """Admit ``jobs``, all of which must find room."""
        for one in jobs:
            assert self.engine.admit(one), f"no room for {one.id}"
            self._admitted.append(one)

    def clear(self) -> None:
        """Drop whatever is still running, and let the engine settle."""
        for one in self._admitted:
            self.engine.drop(one.id)
        self.settle()

    def settle(self) -> None:
        """Take turns until the engine has nothing to do."""
        self.until(lambda: self.engine.wait_s() is None)

    def turn(self) -> list[Event]:
        """Wait as long as the engine says, then step once; returns what that brought."""
        wait_s = self.engine.wait_s()
        assert wait_s is not None, "nothing to do, though not all has ended"
        if wait_s > 0:
            time.sleep(wait_s)
        brought = self.engine.step()
        encode(Events(brought))  # which a worker would do: it must have a form on the wire
        self.events += brought
        return brought

    def until(self, done: Callable[[], bool]) -> None:
        """Take turns until ``done``; fails when that takes longer than any answer may."""
        give_up_at = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < give_up_at, "the engine makes no end"
            self.turn()

    def finish(self, *jobs: Job) -> None:
        """Take turns until each of ``jobs`` has ended."""
        self.until(lambda: all(self.ended(one) for one in jobs))

    def run(self, *jobs: Job) -> None:
        """Admit ``jobs`` together and finish them."""
        self.admit(*jobs)
        self.finish(*jobs)

    def of(self, one: Job) -> list[Event]:
        return [event for event in self.events if event.job == one.id]

    def deltas(self, one: Job) -> list[Delta]:
        return [event for event in self.of(one) if isinstance(event, Delta)]

    def terminals(self, one: Job) -> list[Done | Failed]:
        return [event for event in self.of(one) if isinstance(event, Done | Failed)]

    def ended(self, one: Job) -> bool:
        return bool(self.terminals(one))

    def text(self, one: Job) -> str:
        """All text of a job's deltas."""
        return "".join(delta.text for delta in self.deltas(one))

    def sound(self, one: Job) -> bytes:
        """The file that a job's pieces of sound make."""
        return b"".join(event.data.data for event in self.of(one) if isinstance(event, Audio))

    def result(self, one: Job) -> Result:
        """The result of a job that has ended; raises its error if it failed."""
        (terminal,) = self.terminals(one)
        if isinstance(terminal, Failed):
            raise from_info(terminal.error)
        return terminal.result

    def refused(self, one: Job) -> ServeError:
        """The error by which a job is turned away, when it is admitted or in a step."""
        try:
            self.run(one)
        except ServeError as error:
            return error
        (terminal,) = self.terminals(one)
        assert isinstance(terminal, Failed), f"{one.id} was answered"
        return from_info(terminal.error)


def hear(driver: Driver, data: bytes, **asked: object) -> SpeechResult:
    """What is heard in a file."""
    one = speech(data, **asked)
    driver.run(one)
    found = driver.result(one)
    assert isinstance(found, SpeechResult)
    return found
