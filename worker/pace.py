"""How fast an engine answers chats on this box: for the choice among those that can read a model.

    python -m worker.pace FILE PARENT PIPE    load the model of a JSON `Spec`, print a JSON `Pace`

It ends when the process PARENT does, which alone holds the other end of PIPE.
Nothing else should run meanwhile. It takes about 10 seconds beside loading.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ipc.facts.pace import Pace
from ipc.messages.events import Delta, Done, Event, Failed, Reasoning
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Spec
from ipc.runtime import lifeline
from worker.engine import Engine, LoadError
from worker.engines import make

# How long answers are written for one figure, and how long its prompts may take before that.
WRITE_S = 3.0
BEGIN_S = 60.0
# A prompt has about as many words as one answer alone would get tokens in this time: it is read in
# a few seconds on slow boxes, and long enough to be read in full batches on quick ones.
PROMPT_S = 10.0
LEAST_WORDS, MOST_WORDS = 48, 384
_MOST_TOKENS = 512
_POLL_S = 0.02


def measured(engine: Engine, spec: Spec) -> Pace:
    """The pace of a loaded ``engine``. Raises `LoadError` where it fails."""
    _written_per_s(engine, spec, 1, 0.0)  # first answers are slower: memory is taken, threads begin
    alone = _written_per_s(engine, spec, 1, WRITE_S)
    full = alone if spec.slots == 1 else _written_per_s(engine, spec, spec.slots, WRITE_S)
    words = max(LEAST_WORDS, min(MOST_WORDS, int(alone * PROMPT_S)))
    read = _read_per_s(engine, spec, words)
    return Pace(alone_per_s=alone, full_per_s=full, prompt_per_s=read)


def _written_per_s(engine: Engine, spec: Spec, count: int, write_s: float) -> float:
    """What ``count`` answers get together, from when each has begun."""
    jobs = [_job(spec, f"{count}.{at}", 8, _MOST_TOKENS) for at in range(count)]
    tokens: Counter[str] = Counter()
    began_s, before = None, 0
    ended = False
    try:
        for events in _steps(engine, jobs):
            now = time.monotonic()
            for event in events:
                if isinstance(event, Delta | Reasoning):
                    tokens[event.job] += event.tokens
                ended |= isinstance(event, Done)
            if began_s is None and len(tokens) == count:
                began_s, before = now, tokens.total()
            if began_s is not None and (ended or now - began_s >= write_s):
                return (tokens.total() - before) / max(now - began_s, _POLL_S)
            if ended:
                raise LoadError("an answer ended before all had begun")
    finally:
        _leave(engine, jobs)
    raise LoadError("it wrote nothing")


def _read_per_s(engine: Engine, spec: Spec, words: int) -> float:
    job = _job(spec, "prompt", words, 1)
    began_s = time.monotonic()
    for events in _steps(engine, [job]):
        for event in events:
            if isinstance(event, Done):
                usage = event.result.usage
                return usage.prompt_tokens / (time.monotonic() - began_s)
    raise LoadError("it answered nothing")


def _steps(engine: Engine, jobs: Sequence[Job]) -> Iterator[list[Event]]:
    """The events of one step after the other, until nobody asks for more. Raises `LoadError`."""
    waiting, until = list(jobs), time.monotonic() + BEGIN_S
    while True:
        while waiting and engine.admit(waiting[0]):
            waiting.pop(0)
        time.sleep(min(engine.wait_s() or 0.0, _POLL_S))
        events = list(engine.step())
        for event in events:
            if isinstance(event, Failed):
                raise LoadError(f"an answer failed: {event.error.message}")
        if time.monotonic() > until:
            raise LoadError(f"no answer within {BEGIN_S:.0f} s")
        yield events


def _leave(engine: Engine, jobs: Sequence[Job]) -> None:
    """End the answers, so that the next figure is of its own only."""
    for job in jobs:
        engine.drop(job.id)
    engine.step()


def _job(spec: Spec, name: str, words: int, max_tokens: int) -> Job:
    """A chat that is like no other from its first word on, so that nothing of it is cached."""
    text = " ".join(f"{name} {at * 37 % 101}" for at in range(words // 2))
    sampling = Sampling(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    asked = ChatInput(messages=[Message("user", text)], sampling=sampling)
    deadline_at = time.monotonic() + 2 * BEGIN_S
    return Job(id=f"pace-{name}", model=spec.name, input=asked, deadline_at=deadline_at)


def main(file: Path) -> int:
    try:
        spec = msgspec.json.decode(file.read_bytes(), type=Spec)
        engine = make(spec)
        engine.load(spec, lambda _stage: None)
        pace = measured(engine, spec)
    except (LoadError, OSError, msgspec.MsgspecError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(msgspec.json.encode(pace).decode(), flush=True)
    os._exit(0)  # native libraries may hang in their destructors


if __name__ == "__main__":
    lifeline.hold(int(sys.argv[2]), int(sys.argv[3]))
    sys.exit(main(Path(sys.argv[1])))
