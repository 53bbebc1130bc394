"""`edge-serve pull`: models of the catalog and of the hub, fetched and converted."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Json, Progress, joined
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
    progress: Progress = "auto",
    json: Json = False,
) -> None:
    """Fetch and convert models now, to serve offline later.

    A model of the hub gets an entry in pulled.yaml among the models, by which it can be served from
    then on.
    """
    from supervisor.config.errors import ConfigError
    from supervisor.config.settings import Flags
    from supervisor.models.archive import FetchError, UnreachedError

    way = _way(progress, json)
    flags = Flags(models=joined(models), config=config).over(context.obj)
    try:
        _pull(flags, name, way, dry_run=dry_run, force=force, serve=serve)
    except FetchError as error:
        _refuse(models or [], str(error), way, unreached=isinstance(error, UnreachedError))
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
    launch.times_engines = settings.measure_engines
    here = _look(launch, catalog, settings.models, name, way, force=force or dry_run)
    choose = here.catalog.served if flags.models is None else here.catalog.select
    candidates, notes = launch.candidates(choose(here.names))
    # A wrong engine or device shows here, before the download.
    for note in notes:
        _say(note, way)
    if way == "lines":
        _tell_looked(candidates, here.found, notes)
    if dry_run:
        _end_dry_run(launch, candidates, here.found, way)
    _fetch(launch, candidates, here.found, way, serve=serve)


Way = Literal["bars", "lines", "json"]


def _way(progress: str, json: bool) -> Way:
    if progress not in ("auto", "json"):
        output.fail(f"--progress: {progress!r} is not auto or json")
    return "lines" if progress == "json" else "json" if json else "bars"


def _say(line: str, way: Way) -> None:
    """For people; programs are told it otherwise."""
    if way != "lines":
        (output.say if way == "bars" else output.note)(line)


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


def _refuse(names: Sequence[str], error: str, way: Way, *, unreached: bool = False) -> NoReturn:
    from supervisor.pulls.lines import NotPulled, written

    if way == "lines":
        told = NotPulled(model=", ".join(names), error=error, unreached=unreached)
        output.json_line(written(told))
    elif way == "json":
        failed = [{"name": name, "path": None, "error": error} for name in names]
        output.as_json({"ok": False, "models": failed})
        raise typer.Exit(1)
    output.fail(error)


def _end_dry_run(
    launch: Launch, candidates: Sequence[Candidate], found: Sequence[Found], way: Way
) -> NoReturn:
    """What is found on the hub has been told of to people by now; of the catalog, nothing."""
    from supervisor.launch.outlook import outlook

    of_the_hub = {one.name for one in found}
    known = [
        outlook(launch, launch.settings, one) for one in candidates if one.name not in of_the_hub
    ]
    for one in known:
        if way == "bars":
            output.say("\n".join(one.words()))
    fits = all(one.fit.verdict in ("fits", "fits_alone") for one in found)
    ok = fits and all(one.is_well for one in known)
    if way == "json":
        told = [{"name": one.name, **_facts(one)} for one in found]
        output.as_json({"ok": ok, "models": told + [one.facts() for one in known]})
    raise typer.Exit(0 if ok else 1)


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
        output.json_line(written(line))


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
        output.json_line(written(line))

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
            output.json_line(written(pulled))
        for name, why in failed.items():
            output.json_line(written(NotPulled(model=name, error=why)))
        return
    for spec in specs:
        output.say(f"{spec.name}: ready in {spec.path or 'no files'}")
    output.failures(failed)
