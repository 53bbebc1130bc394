"""Speech: seconds of audio in a second, for one recording, for several at once, for a long one."""

from __future__ import annotations

import re
import tempfile
from contextlib import AsyncExitStack
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from bench.box import serving
from bench.client import ask_each, connected, post_file
from bench.models import Models, Say
from bench.peers.known import Files, Peer
from bench.peers.servers import RUN_S, Running, running
from bench.peers.sides import Figure, Side, in_turn, ours
from bench.recorded import clip, recordings

AT_ONCE = 4
LONG_S = 600
_LONG_ROUNDS = 3


class Kind(NamedTuple):
    """Recordings that are asked for at once, where a side can."""

    name: str
    paths: list[Path]
    rounds: int


class Heard(NamedTuple):
    """So many seconds of audio in so many seconds, and the words."""

    audio_s: float
    seconds: float
    cpu_s: float
    words: list[str]


async def measure(
    rounds: int, models: Models, peers: list[Peer], files: Files, say: Say
) -> list[Figure]:
    """edge-serve over HTTP, libraries one recording after another."""
    spec = msgspec.structs.replace(models.spec("speech"), slots=AT_ONCE)
    figures = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-")))
        box = await stack.enter_async_context(serving([spec]))
        await box.ready()
        sides: list[Side | Running] = [ours(box, "/v1/audio/transcriptions", spec.name)]
        for peer in peers:
            say(f"{peer.name}: starting")
            sides.append(await stack.enter_async_context(running(peer, files)))
        for kind in _kinds(folder, rounds, say):
            rates = Figure("speech: audio", kind.name, "s/s")
            costs = Figure("speech: processor time of a second of audio", kind.name, "ms")
            others = Figure("speech: other words than edge-serve heard", kind.name, "of 100")
            for side in sides:
                await _hear(side, kind.paths[:1])
            for number in range(kind.rounds):
                heard = {}
                for side in in_turn(sides, number):
                    say(f"{kind.name}, round {number + 1} of {kind.rounds}: {side.name}")
                    heard[side.name] = one = await _hear(side, kind.paths)
                    rates.add(side.name, one.audio_s / one.seconds)
                    costs.add(side.name, 1000 * one.cpu_s / one.audio_s)
                for name, one in heard.items():
                    others.add(name, _difference(heard[sides[0].name].words, one.words))
            figures += [rates, costs, others]
    return figures


def _kinds(folder: Path, rounds: int, say: Say) -> list[Kind]:
    short, long = folder / "short.wav", folder / "long.wav"
    audio = clip(say)
    short.write_bytes(audio)
    several = sorted(recordings(say))[:AT_ONCE]
    long.write_bytes(clip(say, at_least_s=LONG_S))
    return [
        Kind("one recording of half a minute", [short], rounds),
        Kind(f"{AT_ONCE} recordings of 3 to 11 s", several, rounds),
        Kind(f"{AT_ONCE} recordings of half a minute", [short] * AT_ONCE, rounds),
        Kind(f"one recording of {LONG_S // 60} minutes", [long], min(rounds, _LONG_ROUNDS)),
    ]


async def _hear(side: Side | Running, paths: list[Path]) -> Heard:
    if isinstance(side, Running):
        done = await side.work([str(path) for path in paths])
        return Heard(done["amount"], done["seconds"], done["cpu_s"], _words(done["words"]))
    fields = {"model": side.model, "language": "en", "response_format": "verbose_json"}
    requests = [post_file(side.path, fields, path.name, path.read_bytes()) for path in paths]
    async with connected(side.port, len(paths)) as connections:
        cpu_s = side.cpu_s()
        answers = await ask_each(connections, requests, RUN_S)
        cpu_s = side.cpu_s() - cpu_s
    heard = [orjson.loads(answer.body) for answer in answers]
    seconds = max(answer.ended_at for answer in answers) - min(one.sent_at for one in answers)
    text = " ".join(one["text"] for one in heard)
    return Heard(sum(one["duration"] for one in heard), seconds, cpu_s, _words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _difference(ours: list[str], theirs: list[str]) -> float:
    return 100 * (1 - SequenceMatcher(None, ours, theirs, autojunk=False).ratio())
