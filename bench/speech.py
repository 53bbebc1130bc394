"""Speech: seconds of audio transcribed in a second."""

from __future__ import annotations

import tempfile

import orjson

from bench.bare import Run
from bench.box import serving
from bench.client import ask_each, connected, post_file
from bench.figures import Row
from bench.inputs import clip
from bench.models import Models
from bench.pairs import RUN_S, Rounds, bare


async def measure(rounds: Rounds, models: Models) -> list[Row]:
    """edge-serve over HTTP beside faster-whisper, both from file to text."""
    spec = models.spec("speech")
    audio = clip(rounds.say)
    fields = {"model": spec.name, "language": "en", "response_format": "verbose_json"}
    request = post_file("/v1/audio/transcriptions", fields, "clip.wav", audio)
    rounds.say("speech: loading both sides")
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(audio)
        file.flush()
        async with bare(spec) as engine, serving([spec]) as box:
            await box.ready()

            async def ours(_: list[str]) -> Run:
                async with connected(box.port, 1) as connections:
                    cpu_s = box.cpu_s()
                    (answer,) = await ask_each(connections, [request], RUN_S)
                    cpu_s = box.cpu_s() - cpu_s
                heard = orjson.loads(answer.body)
                return Run(amount=heard["duration"], seconds=answer.seconds, cpu_s=cpu_s)

            await engine.run([file.name])
            await ours([])
            left, right = await rounds.alternate("speech", lambda: [file.name], ours, engine.run)
            worker = await box.replica(spec.name)
    return [
        Row(
            f"speech, a clip of {left[0].amount:.0f} s: audio",
            "s/s",
            [run.amount / run.seconds for run in left],
            [run.amount / run.seconds for run in right],
        ),
        Row(
            "speech: processor time of a second of audio",
            "ms",
            [1000 * run.cpu_s / run.amount for run in left],
            [1000 * run.cpu_s / run.amount for run in right],
        ),
        Row("speech: memory of the engine's process", "MB", [worker["rss_mb"]], [right[-1].rss_mb]),
    ]
