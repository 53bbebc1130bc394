"""`edge-serve pull`: models of the catalog and of the hub, fetched and converted."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Json, joined
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.catalog import Catalog
    from supervisor.config.settings import Flags
    from supervisor.discovery.discover import Found
    from supervisor.launch.candidate import Candidate
    from supervisor.launch.stages import Launch
    from supervisor.launch.unlisted import Listed
    from supervisor.models.archive import Report

LINE_S = 0.5


def pull(
    context: typer.Context,
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL",
            help="All that would be served if none is named. Of the catalog, or "
            "hf:<publisher>/<repository>[:<variant or file>] of the hub.",
        ),
    ] = None,
    config: Config = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What to call a model of the hub; its repository if not set."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, and fetch nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch also what is too large for this box's memory.")
    ] = False,
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Serve it from the next start or reload on, until rm."),
    ] = False,
    progress: Annotated[
        str,
        typer.Option(
            metavar="FORM", help="auto: bars on a terminal, else lines; json: a document a line."
        ),
    ] = "auto",
    json: Json = False,
) -> None:
    """Fetch and convert models now, to serve offline later.

    A model of the hub gets an entry in pulled.yaml among the models, by which it can be served from
    then on.
    """
    from supervisor.config.errors import ConfigError
    from supervisor.config.settings import Flags
    from supervisor.models.archive import FetchError

    way = _way(progress, json)
    flags = Flags(models=joined(models), config=config).over(context.obj)
    try:
        _pull(flags, name, way, dry_run=dry_run, force=force, serve=serve)
    except FetchError as error:
        _refuse(models or [], str(error), way)
    except ConfigError as error:
        if way != "lines":
            raise
        _refuse(models or [], str(error), way)


def _pull(
    flags: Flags, name: str | None, way: Way, *, dry_run: bool, force: bool, serve: bool
) -> None:
    """Raises `ConfigError`, and `FetchError` for what is not even begun with."""
    settings, catalog, launch = load(flags)
    launch.settings = settings.model_copy(update={"auto_download_models": True})
    here = _look(launch, catalog, settings.models, name, way, force=force or dry_run)
    choose = here.catalog.served if flags.models is None else here.catalog.select
    candidates, notes = launch.candidates(choose(here.names))
    # A wrong engine or device shows here, before the download.
    for note in notes:
        _say(note, way)
    if way == "lines":
        _tell_looked(candidates, here.found, notes)
    if dry_run:
        _end_dry_run(here.found, way)
    _fetch(launch, candidates, here.found, way, serve=serve)


Way = Literal["bars", "lines", "json"]


def _way(progress: str, json: bool) -> Way:
    if progress not in ("auto", "json"):
        output.fail(f"--progress: {progress!r} is not auto or json")
    return "lines" if progress == "json" else "json" if json else "bars"


def _say(line: str, way: Way) -> None:
    """For people; programs are told it otherwise."""
    if way != "lines":
        print(line, file=sys.stdout if way == "bars" else sys.stderr, flush=True)


def _look(
    launch: Launch,
    catalog: Catalog,
    names: Sequence[str],
    name: str | None,
    way: Way,
    *,
    force: bool,
) -> Listed:
    from supervisor.launch.unlisted import check_fit, listed

    here = listed(launch.discovery, launch.settings, catalog, names, name)
    for found in here.found:
        check_fit(found, partial(_say, way=way), force=force)
    return here


def _refuse(names: Sequence[str], error: str, way: Way) -> NoReturn:
    from supervisor.pulls.lines import NotPulled, written

    if way == "lines":
        print(written(NotPulled(model=", ".join(names), error=error)), flush=True)
    elif way == "json":
        failed = [{"name": name, "path": None, "error": error} for name in names]
        output.as_json({"ok": False, "models": failed})
        raise typer.Exit(1)
    output.fail(error)


def _end_dry_run(found: Sequence[Found], way: Way) -> None:
    fits = all(one.fit.verdict in ("fits", "fits_alone") for one in found)
    if way == "json":
        told = [{"name": one.name, **_facts(one)} for one in found]
        output.as_json({"ok": fits, "models": told})
    raise typer.Exit(0 if fits else 1)


def _facts(one: Found) -> dict[str, object]:
    from msgspec import structs

    spec = one.spec
    what = {"task": spec.task, "engine": spec.engine, "device": spec.device, "variant": one.form}
    return {**what, **structs.asdict(one.fit), "verdict": one.fit.verdict, "remarks": one.remarks}


def _tell_looked(
    candidates: Sequence[Candidate], found: Sequence[Found], notes: Sequence[str]
) -> None:
    from supervisor.pulls.lines import Looked, written

    by_name = {one.name: one for one in found}
    for candidate in candidates:
        entry, spec = candidate.model.entry, candidate.spec
        if (one := by_name.get(candidate.name)) is not None:
            line = Looked(model=one.name, **_facts(one))  # type: ignore[arg-type]
        else:
            line = Looked(
                model=entry.name,
                task=spec.task,
                engine=spec.engine,
                device=spec.device,
                variant=entry.variant or "",
                fetch_bytes=sum(file.bytes for file in entry.files.values()),
                memory_mb=candidate.needed_mb,
                remarks=[note for note in notes if note.startswith(f"{entry.name}: ")],
            )
        print(written(line), flush=True)


def _fetch(
    launch: Launch,
    candidates: Sequence[Candidate],
    found: Sequence[Found],
    way: Way,
    *,
    serve: bool,
) -> None:
    from supervisor.launch.stages import fetch_all
    from supervisor.launch.unlisted import keep, serve_from_now_on

    if way == "lines":
        ready, failed = fetch_all(launch, candidates, _lines_for)
    else:
        bars = output.bars()
        with bars.shown():
            ready, failed = fetch_all(launch, candidates, bars.report_for)
    names = {one.name for one in ready}
    for one in found:
        if one.name in names:
            keep(launch.settings, one)
    if serve:
        for candidate in ready:
            serve_from_now_on(launch.settings, candidate.name)
    _tell(ready, failed, way)
    if failed:
        raise typer.Exit(1)


def _lines_for(model: str) -> Report:
    """Progress as lines of JSON: each new thing that is done, and how far it is twice a second."""
    from supervisor.pulls.lines import Progressed, written

    said: dict[str, float] = {}

    def report(label: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - said.get(label, -math.inf) < LINE_S:
            return
        said[label] = now
        line = Progressed(model=model, doing=label, done_bytes=done, total_bytes=total)
        print(written(line), flush=True)

    return report


def _tell(ready: Sequence[Candidate], failed: dict[str, str], way: Way) -> None:
    from supervisor.pulls.lines import NotPulled, Pulled, written

    specs = [one.spec for one in ready]
    if way == "json":
        here = [{"name": spec.name, "path": spec.path or None, "error": None} for spec in specs]
        here += [{"name": name, "path": None, "error": why} for name, why in failed.items()]
        output.as_json({"ok": not failed, "models": here})
        return
    if way == "lines":
        for one in ready:
            pulled = Pulled(model=one.name, path=one.spec.path, spec=one.spec, weights=one.weights)
            print(written(pulled), flush=True)
        for name, why in failed.items():
            print(written(NotPulled(model=name, error=why)), flush=True)
        return
    for spec in specs:
        print(f"{spec.name}: ready in {spec.path or 'no files'}")
    output.failures(failed)
