"""The plan: everything that the command line decided, as one file for the daemon to follow.

The command line validates, fetches and resolves, then replaces itself by the daemon. Nothing else
passes between the two, so the daemon needs no settings, no YAML and no package index.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from ipc.messages.control import ApiKey, KeepPrefixes, Serve
from ipc.messages.spec import Groups
from ipc.runtime.log import Format, Level

FILE_NAME = "plan.json"


class PlanError(Exception):
    """A plan file that cannot be read, or was not written by this version."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan was made from, for a process with the daemon's environment to make it again.

    ``flags`` are those of the command line by their names. ``added`` names the variables that were
    not in the environment: .env gave them, and may give others now, or the daemon was to have
    them. ``api_keys`` are those of an environment that
    is not passed on. ``files`` have been read, and are looked at for changes if ``watched``.
    """

    flags: dict[str, str] = {}
    added: list[str] = []
    api_keys: dict[str, ApiKey] = {}
    files: list[str] = []
    watched: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run and where to listen: on ``ollama_port`` for Ollama's API besides, where that is
    to have its own.

    ``serve`` is what the frontend is told: the models, which are the workers to start, and its
    limits. ``unavailable`` names the models that could not be fetched, each with the reason: they
    are shown as failed, while the others serve. ``fail_fast``: a model that fails before all have
    been ready once ends the server. ``greet``: say a few lines about the start, for people.
    Workers from before an update are kept for ``update_watch_s``.
    ``keep_prefixes`` says for how long it is remembered how prompts begin.
    ``memory_budget_mb`` bounds what all models take together, 0: what the system has. ``preload``:
    the models that were ready when the server last stopped are loaded again.
    ``state_dir`` is where to keep what was measured, empty for nowhere; ``weights`` tells the files
    of each model from others. ``settings`` is what all this was made from, to be shown in the log,
    and ``origin`` how; without one it cannot be made again. ``command_env`` are variables that a
    command needs beside those of the daemon to have the same settings.
    """

    host: str
    port: int
    ollama_port: int | None = None
    run_dir: str
    state_dir: str = ""
    serve: Serve
    unavailable: dict[str, str] = {}
    log_format: Format = "text"
    log_level: Level = "info"
    drain_s: float = 30.0
    update_watch_s: float = 60.0
    keep_prefixes: KeepPrefixes = "memory"
    memory_budget_mb: int = 0
    groups: Groups = Groups()
    preload: bool = True
    fail_fast: bool = False
    greet: bool = False
    weights: dict[str, str] = {}
    settings: dict[str, Any] = {}
    command_env: dict[str, str] = {}
    origin: Origin | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of reading the configuration again: a ``plan``, or an ``error`` for whoever wrote
    it. ``missing`` are the models whose files have to be fetched or converted first, each with the
    reason; they are in no plan. ``warnings`` are for operators."""

    plan: Plan | None = None
    error: str = ""
    missing: dict[str, str] = {}
    warnings: list[str] = []


def write(plan: Plan) -> Path:
    """Put ``plan`` into its run folder, readable by its owner alone; returns the file's path."""
    path = Path(plan.run_dir) / FILE_NAME
    write_private(path, plan)
    return path


def write_private(path: Path, content: Plan | Reading) -> None:
    """Have ``content`` in the file ``path``, all of it or none, readable by its owner alone."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content)))
    fresh.replace(path)


def read(path: Path) -> Plan:
    """The plan in ``path``. Raises `PlanError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise PlanError(f"{path}: {error}; write it again with edge-serve serve") from None


def read_reading(path: Path) -> Reading:
    """What another process has written to ``path``. Raises `PlanError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reading)
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise PlanError(f"{path}: {error}") from None
