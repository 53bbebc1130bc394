"""Serving, at once or as a service of the system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import output as say
from supervisor.cli.commands.arguments import Config, Device, Host, Models, Port, joined
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.catalog import Catalog
    from supervisor.config.settings import Flags, Settings
    from supervisor.launch.stages import Launch
    from supervisor.launch.unlisted import Listed
    from supervisor.plan import Plan


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from ipc.program import program_version

    say.say(program_version())
    raise typer.Exit


def serve(
    context: typer.Context,
    models: Models = None,
    device: Device = None,
    host: Host = None,
    port: Port = None,
    config: Config = None,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Serve small models behind one OpenAI-compatible endpoint, each in a process of its own.

    Without a command it serves: it pulls what is missing, then runs until it is stopped. Settings
    come from these options, the environment and .env, in this order; .env.example lists them.
    """
    from supervisor.config.settings import Flags

    flags = Flags(models=joined(models), device=device, host=host, port=port, config=config)
    context.obj = flags
    if context.invoked_subcommand is None:
        _serve(flags)


def _serve(flags: Flags) -> None:
    from ipc.runtime import standard_streams
    from supervisor import plan as plans
    from supervisor.config.access import gate
    from supervisor.config.catalog import aliases
    from supervisor.launch.daemon import become_daemon, plan_for
    from supervisor.launch.operator_warnings import warnings
    from supervisor.launch.origin import origin_of
    from supervisor.launch.run_folder import make_run_dir
    from supervisor.launch.stages import fetch_all
    from supervisor.launch.state_folder import make_state_dir
    from supervisor.launch.unlisted import keep

    standard_streams.outlive_readers()
    before = set(os.environ)
    settings, catalog, launch = load(flags)
    here = _listed(launch, catalog, settings)
    # A mistake in any entry shows here, before anything is fetched.
    candidates, notes = launch.candidates(here.catalog.served(here.names))
    for note in notes:
        say.say(note)
    run_dir = make_run_dir(settings)
    gate(settings)
    state_dir, unkept = make_state_dir(settings)
    needed_mb = sum(one.needed_mb for one in candidates)
    warned = warnings(settings, [one.name for one in candidates], needed_mb)
    say.warn(here.catalog.warnings + unkept + warned)
    bars = say.bars()
    with bars.shown():
        ready, unavailable = fetch_all(launch, candidates, bars.report_for)
    for one in here.found:
        if one.name not in unavailable:
            keep(settings, one)
    say.failures(unavailable)
    if not ready or (unavailable and settings.warmup_fail_fast):
        raise typer.Exit(1)
    names = aliases([one.model for one in candidates])
    origin = origin_of(flags, settings, before)
    plan = plan_for(
        settings,
        ready,
        unavailable,
        run_dir,
        names,
        state_dir,
        flags,
        origin,
        groups=catalog.groups,
    )
    if any(spec.cluster for spec in plan.serve.specs):
        _have_node(plan)
    become_daemon(plans.write(plan))


def _have_node(plan: Plan) -> None:
    """Start this box's node of its cluster where it does not run; workers wait for it."""
    from ipc.cluster import folder_of
    from supervisor.cluster import node

    folder = folder_of(Path(plan.state_dir))
    if node.running(folder) is None:
        node.spawn(folder)


def _listed(launch: Launch, catalog: Catalog, settings: Settings) -> Listed:
    """The catalog with the models that are named by their place on the hub, if they may be
    fetched."""
    from supervisor.launch.unlisted import Listed, check_fit, listed
    from supervisor.models.archive import FetchError

    if not settings.auto_download_models:
        return Listed(catalog, settings.models)
    try:
        here = listed(launch.discovery, settings, catalog, settings.models)
        for found in here.found:
            check_fit(found, say.say, force=False)
    except FetchError as error:
        say.fail(str(error))
    return here


def install_service(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write it; - prints it.")
    ] = Path("/etc/systemd/system/edge-serve.service"),
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Who may connect, say 192.168.1.0/24; repeatable."),
    ] = None,
    pulls: Annotated[
        bool,
        typer.Option(
            "--pulls",
            help="It fetches models by itself, into a folder of its own; needs a way out.",
        ),
    ] = False,
) -> None:
    """Write the systemd unit that serves from this checkout."""
    from supervisor.cli.systemd_unit import unit

    settings, _, launch = load(context.obj)
    text = unit(settings, launch.store.folder, allow or [], pulls=pulls)
    if str(output) == "-":
        say.say(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        say.fail(
            f"{output} cannot be written ({error.strerror}); run this with sudo, or set --output"
        )
    first = "" if pulls else "edge-serve pull && "
    say.say(f"wrote {output}; next: {first}systemctl enable --now {output.stem}")
