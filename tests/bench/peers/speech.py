"""Speech: seconds of audio in a second, for one recording, for several at once, for a long one."""

from __future__ import annotations

import tempfile
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from bench.client import ask_each, connected, post_file
from bench.words import word_errors
from tests.bench.box import serving
from tests.bench.models import Say
from tests.bench.peers.results import Measured, Metric
from tests.bench.peers.run import Run
from tests.bench.peers.servers import RUN_S, Running, all_running
from tests.bench.peers.sides import Side, ours, theirs
from tests.bench.peers.turns import Turns
from tests.bench.recorded import Recording, clip, recordings

AT_ONCE = 4
# The half minute so often is nearly ten minutes, which is the most that edge-serve takes at once.
LONG_TIMES = 18


class Kind(NamedTuple):
    """Recordings that are asked for at once, where a side can."""

    name: str
    recordings: list[Recording]


class Heard(NamedTuple):
    """So many seconds of audio in so many seconds, and what was said in each recording."""

    audio_s: float
    seconds: float
    cpu_s: float
    texts: list[str]


async def measure(run: Run) -> None:
    """edge-serve over HTTP beside servers and libraries, none of which keeps what it has heard."""
    spec = msgspec.structs.replace(run.models.spec("speech"), slots=AT_ONCE)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-")))
        kinds = [kind for kind in _kinds(folder, run.say) if run.rows in kind.name]
        box = await stack.enter_async_context(serving([spec]))
        await box.ready()
        sides: list[Side | Running] = [ours(box, "/v1/audio/transcriptions", spec.name)]
        others = await all_running(stack, run.peers, run.files, run.say)
        sides += [theirs(one, run.files) if one.peer.serves else one for one in others]
        turns = Turns(sides, run.rounds, run.results, run.say)
        await turns.warm(recordings(run.say)[:1] * AT_ONCE, _hear)
        for kind in kinds:
            await turns.row(kind.name, partial(list, kind.recordings), _recordings)


def _kinds(folder: Path, say: Say) -> list[Kind]:
    several = recordings(say)
    text = " ".join(one.text for one in several)
    short = Recording(folder / "short.wav", text)
    short.path.write_bytes(clip(say))
    long = Recording(folder / "long.wav", " ".join([text] * LONG_TIMES))
    long.path.write_bytes(clip(say, LONG_TIMES))
    return [
        Kind("one of half a minute", [short]),
        Kind(f"{AT_ONCE} of 3 to 11 s", several[:AT_ONCE]),
        Kind(f"{AT_ONCE} of half a minute", [short] * AT_ONCE),
        Kind("one of nearly 10 minutes", [long]),
    ]


async def _recordings(side: Side | Running, given: list[Recording]) -> Measured:
    heard = await _hear(side, given)
    cpu_s = heard.cpu_s / heard.audio_s
    said = [one.text for one in given]
    return {
        Metric("speech: audio", "s/s"): heard.audio_s / heard.seconds,
        Metric("speech: processor time of a second of audio", "ms"): 1000 * cpu_s,
        Metric("speech: word errors", "of 100"): 100 * word_errors(said, heard.texts),
    }


async def _hear(side: Side | Running, given: list[Recording]) -> Heard:
    if isinstance(side, Running):
        done = await side.work([str(one.path) for one in given])
        return Heard(done["amount"], done["seconds"], done["cpu_s"], done["texts"])
    fields = {"model": side.model, "language": "en", "response_format": "verbose_json"}
    requests = [post_file(side.path, fields, one.path.name, one.path.read_bytes()) for one in given]
    async with connected(side.port, len(given)) as connections:
        cpu_s = side.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = side.cpu_s() - cpu_s
    heard = [orjson.loads(answer.body) for answer in answers]
    return Heard(
        audio_s=sum(one["duration"] for one in heard),
        seconds=max(one.ended_at for one in answers) - min(one.sent_at for one in answers),
        cpu_s=cpu_s,
        texts=[one["text"] for one in heard],
    )
