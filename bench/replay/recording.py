"""What a file of an incident tells of its requests, as far as they can be made again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.incident import file as incident_file
from supervisor.cli.incident.file import NoIncident, Request, Shape, Usage
from supervisor.config.errors import ConfigError

KINDS = ("chat", "embed", "rerank", "speech", "speak", "tokenize")
_LEFT = 499  # what the log has for a client that went away


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a request, then or now. ``status`` 0: nothing, as when its server died."""

    status: int
    error: str = ""
    first_s: float | None = None
    total_s: float | None = None
    tokens: int | None = None

    @property
    def ended(self) -> str:
        """In a word: what requests are counted by."""
        if self.status == 200 and not self.error:
            return "ok"
        if self.status == _LEFT:
            return "left"
        if not self.status:
            return self.error or "no answer"
        return self.error or str(self.status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One request: ``after_s`` the first one, for ``model``, of this ``shape``; ``prompt_tokens``
    and ``cached_tokens`` as they were counted, None where nobody did. ``left_s`` is after how long
    its client went away."""

    after_s: float
    model: str
    path: str
    streams: bool
    shape: Shape
    outcome: Outcome
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    audio_s: float | None = None
    left_s: float | None = None

    @property
    def kind(self) -> str:
        return self.shape.kind


@dataclass(frozen=True, slots=True)
class Recording:
    """``left_out`` counts requests of which too little is known: most were refused as they were
    read."""

    told: str
    requests: list[Recorded]
    left_out: int


def read(file: Path) -> Recording:
    """Raises `ConfigError` for what is no such file."""
    try:
        told = incident_file.read(incident_file.load(file))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    except NoIncident as error:
        raise ConfigError(f"{file} is no file of an incident, or is broken: {error}") from None
    found = [one for one in told.requests if one.model and one.shape and one.shape.kind in KINDS]
    began_s = min((one.at_s for one in found), default=0.0)
    requests = [_recorded(one, began_s) for one in found]
    return Recording(told.told, requests, len(told.requests) - len(found))


def _recorded(request: Request, began_s: float) -> Recorded:
    assert request.model is not None
    assert request.shape is not None
    usage = request.usage or Usage()
    status = request.status or 0
    return Recorded(
        after_s=request.at_s - began_s,
        model=request.model,
        path=request.path,
        streams=request.streams,
        shape=request.shape,
        prompt_tokens=usage.prompt_tokens or request.prompt_tokens,
        cached_tokens=usage.cached_tokens or 0,
        audio_s=request.audio_s,
        left_s=request.total_s if status == _LEFT else None,
        outcome=Outcome(
            status=status,
            error=request.error or "",
            first_s=request.first_s,
            total_s=request.total_s,
            tokens=usage.completion_tokens if request.usage else None,
        ),
    )
