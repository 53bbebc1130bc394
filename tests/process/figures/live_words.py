"""When live words come, on idle cores.

    python -m tests.process.figures.live_words [ENGINE FOLDER]

The clock is that of the sound, and a run of the model takes as much of it as it takes of a
processor, which a busy box changes less than time; a run has one thread, as a worker of two on two
cores has. So this is what the policy and the model bring, without sockets and neighbours.
"""

from __future__ import annotations

import statistics
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any

from ipc.messages.blob import Blob
from ipc.messages.events import Event, Turn
from ipc.messages.jobs import Live, More, SpeechInput
from ipc.messages.spec import Spec
from tests.recordings import FOLDER, known
from worker.engines import make
from worker.hearing.engine import HearingEngine
from worker.hearing.live.clip import LiveClip
from worker.hearing.model import Model

STEP_S = 0.1
NAMES = ("jfk", "austen-0870", "austen-0880", "austen-0890", "austen-0930", "wizard")


def model_of(engine_name: str, folder: str) -> Model:
    spec = Spec(
        name="m", task="speech", engine=engine_name, path=folder, slots=2, threads=2, device="cpu"
    )
    engine = make(spec)
    assert isinstance(engine, HearingEngine)
    engine.load(spec, lambda _: None)
    assert engine._model is not None
    return engine._model


def play(model: Model, name: str) -> tuple[list[tuple[float, Turn]], list[float]]:
    """What is told and when, and how much of a processor each run took."""
    samples, rate = _samples(name)
    samples += bytes(4 * rate)
    rules = Live(rate_hz=rate, unstable=True)
    asked = SpeechInput(audio=Blob(b""), streamed=True, live=rules, language="en")
    clip = LiveClip("a", asked, "en")
    told: list[tuple[float, Turn]] = []
    runs: list[float] = []
    now, busy_until, running = 0.0, 0.0, None
    for number, data in enumerate(_steps(samples, rate)):
        now = (number + 1) * STEP_S
        while running is not None and busy_until <= now:
            run, heard = running
            running = None
            told += _turns(busy_until, clip.heard(run, heard, busy_until))
            running, busy_until = _next(model, clip, busy_until, runs)
        clip.take(More(job="a", number=number, data=Blob(data)), None)
        told += _turns(now, clip.read())
        told += _turns(now, clip.ended())
        if running is None:
            running, busy_until = _next(model, clip, now, runs)
    return told, runs


def _next(model: Model, clip: LiveClip, now: float, runs: list[float]) -> tuple[Any, float]:
    if clip.due_in_s(now) != 0.0:
        return None, now
    run = clip.run(now)
    began = time.process_time()
    (heard,) = model.hear([run.run.piece], run.manner, lambda _: True)
    runs.append(time.process_time() - began)
    return (run, heard), now + runs[-1]


def _turns(now: float, events: list[Event]) -> Iterator[tuple[float, Turn]]:
    return ((now, event) for event in events if isinstance(event, Turn))


def _samples(name: str) -> tuple[bytes, int]:
    (file,) = [each["file"] for each in known() if each["name"] == name]
    with wave.open(str(FOLDER / file)) as sound:
        samples: bytes = sound.readframes(sound.getnframes())
        return samples, int(sound.getframerate())


def _steps(samples: bytes, rate: int) -> Iterator[bytes]:
    step = int(rate * STEP_S) * 2
    return (samples[at : at + step] for at in range(0, len(samples), step))


def main() -> None:
    engine, folder = sys.argv[1:] or ("ctranslate2", "models/openai--whisper-base")
    model = model_of(engine, folder)
    first, lags, ends, costs, seconds = list[float](), list[float](), list[float](), 0.0, 0.0
    for name in NAMES:
        told, runs = play(model, name)
        costs += sum(runs)
        seconds += len(_samples(name)[0]) / 2 / _samples(name)[1]
        starts = [at for at, turn in told if turn.what == "started"]
        heard = [at for at, turn in told if turn.what == "unstable" and turn.text]
        first += [heard[0] - starts[0]] if starts and heard else []
        stops = {turn.turn: at for at, turn in told if turn.what == "stopped"}
        ends += [at - stops[turn.turn] for at, turn in told if turn.what == "ended"]
        lags += _lags(told)
        text = " / ".join(turn.text for _, turn in told if turn.what == "ended")
        print(f"{name}: {len(runs)} runs of {statistics.median(runs):.2f} s: {text}")
    for what, found in (("first unstable word", first), ("told words", lags), ("end", ends)):
        found.sort()
        p95 = found[int(0.95 * (len(found) - 1))]
        print(f"{what}: median {statistics.median(found):.2f} s, 95 of 100 by {p95:.2f} s")
    print(f"processor: {costs / seconds:.2f} s for a second of sound")


def _lags(told: list[tuple[float, Turn]]) -> list[float]:
    """How long after it was first seen, unstable or told, each told piece was told."""
    return [at - _seen(told, turn) for at, turn in told if turn.what == "words"]


def _seen(told: list[tuple[float, Turn]], words: Turn) -> float:
    first = words.text.split()[0].strip(".,?!").lower()
    return next(
        at
        for at, turn in told
        if turn.turn == words.turn
        and turn.what in ("unstable", "words")
        and first in turn.text.lower()
    )


if __name__ == "__main__":
    main()
