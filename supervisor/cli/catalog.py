"""Commands about models: fetch them, list them, see what would be served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import say
from supervisor.cli.arguments import Config, Device, Host, Models, Port, joined
from supervisor.cli.loading import load

if TYPE_CHECKING:
    from collections.abc import Iterable

    from supervisor.catalog import Model
    from supervisor.settings import Settings


def pull(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL", help="All that would be served if none is named."),
    ] = None,
    config: Config = None,
) -> None:
    """Fetch and convert models now, to serve offline later."""
    from supervisor.launch import fetch_all
    from supervisor.settings import Flags

    settings, catalog, launch = load(Flags(models=joined(models), config=config).over(context.obj))
    launch.settings = settings.model_copy(update={"auto_download_models": True})
    chosen, notes = launch.settle(catalog.select(settings.models))
    for model in chosen:
        launch.spec(model)  # a wrong engine or device shows before the download
    for note in notes:
        print(note)
    bars = say.bars()
    with bars.shown():
        specs, failed = fetch_all(launch, chosen, bars.report_for)
    for spec in specs:
        print(f"{spec.name}: ready in {spec.path or 'no files'}")
    say.failures(failed)
    if failed:
        raise typer.Exit(1)


def models(context: typer.Context, config: Config = None) -> None:
    """List all models that are known, and which are pulled."""
    from supervisor.console import table
    from supervisor.settings import Flags

    settings, catalog, launch = load(Flags(config=config).over(context.obj))
    served = {model.entry.name for model in catalog.select(settings.models)}
    heads = ["model", "task", "engine", "size MB", "memory MB", "pulled", "served", "description"]
    rows = (
        (
            model.entry.name,
            model.entry.task,
            launch.spec(model).engine,
            str(sum(file.bytes for file in model.entry.files.values()) // 10**6 or ""),
            str(model.entry.memory_mb or ""),
            "no" if launch.store.fault(model, _silent) else "yes",
            "yes" if model.entry.name in served else "",
            model.entry.description,
        )
        for every in catalog.models.values()
        for model in launch.settle([every]).models
    )
    table(say.console(), heads, rows)
    _show_aliases(catalog.models.values())


def check(
    context: typer.Context,
    models: Models = None,
    device: Device = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
) -> None:
    """Validate settings and models without starting anything.

    Shows what would be served, and what would keep it from starting on this machine as it is now.
    Exits 0 when nothing would.
    """
    from supervisor.console import table
    from supervisor.gate import gate
    from supervisor.launch import make_run_dir, warnings
    from supervisor.settings import Flags

    flags = Flags(models=joined(models), device=device, host=host, port=port, config=config)
    settings, catalog, launch = load(flags.over(context.obj))
    chosen, notes = launch.settle(catalog.select(settings.models))
    for note in notes:
        print(note)
    specs = [launch.spec(model) for model in chosen]
    make_run_dir(settings)
    gate(settings)
    faults = [launch.store.fault(model, _silent) for model in chosen]
    rows = (
        (
            spec.name,
            spec.task,
            spec.engine,
            spec.device,
            str(spec.replicas),
            str(spec.slots),
            str(spec.queue_limit),
            fault or spec.path or "no files",
        )
        for spec, fault in zip(specs, faults, strict=True)
    )
    table(
        say.console(),
        ["model", "task", "engine", "device", "replicas", "slots", "queue", "files"],
        rows,
    )
    _show_aliases(chosen)
    say.warn(catalog.warnings + warnings(settings, chosen))
    each = zip(chosen, faults, strict=True)
    found = [line for model, fault in each for line in launch.obstacles(model, fault)]
    found += _unlistenable(settings)
    if found:
        say.fail(*found)
    print("ok")


def _show_aliases(models: Iterable[Model]) -> None:
    for model in models:
        if model.entry.aliases:
            print(f"{model.entry.name} is also called {', '.join(model.entry.aliases)}")


def _unlistenable(settings: Settings) -> list[str]:
    """Why nobody can listen where these settings say. That somebody does already is told, but is
    as it should be where that is the server itself."""
    from supervisor.address import authority
    from supervisor.listener import InUseError, listen

    try:
        listen(settings.host, settings.port).close()
    except InUseError:
        where = authority(settings.host, settings.port)
        print(f"{where} is in use now, perhaps by a running edge-serve: see edge-serve status")
    except OSError as error:
        return [str(error)]
    return []


def _silent(_label: str, _done: int, _total: int) -> None:
    return
