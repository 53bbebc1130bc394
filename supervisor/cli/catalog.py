"""Commands about models: fetch them, list them, see what would be served."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import say
from supervisor.cli.arguments import Config, Device, Host, Models, Port
from supervisor.cli.loading import load


def pull(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...")] = None,
    config: Config = None,
) -> None:
    """Fetch and convert models now, so that serving needs no network."""
    from supervisor.launch import fetch_all
    from supervisor.settings import Flags

    named = ",".join(models) if models else None
    settings, catalog, launch = load(Flags(models=named, config=config).over(context.obj))
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
    """List the catalog: what each model is for, and whether it is here."""
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


def check(
    context: typer.Context,
    models: Models = None,
    device: Device = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
) -> None:
    """Validate the settings and show what would be served, without starting anything."""
    from supervisor.console import table
    from supervisor.gate import gate
    from supervisor.launch import make_run_dir, warnings
    from supervisor.settings import Flags

    flags = Flags(models=models, device=device, host=host, port=port, config=config)
    settings, catalog, launch = load(flags.over(context.obj))
    chosen, notes = launch.settle(catalog.select(settings.models))
    for note in notes:
        print(note)
    specs = [launch.spec(model) for model in chosen]
    make_run_dir(settings)
    gate(settings)
    rows = (
        (
            spec.name,
            spec.task,
            spec.engine,
            spec.device,
            str(spec.replicas),
            str(spec.slots),
            str(spec.queue_limit),
            launch.store.fault(model, _silent) or spec.path or "no files",
        )
        for model, spec in zip(chosen, specs, strict=True)
    )
    table(
        say.console(),
        ["model", "task", "engine", "device", "replicas", "slots", "queue", "files"],
        rows,
    )
    say.warn(catalog.warnings + warnings(settings, chosen))
    print("ok")


def _silent(_label: str, _done: int, _total: int) -> None:
    return
