"""Files of incidents that strangers have sent: what is none is said to be, and costs nothing."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from supervisor.cli.incident.file import MOST_BYTES, NoIncident, read

TOLD: dict[str, Any] = {"told": "chat died", "time_s": 1_800_000_000.0}
DEEP = b"[" * 200_000 + b"]" * 200_000


def told(**known: Any) -> bytes:
    return json.dumps({**TOLD, **known}).encode()


def shaped(**shape: Any) -> bytes:
    asked = {"at_s": -1.0, "model": "chat", "shape": {"kind": "chat", **shape}}
    return told(requests=[asked])


def asked(**known: Any) -> bytes:
    return told(requests=[{"at_s": -1.0, "model": "chat", "shape": {"kind": "chat"}, **known}])


def test_a_file_is_read_packed_or_not_and_what_is_not_known_is_left() -> None:
    data = asked(worker_pid=7, usage={"prompt_tokens": 3, "completion_tokens": 4})
    assert read(data) == read(gzip.compress(data))
    (request,) = read(data).requests
    assert request.usage is not None
    assert request.usage.completion_tokens == 4


HOSTILE: list[tuple[bytes, str]] = [
    (b"", "truncated"),
    (b"hello", "malformed"),
    (b"[]", "Expected `object`"),
    (b"{}", "missing required field `told`"),
    (b"\x1f\x8bbroken", "its gzip is broken"),
    (gzip.compress(told())[:-9], "its gzip is broken"),
    (gzip.compress(bytes(MOST_BYTES + 1), 1), "it holds more than 64 MiB"),
    (b'{"told": "\xff"}', "invalid"),
    (DEEP, "Expected `object`"),
    (b'{"told": "x", "time_s": 0, "deep": ' + DEEP + b"}", "nested too deeply"),
    (json.dumps({"told": "x"}).encode(), "missing required field `time_s`"),
    *((told(time_s=value), r"\$\.time_s") for value in ("now", None, -1.0, 1e300)),
    (told(time_s=float("nan")), "malformed"),
    *((told(requests=value), r"\$\.requests") for value in ("abc", 3, [1], {"a": 1})),
    *((shaped(**{name: 1e12}), name) for name in ("chars", "texts", "tools", "tokens", "n")),
    *((shaped(**{name: 10**12}), name) for name in ("chars", "texts", "tools", "stops", "n")),
    *((shaped(**{name: -1}), name) for name in ("chars", "texts", "tools", "audio_bytes", "n")),
    *((shaped(**{name: "many"}), name) for name in ("chars", "max_tokens", "temperature")),
    (shaped(images_bytes=[10**12]), "images_bytes"),
    (shaped(images_bytes=[1] * 65), "images_bytes"),
    (shaped(chars=float("inf")), "malformed"),
    *((asked(**{name: 1e12}), name) for name in ("at_s", "audio_s", "total_s", "first_s")),
    (asked(at_s="soon"), "at_s"),
    (asked(model=["chat"]), "model"),
    (told(stacks={"worker": "main"}), "stacks"),
    (told(events=[{"at_s": 0.0}]), "missing required field `type`"),
    (told(machine={"kernel_log": {"lines": [3]}}), "kernel_log"),
]


@pytest.mark.parametrize(("data", "where"), HOSTILE, ids=range(len(HOSTILE)))
def test_what_no_server_has_written_is_refused_with_where(data: bytes, where: str) -> None:
    with pytest.raises(NoIncident, match=where):
        read(data)
