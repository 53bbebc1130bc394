"""Audio: recordings to text."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import av
import orjson

from bench.client import form
from bench.load.outcome import Outcome
from bench.load.server import Reply, Request
from ipc.tasks import TASKS
from supervisor.config.errors import ConfigError


class Audio:
    """Transcriptions of ``files``, one after the other and again; ``fields`` go with each.

    Raises `ConfigError` for what is no recording.
    """

    capability = TASKS["speech"].capability

    def __init__(self, files: list[Path], fields: Mapping[str, str]) -> None:
        self._fields = dict(fields)
        found = [(path.name, *_recording(path)) for path in files]
        self.seconds = sum(seconds for _, _, seconds in found)
        self._files = itertools.cycle(found)

    def request(self, model: str) -> Request:
        name, data, seconds = next(self._files)
        body, content_type = form({"model": model, **self._fields}, name, data)
        return Request("/v1/audio/transcriptions", body, content_type, {"audio_seconds": seconds})

    def read(self, request: Request, reply: Reply) -> Outcome:
        if not isinstance(orjson.loads(reply.body)["text"], str):
            raise TypeError("the text is none")
        return Outcome(reply.seconds, request.amounts)


def _recording(path: Path) -> tuple[bytes, float]:
    """A file and its seconds, counted by decoding it. Raises `ConfigError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return data, _seconds(data)
    except (av.FFmpegError, IndexError):
        raise ConfigError(f"{path} is not a recording that can be decoded") from None


def _seconds(data: bytes) -> float:
    """Raises `av.FFmpegError`, or `IndexError` where there is no sound."""
    with av.open(io.BytesIO(data), mode="r") as container:
        frames = container.decode(container.streams.audio[0])
        return math.fsum(frame.samples / frame.sample_rate for frame in frames)
