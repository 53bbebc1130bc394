"""The command line: ``edge-serve`` alone serves; its commands look after models and the service.

Imports beyond typer wait until a command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from supervisor.problems import EXIT_CONFIG, ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from supervisor.catalog import Catalog
    from supervisor.console import Bars
    from supervisor.launch import Launch
    from supervisor.settings import Flags, Settings

# A first chat of a large model on a small box; the server's own limits end it sooner.
SMOKE_TIMEOUT_S = 600.0

app = typer.Typer(
    name="edge-serve",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Models = Annotated[
    str | None, typer.Option("--models", metavar="NAME,...", help="Which models to serve.")
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="auto, cpu, mps, cuda or cuda:<n>."),
]
Host = Annotated[str | None, typer.Option("--host", help="Where to listen; 127.0.0.1 if not set.")]
Port = Annotated[str | None, typer.Option("--port", help="Where to listen; 8000 if not set.")]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A model catalog of your own.")
]


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        print(version("edge-serve"))
    except PackageNotFoundError:
        import tomllib

        with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
            print(tomllib.load(file)["project"]["version"])
    raise typer.Exit


@app.callback(invoke_without_command=True)
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

    Alone it serves: it pulls what is missing, then runs until it is stopped. Settings come from
    these options, the environment and .env; .env.example lists them.
    """
    from supervisor.settings import Flags

    flags = Flags(models=models, device=device, host=host, port=port, config=config)
    context.obj = flags
    if context.invoked_subcommand is None:
        _serve(flags)


@app.command()
def pull(
    context: typer.Context,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...")] = None,
    config: Config = None,
) -> None:
    """Fetch and convert models now, so that serving needs no network."""
    from supervisor.launch import fetch_all
    from supervisor.settings import Flags

    named = ",".join(models) if models else None
    settings, catalog, launch = _load(Flags(models=named, config=config).over(context.obj))
    launch.settings = settings.model_copy(update={"auto_download_models": True})
    chosen = catalog.select(settings.models)
    for model in chosen:
        launch.spec(model)  # a wrong engine or device shows before the download
    bars = _bars()
    with bars.shown():
        specs, failed = fetch_all(launch, chosen, bars.report_for)
    for spec in specs:
        print(f"{spec.name}: ready in {spec.path or 'no files'}")
    _say_failures(failed)
    if failed:
        raise typer.Exit(1)


@app.command()
def models(context: typer.Context, config: Config = None) -> None:
    """List the catalog: what each model is for, and whether it is here."""
    from supervisor.console import table
    from supervisor.settings import Flags

    settings, catalog, launch = _load(Flags(config=config).over(context.obj))
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
        for model in catalog.models.values()
    )
    table(_console(), heads, rows)


@app.command()
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
    settings, catalog, launch = _load(flags.over(context.obj))
    chosen = catalog.select(settings.models)
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
        _console(),
        ["model", "task", "engine", "device", "replicas", "slots", "queue", "files"],
        rows,
    )
    _warn(catalog.warnings + warnings(settings, chosen))
    print("ok")


@app.command()
def status(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Of a running edge-serve; HOST and PORT if not set.")
    ] = None,
) -> None:
    """Show the processes of a running edge-serve. Exits 0 when all models are ready, else 1.

    Sends EDGE_SERVE_API_KEY as the API key where it is set.
    """
    import httpx2

    from supervisor.client import connect
    from supervisor.console import FLEET_HEADS, fleet_rows, table

    settings = _settings(context.obj)
    base = url or settings.url
    try:
        with connect(settings, url, timeout_s=10) as client:
            answer = client.get("/health")
        report = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        _fail(f"no edge-serve answers at {base}: {error}; start it, or name another with --url")
    if answer.status_code == 401:
        _fail(f"{base} wants an API key; put one into EDGE_SERVE_API_KEY")
    if not isinstance(report, dict) or "models" not in report:
        _fail(f"what answers at {base} is not edge-serve; name another with --url")
    print(f"{base}: {report.get('status', answer.status_code)}")
    table(_console(), FLEET_HEADS, fleet_rows(report))
    raise typer.Exit(0 if report.get("status") == "ok" else 1)


@app.command()
def smoke(
    context: typer.Context,
    url: Annotated[
        str | None, typer.Option("--url", help="Of a running edge-serve; HOST and PORT if not set.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option("--models", metavar="NAME,...", help="Which to try; all if not set."),
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="A recording for speech models; a tone if not set.")
    ] = None,
) -> None:
    """Send one real request for each thing that each model can do. Exits 0 when all are answered.

    Sends EDGE_SERVE_API_KEY as the API key where it is set.
    """
    import httpx2

    from supervisor.client import connect
    from supervisor.console import table
    from supervisor.smoke import checks

    settings = _settings(context.obj)
    base = url or settings.url
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    try:
        recording = audio.read_bytes() if audio else None
    except OSError as error:
        _fail(f"--audio: {audio} cannot be read: {error.strerror}")
    try:
        with connect(settings, url, timeout_s=SMOKE_TIMEOUT_S) as client:
            found = list(checks(client, names, recording))
    except (httpx2.HTTPError, httpx2.InvalidURL, KeyError, TypeError, ValueError) as error:
        _fail(f"no list of models at {base}: {error!r}; start edge-serve, or name it with --url")
    rows = (
        (one.model, one.capability, "ok" if one.ok else "FAILED", f"{one.seconds:.2f}", one.said)
        for one in found
    )
    table(_console(), ["model", "capability", "", "seconds", "answer"], rows)
    raise typer.Exit(0 if found and all(one.ok for one in found) else 1)


@app.command("install-service")
def install_service(
    context: typer.Context,
    output: Annotated[Path, typer.Option(help="Where to write the unit; - prints it.")] = Path(
        "/etc/systemd/system/edge-serve.service"
    ),
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Who may connect, say 192.168.1.0/24; repeatable."),
    ] = None,
) -> None:
    """Write the systemd unit that serves from this checkout."""
    from supervisor.service import unit

    settings, _, launch = _load(context.obj)
    text = unit(settings, launch.store.folder, allow or [])
    if str(output) == "-":
        print(text, end="")
        return
    try:
        output.write_text(text)
    except OSError as error:
        _fail(f"{output} cannot be written ({error.strerror}); run this with sudo, or set --output")
    print(f"wrote {output}; next: edge-serve pull && systemctl enable --now {output.stem}")


def _serve(flags: Flags) -> None:
    from supervisor import plan as plans
    from supervisor.gate import gate
    from supervisor.launch import become_daemon, fetch_all, make_run_dir, warnings

    settings, catalog, launch = _load(flags)
    chosen = catalog.select(settings.models)
    for model in chosen:
        launch.spec(model)  # a mistake in any entry shows before anything is fetched
    run_dir = make_run_dir(settings)
    gate(settings)
    _warn(catalog.warnings + warnings(settings, chosen))
    bars = _bars()
    with bars.shown():
        specs, unavailable = fetch_all(launch, chosen, bars.report_for)
    _say_failures(unavailable)
    if not specs or (unavailable and settings.warmup_fail_fast):
        raise typer.Exit(1)
    become_daemon(plans.write(launch.plan(specs, unavailable, run_dir)))


def _load(flags: Flags) -> tuple[Settings, Catalog, Launch]:
    from supervisor import catalog, devices
    from supervisor.launch import Launch
    from supervisor.settings import DOTENV, load, load_dotenv

    _warn(load_dotenv(Path(DOTENV)))
    settings = load(flags)
    forced = settings.model_device if flags.device is not None else None
    launch = Launch(settings, devices.detect(), forced)
    return settings, catalog.load(settings.edge_serve_config), launch


def _settings(flags: Flags) -> Settings:
    from supervisor.settings import DOTENV, load, load_dotenv

    load_dotenv(Path(DOTENV))
    return load(flags)


def _console() -> Console:
    from rich.console import Console

    # Piped output has no width of its own; folding it at 80 columns would break names apart.
    return Console(width=None if sys.stdout.isatty() else 200)


def _bars() -> Bars:
    from rich.console import Console

    from supervisor.console import Bars

    return Bars(Console(stderr=True))


def _silent(_label: str, _done: int, _total: int) -> None:
    return


def _warn(warnings: list[str]) -> None:
    """In a frame of its own on stderr, since one line is lost among the log's first hundred."""
    for warning in warnings:
        print(f"\n{'!' * 72}\nedge-serve: WARNING: {warning}\n{'!' * 72}\n", file=sys.stderr)


def _say_failures(failed: dict[str, str]) -> None:
    for name, reason in failed.items():
        print(f"edge-serve: {name}: {reason}", file=sys.stderr)


def _fail(message: str) -> NoReturn:
    print(f"edge-serve: {message}", file=sys.stderr)
    raise typer.Exit(1)


def main() -> None:
    """The console script. A setting that cannot be used ends it with one line and status 78."""
    try:
        app()
    except ConfigError as error:
        print(f"edge-serve: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
