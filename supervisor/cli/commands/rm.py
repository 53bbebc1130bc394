"""`edge-serve rm`: the files of a model, and its entry."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Config, Json
from supervisor.cli.commands.load_settings import load

if TYPE_CHECKING:
    from supervisor.config.catalog import Catalog
    from supervisor.config.settings import Settings
    from supervisor.launch.stages import Launch

# A server that runs here answers at once.
ASK_S = 5.0


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
    json: Json = False,
) -> None:
    """Remove the files of models, and the entries that pulling them from the hub has made.

    A model of another catalog keeps its entry, and can be pulled again.
    """
    from supervisor.config.settings import Flags
    from supervisor.discovery.known import with_names

    settings, catalog, launch = load(Flags(config=config).over(context.obj))
    names = with_names(catalog, models)
    if not force and not partial and (served := _served(settings, names)):
        output.fail(
            f"{', '.join(served)}: is served at {settings.url}; stop that first, or add --force"
        )
    removed = []
    for name in names:
        freed = _removed(launch, catalog, name, partial=partial)
        removed.append({"name": name, "bytes": freed})
        if not json:
            print(f"{name}: {freed // 10**6} MB removed")
    if json:
        output.as_json({"removed": removed})


def _removed(launch: Launch, catalog: Catalog, name: str, *, partial: bool) -> int:
    """How many bytes it had."""
    from supervisor.config import pulled_catalog
    from supervisor.models.archive import FetchError

    _check_name(name)
    try:
        freed = launch.store.discard(name)
        if partial:
            return freed
        freed += launch.store.remove(name) + _remove(launch.cache_of(name))
    except FetchError as error:
        output.fail(str(error))
    entry = pulled_catalog.remove(pulled_catalog.file_in(launch.store.folder), name)
    if not freed and not entry and name not in catalog.models:
        output.fail(f"there is no model {name!r}; see edge-serve models")
    return freed


def _check_name(name: str) -> None:
    """A name becomes a folder below that of the models."""
    from supervisor.config.catalog import plain_name

    try:
        plain_name(name)
    except ValueError as error:
        output.fail(str(error))


def _served(settings: Settings, names: list[str]) -> list[str]:
    """Those that a running server has; none where nobody answers."""
    from supervisor.cli.client import Unreached, ask, connect

    try:
        with connect(settings, None, timeout_s=ASK_S) as client:
            report = ask(client, "/v1/models", "data")
    except Unreached:
        return []
    served = {str(one.get("id")) for one in report["data"]}
    return [name for name in names if name in served]


def _remove(folder: Path) -> int:
    from supervisor.models.store import bytes_in

    size = bytes_in(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size
