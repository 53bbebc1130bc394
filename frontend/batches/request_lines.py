"""The lines of an uploaded file: read in pieces, and checked before any of them is asked.

All of this runs in threads. It rests between pieces, since a thread that computes takes Python's
lock away from the loop.
"""

from __future__ import annotations

import codecs
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from frontend.batches.records import Problem

PIECE_BYTES = 64 << 10
REST_S = 0.001
MAX_ID_CHARS = 512
# As many as anybody reads.
MOST_PROBLEMS = 100

T = TypeVar("T")


class Line(NamedTuple):
    """A line in order: ``body`` is the request's, as JSON."""

    number: int
    custom_id: str
    body: bytes


class Place(NamedTuple):
    """Where the next piece of a file begins."""

    offset: int = 0
    number: int = 1


class LineError(Exception):
    """A line that is not in order."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def at(self, number: int) -> Problem:
        return Problem(code=self.code, message=self.message, line=number, param=self.param)


class _Asked(msgspec.Struct):
    model: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stream: Any = None


@dataclass(slots=True)
class Checked:
    """What was found in a file. ``models`` maps each that is asked to the first line that does."""

    total: int = 0
    problems: list[Problem] = field(default_factory=list)
    models: dict[str, int] = field(default_factory=dict)


def read_piece(
    path: Path, place: Place, max_line_bytes: int
) -> tuple[list[tuple[int, bytes]], Place]:
    """The next lines with their numbers, and where to go on; none: the file ends here. Empty lines
    are left out. Raises `LineError` for one that is too long, and `OSError`."""
    found: list[tuple[int, bytes]] = []
    offset, number = place
    with path.open("rb") as file:
        file.seek(offset)
        while file.tell() < offset + PIECE_BYTES and (raw := file.readline(max_line_bytes + 1)):
            if len(raw) > max_line_bytes:
                message = f"the line is over this server's limit of {max_line_bytes} bytes"
                raise LineError("line_too_long", message)
            if offset == 0 and number == 1:
                raw = raw.removeprefix(codecs.BOM_UTF8)
            if raw := raw.strip():
                found.append((number, raw))
            number += 1
        after = Place(file.tell(), number)
    if not found and after.offset > offset:
        return read_piece(path, after, max_line_bytes)
    return found, after


def check_file(path: Path, endpoint: str, max_line_bytes: int, max_lines: int) -> Checked:
    """Look at every line. Raises `OSError`."""
    checked, seen, place = Checked(), set[str](), Place()
    while len(checked.problems) < MOST_PROBLEMS:
        try:
            piece, place = read_piece(path, place, max_line_bytes)
        except LineError as error:
            checked.problems.append(error.at(place.number))
            break
        if not piece:
            break
        for number, raw in piece:
            _check(checked, seen, number, raw, endpoint)
        if checked.total > max_lines:
            checked.problems = [_too_many(max_lines)]
            break
        time.sleep(REST_S)
    if not checked.total and not checked.problems:
        checked.problems.append(Problem(code="empty_file", message="the file has no lines"))
    del checked.problems[MOST_PROBLEMS:]
    return checked


def _check(checked: Checked, seen: set[str], number: int, raw: bytes, endpoint: str) -> None:
    checked.total += 1
    try:
        line, model = _read(number, raw, endpoint)
        if line.custom_id in seen:
            message = "another line before has this `custom_id`"
            raise LineError("duplicate_custom_id", message, "custom_id")
        seen.add(line.custom_id)
        checked.models.setdefault(model, number)
    except LineError as error:
        checked.problems.append(error.at(number))


def line_of(number: int, raw: bytes) -> Line:
    """A line of a file that is in order."""
    fields = _fields(raw)
    return Line(number, _text(fields, "custom_id"), bytes(fields["body"]))


def _read(number: int, raw: bytes, endpoint: str) -> tuple[Line, str]:
    """A line and the model that it asks. Raises `LineError` for what is not in order."""
    fields = _fields(raw)
    custom_id = _text(fields, "custom_id")
    if not 0 < len(custom_id) <= MAX_ID_CHARS:
        message = f"`custom_id` must have 1 to {MAX_ID_CHARS} characters"
        raise LineError("invalid_custom_id", message, "custom_id")
    if _text(fields, "method") != "POST":
        raise LineError("invalid_method", "`method` must be POST", "method")
    if _text(fields, "url") != endpoint:
        raise LineError("invalid_url", f"`url` must be {endpoint}, the batch's endpoint", "url")
    return Line(number, custom_id, bytes(_field(fields, "body"))), _model(_field(fields, "body"))


def _fields(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise LineError("invalid_json_line", "the line is no JSON object") from None


def _field(fields: dict[str, msgspec.Raw], name: str) -> msgspec.Raw:
    if name not in fields:
        raise LineError("missing_required_parameter", f"`{name}` is required", name)
    return fields[name]


def _text(fields: dict[str, msgspec.Raw], name: str) -> str:
    return _decoded(_field(fields, name), str, name, "must be a string")


def _model(body: msgspec.Raw) -> str:
    asked = _decoded(body, _Asked, "body", "must be an object")
    if asked.stream not in (None, False):
        why = "`body.stream` is not supported: a line has one answer; leave it out"
        raise LineError("unsupported_parameter", why, "body.stream")
    if asked.model is msgspec.UNSET:
        raise LineError("missing_required_parameter", "`body.model` is required", "body.model")
    assert isinstance(asked.model, msgspec.Raw)
    return _decoded(asked.model, str, "body.model", "must be a string")


def _decoded(raw: msgspec.Raw, kind: type[T], name: str, rule: str) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise LineError("invalid_type", f"`{name}` {rule}", name) from None


def _too_many(max_lines: int) -> Problem:
    return Problem(
        code="too_many_tasks",
        message=f"the file has more than {max_lines} lines, this server's MAX_BATCH_LINES",
    )
