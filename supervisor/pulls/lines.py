"""What `edge-serve pull --progress json` says as it goes, and `rm`: a JSON object on each line.

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
    """``unreached``: the network or the hub was not there, so the same may go well later."""

    model: str
    error: str
    unreached: bool = False


class Removed(msgspec.Struct, frozen=True, kw_only=True, tag="removed", tag_field="event"):
    """The files of the model are gone, which took so many bytes, and what was written of it."""

    model: str
    bytes: int


class NotRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="not_removed", tag_field="event"):
    model: str
    error: str


Line = Looked | Progressed | Pulled | NotPulled | Removed | NotRemoved
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def written(line: Line) -> str:
    return msgspec.json.encode(line).decode()


def read(text: str) -> Line | None:
    """None of a line that is not one of these: somebody else's words, for people."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError:
        return None
