"""Commands about models: list them, see what would be served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Device, Host, Json, Models, Port, joined
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.settings import Settings
    from supervisor.launch.candidate import Candidate
    from supervisor.launch.stages import Launch


def models(context: typer.Context, config: Config = None, json: Json = False) -> None:
    """List all models that are known, and which are pulled."""
    from supervisor.cli.table import Column, Row, show
    from supervisor.config.settings import Flags

    settings, catalog, launch = load(Flags(config=config).over(context.obj))
    served = {model.entry.name for model in catalog.served(settings.models)}
    candidates = [launch.candidates([every]).all[0] for every in catalog.models.values()]
    listed = [_listed(launch, one, one.name in served) for one in candidates]
    if json:
        output.as_json({"models": listed})
        return
    columns = (
        Column("model"),
        Column("task"),
        Column("engine", rank=2),
        Column("MB", rank=1, right=True),
        Column("memory MB", rank=3, right=True),
        Column(""),
    )
    rows = [
        Row(
            one["name"],
            (
                one["task"],
                one["engine"],
                str((one["bytes"] or 0) // 10**6 or ""),
                str(one["memory_mb"] or ""),
                "served" if one["served"] else "pulled" if one["pulled"] else "",
            ),
            one["description"],
        )
        for one in listed
    ]
    show(output.console(), columns, rows, "description")
    _show_aliases(candidates)


def _listed(launch: Launch, candidate: Candidate, served: bool) -> dict[str, Any]:
    """A model of the catalog, as ``models --json`` has it: with what its entry and the settings say
    and what follows from them, each told apart by ``from``."""
    from ipc.tasks import capabilities
    from supervisor.config import options

    entry, spec = candidate.model.entry, candidate.spec
    return {
        "name": entry.name,
        "aliases": entry.aliases,
        "task": entry.task,
        "engine": spec.engine,
        "engine_why": spec.engine_why or None,
        "device": spec.device,
        "from": {
            "engine": candidate.said_by["engine"],
            "device": candidate.said_by["device"],
        },
        "capabilities": capabilities(spec, None),
        "options": options.in_force(spec.engine, spec.task, spec.options),
        "source": entry.origin(),
        "bytes": sum(file.bytes for file in entry.files.values()) or None,
        "memory_mb": candidate.memory.mb,
        "pulled": launch.fault(candidate, _silent) is None,
        "served": served,
        "description": entry.description,
    }


def check(
    context: typer.Context,
    models: Models = None,
    device: Device = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Validate settings and models without starting anything.

    Shows what would be served, and what would keep it from starting on this machine as it is now.
    Exits 0 when nothing would.
    """
    from supervisor.config.access import gate
    from supervisor.config.settings import Flags
    from supervisor.launch.operator_warnings import warnings
    from supervisor.launch.run_folder import make_run_dir
    from supervisor.launch.state_folder import make_state_dir

    flags = Flags(models=joined(models), device=device, host=host, port=port, config=config)
    settings, catalog, launch = load(flags.over(context.obj))
    candidates, notes = launch.candidates(catalog.served(settings.models))
    make_run_dir(settings)
    gate(settings)
    each = [(candidate, launch.fault(candidate, _silent)) for candidate in candidates]
    _, unkept = make_state_dir(settings)
    names, needed_mb = [one.name for one in candidates], sum(one.needed_mb for one in candidates)
    warned = catalog.warnings + unkept + warnings(settings, names, needed_mb)
    found = [line for candidate, fault in each for line in launch.obstacles(candidate, fault)]
    in_use, unlistenable = _listening(settings)
    found += unlistenable
    checked = [_checked(candidate, fault) for candidate, fault in each]
    if json:
        told = {"notes": [*notes, *in_use], "warnings": warned, "problems": found}
        output.as_json({"ok": not found, "models": checked, **told})
        raise typer.Exit(1 if found else 0)
    for note in notes:
        output.say(note)
    _show(checked)
    _show_aliases(candidates)
    _show_on_demand(candidates)
    output.warn(warned)
    for note in in_use:
        output.say(note)
    if found:
        output.fail(*found)
    output.say("ok")


def _checked(candidate: Candidate, fault: str | None) -> dict[str, Any]:
    """A model that would be served, as ``check --json`` has it."""
    spec = candidate.spec
    names = ("name", "task", "engine", "device", "replicas", "slots", "queue_limit", "load")
    return {name: getattr(spec, name) for name in names} | {
        "max_replicas": spec.most_replicas,
        "path": spec.path or None,
        "missing": fault,
        "memory_mb": candidate.memory.mb,
        "memory_measured": candidate.memory.measured,
    }


def _show(checked: Sequence[dict[str, Any]]) -> None:
    from supervisor.cli.table import Column, Row, show

    columns = (
        Column("model"),
        Column("task", rank=2),
        Column("engine"),
        Column("device"),
        Column("replicas", rank=1, right=True),
        Column("slots", right=True),
        Column("queue", right=True),
    )
    rows = [
        Row(
            one["name"],
            (
                *(one["task"], one["engine"], one["device"], _replicas(one)),
                *(str(one["slots"]), str(one["queue_limit"])),
            ),
            one["missing"] or one["path"] or "no files",
        )
        for one in checked
    ]
    show(output.console(), columns, rows, "files")


def _replicas(one: dict[str, Any]) -> str:
    least, most = one["replicas"], one["max_replicas"]
    return str(least) if least == most else f"{least} to {most}"


def _show_aliases(candidates: Iterable[Candidate]) -> None:
    for one in candidates:
        if aliases := one.model.entry.aliases:
            output.say(f"{one.name} is also called {', '.join(aliases)}")


def _show_on_demand(candidates: Iterable[Candidate]) -> None:
    for one in candidates:
        if one.spec.load == "on_demand":
            output.say(f"{one.name} is loaded when somebody asks for it")


def _listening(settings: Settings) -> tuple[list[str], list[str]]:
    """Notes and problems about where these settings listen. That somebody does already is told, but
    is as it should be where that is the server itself."""
    from supervisor.listener import InUseError, listen_at

    try:
        listen_at(settings).close()
    except InUseError as error:
        return [
            f"{error.where} is in use now, perhaps by a running edge-serve: see edge-serve status"
        ], []
    except OSError as error:
        return [], [str(error)]
    return [], []


def _silent(_label: str, _done: int, _total: int) -> None:
    return
