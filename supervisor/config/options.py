"""The ``options`` of a catalog entry, checked before anything starts, in words for whoever wrote
them. What they may be stands in `ipc.engines`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ipc.engine_options import CommandOptions
from ipc.engines import ENGINES, serving
from ipc.messages.jobs import Task
from ipc.options import OptionError, UnknownOption, decode, described
from supervisor.config.errors import nearest


def check(engine: str, task: Task, options: Mapping[str, Any], *, has_source: bool) -> None:
    """Raises `ValueError` where an ``engine`` cannot serve a ``task`` with such ``options``. One
    that is not known here, ``auto`` or the user's own, may have any."""
    served = serving(engine, task)
    if served is None:
        return
    try:
        found = decode(served.options, options)
    except UnknownOption as error:
        raise ValueError(f"options.{_unknown(error, engine, task)}") from None
    except OptionError as error:
        raise ValueError(f"options.{error}") from None
    if isinstance(found, CommandOptions) and "{path}" in found.command and not has_source:
        raise ValueError("options.command: has a {path}, but the model has no source; add one")
    if ENGINES[engine].files == "elsewhere" and has_source:
        raise ValueError(f"source: the files of a {engine} model are elsewhere; remove it")


def in_force(engine: str, task: Task, options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each option with its ``value`` and where that is ``from``: the entry, or the default, which
    is None where the engine decides as it loads. Of the user's own engine only what was given."""
    served = serving(engine, task)
    found = {one.name: one.default for one in described(served.options)} if served else {}
    return {
        name: {"value": value, "from": "entry" if name in options else "default"}
        for name, value in (found | dict(options)).items()
    }


def _unknown(error: UnknownOption, engine: str, task: Task) -> str:
    if error.name == "api_key":
        return "api_key: keys do not belong into files; name a variable with one in api_key_env"
    hint = nearest(error.name, error.known) or f"; it knows {', '.join(error.known)}"
    return f"{error.name}: unknown to engine {engine} for {task} models{hint}"
