"""Models that are named by their place on the hub and are in no catalog: each gets an entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from supervisor.config import catalog as catalogs
from supervisor.config import pulled_catalog
from supervisor.config.catalog import Catalog
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Settings
from supervisor.discovery import reference
from supervisor.discovery.discover import Discovery, Found
from supervisor.discovery.known import name_of
from supervisor.models.archive import FetchError


@dataclass(frozen=True)
class Listed:
    """A ``catalog`` that has all ``names``; ``found`` are those which it has only now."""

    catalog: Catalog
    names: list[str]
    found: list[Found] = field(default_factory=list)


def listed(
    discovery: Discovery,
    settings: Settings,
    catalog: Catalog,
    names: Sequence[str],
    name: str | None = None,
) -> Listed:
    """``catalog`` with what is at those of the ``names`` that are places on the hub, the first of
    them to be called ``name``, if that is given. Nothing is fetched or kept. Raises `FetchError`
    and `ConfigError`."""
    found: dict[str, Found] = {}
    chosen = []
    for each in names:
        if not reference.is_reference(each):
            chosen.append(each)
            continue
        wanted = reference.parse(each)
        known = name_of(catalog, wanted)
        if known is None:
            one = discovery.find(wanted, name)
            _check_name(catalog, one)
            found[one.name] = one
        chosen.append(known or one.name)
        name = None
    entries = [one.entry for one in found.values()]
    if entries:
        file = pulled_catalog.file_in(settings.edge_serve_models_dir)
        catalog = catalogs.load(settings.edge_serve_config, file, entries)
    return Listed(catalog, chosen, list(found.values()))


def keep(settings: Settings, found: Found) -> None:
    """Have the model in the catalog from now on. Raises `ConfigError`."""
    pulled_catalog.put(pulled_catalog.file_in(settings.edge_serve_models_dir), found.entry)


def serve_from_now_on(settings: Settings, name: str) -> None:
    """Have a model that is here served by each server of this folder, from its next start or reload
    on. Raises `ConfigError`."""
    pulled_catalog.serve(pulled_catalog.file_in(settings.edge_serve_models_dir), name)


def check_fit(found: Found, say: Callable[[str], None], *, force: bool) -> None:
    """Say what ``found`` is and what it takes. Raises `FetchError` where it does not fit this box;
    ``force`` fetches it all the same, unless the disk is too small."""
    for line in found.words():
        say(line)
    verdict = found.fit.verdict
    if verdict == "no_disk":
        raise FetchError(
            f"{found.name}: the disk of the models folder is too small for it; make room or set "
            "EDGE_SERVE_MODELS_DIR"
        )
    if verdict == "no_memory" and not force:
        raise FetchError(
            f"{found.name}: needs about {found.fit.memory_mb} MB of memory, and this box has "
            f"{found.fit.memory_total_mb} MB; --force fetches it all the same"
        )


def _check_name(catalog: Catalog, found: Found) -> None:
    taken = catalog.models.get(found.name)
    if taken is None or found.name == found.reference.repo:
        return  # of the same repository it is another form, which takes the place of the first
    if taken.entry.origin() != found.reference.origin:
        raise ConfigError(f"--name: {found.name} is another model's name already; choose another")
