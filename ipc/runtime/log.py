"""Logging for every process: one line per record, as text for people or as JSON for machines.

Records carry their facts as ``extra`` fields (``request_id``, ``model``, ...), never a prompt or a
key. Control characters from outside are escaped, so a log line is always one line. A reader that
does not keep up loses lines, which are counted; nobody waits for it.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

from ipc.runtime.outlet import Outlet
from ipc.runtime.recent_lines import RecentLines

Format = Literal["text", "json"]
Level = Literal["debug", "info", "warning", "error"]

# What this process has said last, for who asks it.
recent = RecentLines()

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(process: str, level: Level, form: Format) -> None:
    """Send every record of this process to stderr, marked with the process's name.

    From here on no reader of this process's output, or of its children's, can block them; that is
    true of what libraries print, too.
    """
    global _lines
    sys.stdout, sys.stderr = _printed(Outlet(1)), _printed(Outlet(2))
    _lines = _Lines(Outlet(2), _Json(process) if form == "json" else _Text(process))
    logging.basicConfig(level=level.upper(), handlers=[_lines], force=True)
    # No line tells where in the code it was made, nor by which thread: finding out costs as much as
    # the rest of it (docs.python.org/3/howto/logging.html#optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Their start-up chatter and per-request lines repeat what ours say.
    for library in ("uvicorn", "httpx2", "httpcore2", "faster_whisper"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It warns of each form that is broken, which any client can send at will; the request's own
    # line tells of it.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def _printed(outlet: Outlet) -> TextIO:
    """What ``print`` writes to. Line by line: a process that dies has then said all it had."""
    return io.TextIOWrapper(
        io.BufferedWriter(outlet), errors="backslashreplace", line_buffering=True
    )


def pass_on(line: str) -> None:
    """Write a line that another process has said, as it is. It is none of this one's `recent`."""
    if _lines is not None:
        _lines.put(line)


class Channel:
    """A logger for what is said at every request.

    Its lines are those that `logging` would write, at a third of the cost: there is no record of
    them on the way, and nobody else to hand it to. Until `set_up`, it is `logging` that gets them.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def tell(self, level: int, event: str, facts: Mapping[str, Any]) -> None:
        """As ``logger.log(level, event, extra=facts)``."""
        if not self._logger.isEnabledFor(level):
            return
        if _lines is None:
            self._logger.log(level, event, extra=facts)
        else:
            _lines.write(_lines.form.line(time.time(), level, self._logger.name, event, facts))


class _Lines(logging.Handler):
    """Writes each line whole or not at all, and says afterwards how many were not."""

    def __init__(self, outlet: Outlet, form: _Text | _Json) -> None:
        super().__init__()
        self.form = form
        self.setFormatter(form)
        self._outlet = outlet
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.write(self.format(record))
        except Exception:
            self.handleError(record)

    def write(self, line: str) -> None:
        recent.add(line)
        self.put(line)

    def put(self, line: str) -> None:
        text = line + "\n"
        if self._dropped:
            text = self.format(_lost(self._dropped)) + "\n" + text
        written = self._outlet.put(text.encode("utf-8", "backslashreplace"))
        self._dropped = 0 if written else self._dropped + 1


_lines: _Lines | None = None  # what `set_up` has made


def _lost(count: int) -> logging.LogRecord:
    facts = {"lines": count, "why": "the log's reader did not keep up"}
    return logging.makeLogRecord(
        {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": "log_dropped"}
        | facts
    )


class _Json(JsonFormatter):
    def __init__(self, process: str) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger", "message": "event"},
            static_fields={"process": process},
            timestamp=True,
        )

    def line(
        self, created: float, level: int, name: str, event: str, facts: Mapping[str, Any]
    ) -> str:
        """What `format` makes of a record of these."""
        told: dict[str, Any] = {"level": logging.getLevelName(level), "logger": name}
        told |= {"event": event, **self.static_fields, **facts}
        told["timestamp"] = datetime.fromtimestamp(created, tz=UTC)
        return self.serialize_log_record(told)


class _Text(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process}: %(message)s")
        self._process = process
        self._second = (0, "")

    def line(
        self, created: float, level: int, _name: str, event: str, facts: Mapping[str, Any]
    ) -> str:
        """What `format` makes of a record of these."""
        told = f"{logging.getLevelName(level):<7} {self._process}: {event}{_told(facts)}"
        return f"{self._time(created)} {told}"

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802
        return self._time(record.created)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        facts = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        return super().formatMessage(record) + _told(facts)

    def _time(self, created: float) -> str:
        """As `logging` has it, but the calendar is asked once a second."""
        second, text = self._second
        if second != int(created):
            second = int(created)
            text = time.strftime(self.default_time_format, time.localtime(second))
            self._second = (second, text)
        return f"{text},{int((created - second) * 1000):03}"


def _told(facts: Mapping[str, Any]) -> str:
    told = "".join([f" {name}={value}" for name, value in facts.items() if value is not None])
    # Facts may come from outside; the message itself is ours and may have lines.
    return told if told.isprintable() else told.encode("unicode_escape").decode()
