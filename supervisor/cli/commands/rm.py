"""`edge-serve rm`: the files of a model, and its entry."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Json, Progress
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.catalog import Catalog
    from supervisor.config.settings import Settings
    from supervisor.launch.stages import Launch


def rm(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="By name, or hf:….")],
    config: Config = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also of a model that a running server serves.")
    ] = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Only what an interrupted pull has left.")
    ] = False,
    progress: Progress = "auto",
    json: Json = False,
) -> None:
    """Remove the files of models, and the entries that pulling them from the hub has made.

    A model of another catalog keeps its entry, and can be pulled again.
    """
    from supervisor.config.settings import Flags
    from supervisor.discovery.known import with_names
    from supervisor.models.archive import FetchError

    settings, catalog, launch = load(Flags(config=config).over(context.obj))
    names = with_names(catalog, models)
    if not force and not partial:
        _refuse_served(settings, names)
    removed = []
    for name in names:
        try:
            freed = _removed(launch, catalog, name, partial=partial)
        except FetchError as error:
            _fail(name, str(error), progress)
        removed.append({"name": name, "bytes": freed})
        if not json:
            _tell(name, freed, progress)
    if json:
        output.as_json({"removed": removed})


def _removed(launch: Launch, catalog: Catalog, name: str, *, partial: bool) -> int:
    """How many bytes it had. Raises `FetchError` where it cannot be removed."""
    from supervisor.config import pulled_catalog
    from supervisor.models.archive import FetchError

    _check_name(name)
    freed = launch.store.discard(name)
    if partial:
        return freed
    freed += launch.store.remove(name) + _remove(launch.cache_of(name))
    entry = pulled_catalog.remove(pulled_catalog.file_in(launch.store.folder), name)
    if not freed and not entry and name not in catalog.models:
        raise FetchError(f"there is no model {name!r}; see edge-serve models")
    return freed


def _tell(name: str, freed: int, progress: str) -> None:
    from supervisor.pulls.lines import Removed, written

    if progress == "json":
        output.json_line(written(Removed(model=name, bytes=freed)))
    else:
        output.say(f"{name}: {freed // 10**6} MB removed")


def _fail(name: str, error: str, progress: str) -> NoReturn:
    from supervisor.pulls.lines import NotRemoved, written

    if progress != "json":
        output.fail(error)
    output.json_line(written(NotRemoved(model=name, error=error)))
    raise typer.Exit(1)


def _check_name(name: str) -> None:
    """A name becomes a folder below that of the models."""
    from supervisor.config.entries.entry import plain_name

    try:
        plain_name(name)
    except ValueError as error:
        output.fail(str(error))


def _refuse_served(settings: Settings, names: list[str]) -> None:
    from supervisor.cli.serving import serving

    found = serving(settings)
    served = [
        f"{name}: is served at {' and '.join(found[name])}; stop that first, or add --force"
        for name in names
        if name in found
    ]
    if served:
        output.fail(*served)


def _remove(folder: Path) -> int:
    from supervisor.models.store import bytes_in

    size = bytes_in(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size
