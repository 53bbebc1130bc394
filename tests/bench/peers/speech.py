"""Speech: seconds of audio in a second, for one recording, for several at once, for long ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jiwer
import msgspec
import orjson

from bench.client import ask_each, connected, post_file
from bench.words import spoken
from ipc.messages.spec import Spec
from tests.bench.box import serving
from tests.bench.models import Say
from tests.bench.peers import peak
from tests.bench.peers.results import Measured, Metric
from tests.bench.peers.run import Run
from tests.bench.peers.servers import Running, all_running
from tests.bench.peers.sides import Side, ours, theirs
from tests.bench.peers.turns import Turns
from tests.bench.sound.readings import paragraphs_read, reading
from tests.bench.sound.recorded import Recording, clip, recordings

AT_ONCE, MANY = 4, 16
# The half minute so often is nearly ten minutes.
LONG_TIMES = 18
TEN_MINUTES_S, HOUR_S = 600.0, 3600.0
# An hour takes a side that hears ten seconds in one so long.
LONGEST_RUN_S = 600.0


class Kind(NamedTuple):
    """Recordings that are asked for at once, where a side can."""

    name: str
    recordings: Callable[[], list[Recording]]


class Heard(NamedTuple):
    """So many seconds of audio in so many seconds, and what was said in each recording."""

    audio_s: float
    seconds: float
    cpu_s: float
    texts: list[str]


async def measure(run: Run) -> None:
    """edge-serve over HTTP beside servers and libraries, none of which keeps what it has heard."""
    spec = msgspec.structs.replace(run.models.spec("speech"), slots=MANY)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-")))
        kinds = [
            kind
            for kind in _kinds(folder, run.models.spec("speak"), run.say)
            if run.rows in kind.name
        ]
        box = await stack.enter_async_context(serving([spec]))
        await box.ready()
        sides: list[Side | Running] = [ours(box, "/v1/audio/transcriptions", spec.name)]
        others = await all_running(stack, run.peers, run.files, run.say)
        sides += [theirs(one, run.files) if one.peer.serves else one for one in others]
        turns = Turns(sides, run.rounds, run.results, run.say)
        await turns.warm(recordings(run.say)[:1] * AT_ONCE, _hear)
        for kind in kinds:
            given = kind.recordings()
            await turns.row(kind.name, partial(list, given), _recordings)


def _kinds(folder: Path, reader: Spec, say: Say) -> list[Kind]:
    """The longest last: who is slow is left out of what follows."""

    def short() -> Recording:
        path = folder / "short.wav"
        path.write_bytes(clip(say))
        return Recording(path, _all_said(say))

    def looped() -> Recording:
        path = folder / "looped.wav"
        path.write_bytes(clip(say, LONG_TIMES))
        return Recording(path, " ".join([_all_said(say)] * LONG_TIMES))

    return [
        Kind("one of half a minute", lambda: [short()]),
        Kind(f"{AT_ONCE} of 3 to 11 s", lambda: recordings(say)[:AT_ONCE]),
        Kind(f"{AT_ONCE} of half a minute", lambda: [short()] * AT_ONCE),
        Kind(f"{MANY} paragraphs", lambda: paragraphs_read(MANY, reader, say)),
        Kind("the half minute 18 times", lambda: [looped()]),
        Kind("ten minutes that never repeat", lambda: [reading(TEN_MINUTES_S, reader, say)]),
        Kind("an hour that never repeats", lambda: [reading(HOUR_S, reader, say)]),
    ]


def _all_said(say: Say) -> str:
    return " ".join(one.text for one in recordings(say))


async def _recordings(side: Side | Running, given: list[Recording]) -> Measured:
    pids = peak.whole(side.pid)
    peak.forget(pids)
    heard = await _hear(side, given)
    found = jiwer.process_words(
        [" ".join(spoken(one.text)) for one in given],
        [" ".join(spoken(text)) for text in heard.texts],
    )
    words = found.hits + found.substitutions + found.deletions
    wrong = {
        "word errors": found.substitutions + found.deletions + found.insertions,
        "words left out": found.deletions,
        "words that nobody said": found.insertions,
    }
    return {
        Metric("speech: audio", "s/s"): heard.audio_s / heard.seconds,
        Metric("speech: processor time of a second of audio", "ms"): (
            1000 * heard.cpu_s / heard.audio_s
        ),
        Metric("speech: most memory", "MB"): peak.peak_mb(pids),
        **{
            Metric(f"speech: {name}", "of 100"): 100 * count / words
            for name, count in wrong.items()
        },
    }


async def _hear(side: Side | Running, given: list[Recording]) -> Heard:
    if isinstance(side, Running):
        done = await side.work([str(one.path) for one in given], LONGEST_RUN_S)
        return Heard(done["amount"], done["seconds"], done["cpu_s"], done["texts"])
    fields = {"model": side.model, "language": "en", "response_format": "verbose_json"}
    requests = [post_file(side.path, fields, one.path.name, one.path.read_bytes()) for one in given]
    async with connected(side.port, len(given)) as connections:
        cpu_s = side.cpu_s()
        answers = await ask_each(connections, requests, LONGEST_RUN_S)
        cpu_s = side.cpu_s() - cpu_s
    heard = [orjson.loads(answer.body) for answer in answers]
    return Heard(
        audio_s=sum(one["duration"] for one in heard),
        seconds=max(one.ended_at for one in answers) - min(one.sent_at for one in answers),
        cpu_s=cpu_s,
        texts=[one["text"] for one in heard],
    )
