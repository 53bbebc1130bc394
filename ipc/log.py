"""Logging for every process: one line per record, as text for people or as JSON for machines.

Records carry their facts as ``extra`` fields (``request_id``, ``model``, ...), never a prompt or a
key. Control characters from outside are escaped, so a log line is always one line.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

Format = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(process: str, level: str, form: Format) -> None:
    """Send every record of this process to stderr, marked with the process's name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json(process) if form == "json" else _Text(process))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their start-up chatter and per-request lines repeat what ours say.
    for library in ("uvicorn", "httpx2", "httpcore2", "faster_whisper"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _json(process: str) -> logging.Formatter:
    return JsonFormatter(
        "%(levelname)s %(name)s %(message)s",
        rename_fields={"levelname": "level", "name": "logger", "message": "event"},
        static_fields={"process": process},
        timestamp=True,
    )


class _Text(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {process}: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        facts = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        told = "".join(f" {name}={value}" for name, value in facts.items() if value is not None)
        # Facts may come from outside; the message itself is ours and may have lines.
        told = told if told.isprintable() else told.encode("unicode_escape").decode()
        return super().formatMessage(record) + told
