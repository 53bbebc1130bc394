"""What `edge-serve pull --progress json` says as it goes: a JSON object on each line.

The server reads the same of the jobs that it runs. Keys are only ever added.
"""

from __future__ import annotations

import msgspec

from ipc.messages.spec import Spec


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag="looked", tag_field="event"):
    """What the model is and what it will take; 0 and "" where nobody knows. ``verdict`` is that of
    `supervisor.discovery.fit`, empty where nothing is to be fetched."""

    model: str
    task: str
    engine: str
    device: str
    variant: str = ""
    fetch_bytes: int = 0
    disk_free_bytes: int = 0
    memory_mb: int = 0
    memory_free_mb: int = 0
    memory_total_mb: int = 0
    verdict: str = ""
    remarks: list[str] = []


class Progressed(msgspec.Struct, frozen=True, kw_only=True, tag="progress", tag_field="event"):
    """What is being done; ``total_bytes`` is 0 where that has no length."""

    model: str
    doing: str
    done_bytes: int = 0
    total_bytes: int = 0


class Pulled(msgspec.Struct, frozen=True, kw_only=True, tag="pulled", tag_field="event"):
    """The model is here and can be served like this. ``weights`` tells its files from others."""

    model: str
    path: str
    spec: Spec
    weights: str


class NotPulled(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="event"):
    model: str
    error: str


Line = Looked | Progressed | Pulled | NotPulled
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def written(line: Line) -> str:
    return msgspec.json.encode(line).decode()


def read(text: str) -> Line | None:
    """None of a line that is not one of these: somebody else's words, for people."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None
