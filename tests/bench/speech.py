"""Speech: seconds of audio transcribed in a second."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial

import msgspec
import orjson

from bench.client import ask_each, connected, post_file
from bench.figures import Row
from tests.bench.bare.asked import Run
from tests.bench.box import Box, serving
from tests.bench.models import Models
from tests.bench.pairs import RUN_S, Rounds, bare
from tests.bench.sound.recorded import clip

AT_ONCE = 4


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """edge-serve over HTTP beside faster-whisper, both from file to text: a clip, and several at
    once, which faster-whisper takes one after the other."""
    spec = msgspec.structs.replace(models.spec("speech"), slots=AT_ONCE)
    audio = clip(rounds.say)
    fields = {"model": spec.name, "language": "en", "response_format": "verbose_json"}
    request = post_file("/v1/audio/transcriptions", fields, "clip.wav", audio)
    rows = []
    rounds.say("speech: loading both sides")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(audio)
        file.flush()
        async with bare(spec) as engine, serving([spec]) as box:
            await box.ready()

            async def ours(paths: list[str]) -> Run:
                return await _asked(box, [request] * len(paths))

            for count in (1, AT_ONCE):
                label = f"speech, {count} clips at once" if count > 1 else "speech, one clip"
                paths = [file.name] * count
                await engine.run(paths[:1])
                await ours(paths)
                take: Callable[[], list[str]] = partial(list, paths)
                left, right = await rounds.alternate(label, take, ours, engine.run)
                rows += _rows(label, left, right)
            worker = await box.replica(spec.name)
    name = "speech: memory of the engine's process"
    return [*rows, Row(name, "MB", [worker["rss_mb"]], [right[-1].rss_mb])]


async def _asked(box: Box, requests: list[bytes]) -> Run:
    """All at once, until the last is answered."""
    async with connected(box.port, len(requests)) as connections:
        cpu_s = box.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = box.cpu_s() - cpu_s
    seconds = max(one.ended_at for one in answers) - min(one.sent_at for one in answers)
    audio_s = sum(orjson.loads(one.body)["duration"] for one in answers)
    return Run(amount=audio_s, seconds=seconds, cpu_s=cpu_s)


def _rows(label: str, left: list[Run], right: list[Run]) -> list[Row]:
    return [
        Row(
            f"{label}: audio",
            "s/s",
            [run.amount / run.seconds for run in left],
            [run.amount / run.seconds for run in right],
        ),
        Row(
            f"{label}: processor time of a second of audio",
            "ms",
            [1000 * run.cpu_s / run.amount for run in left],
            [1000 * run.cpu_s / run.amount for run in right],
        ),
    ]
