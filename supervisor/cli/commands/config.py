"""What the configuration comes to, and where each value of it is from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Device, Host, Json, Models, Port, joined
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.settings import Flags


def config(
    context: typer.Context,
    models: Models = None,
    device: Device = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what nobody has set.")] = False,
    json: Json = False,
) -> None:
    """Show what the settings and the entries of models come to, and where each value is from.

    That of a running server, which may have been started otherwise, is at GET /admin/config.
    """
    from supervisor.config.settings import Flags

    flags = Flags(models=joined(models), device=device, host=host, port=port, config=config)
    found = _found(flags.over(context.obj))
    if json:
        output.as_json(found)
        return
    from supervisor.cli import config_table
    from supervisor.cli.table import show

    console = output.console()
    rows = list(config_table.settings(found["settings"], everything=everything))
    show(console, config_table.COLUMNS, rows, "what it is")
    for name, values in found["models"].items():
        output.say(f"\n{name}")
        rows = list(config_table.values(values, everything=everything))
        show(console, config_table.MODEL_COLUMNS, rows, "file")


def _found(flags: Flags) -> dict[str, Any]:
    """As GET /admin/config has it."""
    from supervisor.admin.configuration import told
    from supervisor.launch import setting_origins
    from supervisor.launch.origin import files_of
    from supervisor.launch.values import values_of

    before = set(os.environ)
    settings, catalog, launch = load(flags)
    added = set(os.environ) - before
    candidates, _ = launch.candidates(catalog.served(settings.models))
    return told(
        setting_origins.told(settings, flags, added),
        {one.name: values_of(one) for one in candidates},
        [str(path) for path in files_of(settings)],
    )
