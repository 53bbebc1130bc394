"""The plan: everything that the command line decided, as one file for the daemon to follow.

The command line validates, fetches and resolves, then replaces itself by the daemon. Nothing else
passes between the two, so the daemon needs no settings, no YAML and no package index.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from ipc.messages.configuration import Setting, Value
from ipc.messages.control import KeepPrefixes, Serve
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Groups
from ipc.runtime import durable
from ipc.runtime.log import Format, Level

FILE_NAME = "plan.json"
RUNNING_NAME = "server.json"


class PlanError(Exception):
    """A plan file that cannot be read, or was not written by this version."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plan was made from, for a process with the daemon's environment to make it again.

    ``flags`` are those of the command line by their names. ``added`` names the variables that were
    not in the environment: .env gave them, and may give others now, or the daemon was to have
    them. ``api_keys`` are those of an environment that
    is not passed on. ``files`` have been read, and are looked at for changes if ``watched``;
    ``keys_file`` is the one of them that API keys stand in, and ``keys_digest`` tells the text that
    it had from every other one.
    """

    flags: dict[str, str] = {}
    added: list[str] = []
    api_keys: dict[str, ApiKey] = {}
    files: list[str] = []
    keys_file: str = ""
    keys_digest: str = ""
    watched: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run and where to listen: on ``ollama_port`` for Ollama's API besides, where that is
    to have its own, and on ``wyoming_port`` of ``wyoming_host`` for voice assistants, where that
    is wanted.

    ``serve`` is what the frontend is told: the models, which are the workers to start, and its
    limits. ``unavailable`` names the models that could not be fetched, each with the reason: they
    are shown as failed, while the others serve. ``fail_fast``: a model that fails before all have
    been ready once ends the server. ``greet``: say a few lines about the start, for people.
    Workers from before an update are kept for ``update_watch_s``.
    ``keep_prefixes`` says for how long it is remembered how prompts begin.
    ``memory_budget_mb`` bounds what all models take together, 0: what the system has. ``preload``:
    the models that were ready when the server last stopped are loaded again.
    ``state_dir`` is where to keep what was measured, empty for nowhere; ``weights`` tells the files
    of each model from others. ``settings`` is what all this was made from, ``values`` what is in
    force for each model, to be told to operators, and ``origin`` how; without one it cannot be made
    again. ``command_env`` are variables that a command needs beside those of the daemon to have the
    same settings. Workers give up changing what is in the folder ``read_only``, and connecting to
    others if their engine need not.
    """

    host: str
    port: int
    ollama_port: int | None = None
    wyoming_host: str = "127.0.0.1"
    wyoming_port: int | None = None
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
    settings: list[Setting] = []
    values: dict[str, dict[str, Value]] = {}
    command_env: dict[str, str] = {}
    read_only: str = ""
    origin: Origin | None = None

    def in_force(self) -> dict[str, Any]:
        """The settings by name, without secrets and what is not set."""
        return {one.name.lower(): one.value for one in self.settings if one.value is not None}

    def keeping_nothing(self) -> Plan:
        """The same without a state folder, for the daemon and for its frontend."""
        serve = replace(
            self.serve,
            batches=replace(self.serve.batches, folder=""),
            history=replace(self.serve.history, file=""),
            incidents=replace(self.serve.incidents, folder=""),
        )
        return replace(self, state_dir="", serve=serve)


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What commands of the same user may know of a server that runs: no keys. ``models`` are those
    that it was started with, ``models_dir`` where their files are, empty where nobody has said."""

    host: str
    port: int
    ssl_certfile: str | None = None
    models_dir: str = ""
    models: list[str] = []

    @classmethod
    def of(cls, plan: Plan) -> Running:
        return cls(
            host=plan.host,
            port=plan.port,
            ssl_certfile=plan.serve.gate.ssl_certfile,
            models_dir=str(plan.in_force().get("edge_serve_models_dir") or ""),
            models=[spec.name for spec in plan.serve.specs],
        )


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


def write_running(plan: Plan) -> None:
    """Have it known in the run folder what runs there, until that is swept."""
    write_private(Path(plan.run_dir) / RUNNING_NAME, Running.of(plan))


def read_running(run_dir: Path) -> Running | None:
    """None where that is not known."""
    return durable.read_json(run_dir / RUNNING_NAME, Running)


def write_private(path: Path, content: Plan | Reading | Running) -> None:
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
