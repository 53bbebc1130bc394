"""Models of the catalog by their place on the hub."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.config.catalog import Catalog, Model
from supervisor.discovery import reference
from supervisor.discovery.gguf_forms import forms, named
from supervisor.discovery.reference import Reference, is_reference


def with_names(catalog: Catalog, names: Sequence[str]) -> list[str]:
    """``names``, each place on the hub replaced by the name of the model that comes from there, if
    the catalog has it. Raises `ConfigError` for what is no place."""
    return [
        name_of(catalog, reference.parse(name)) or name if is_reference(name) else name
        for name in names
    ]


def name_of(catalog: Catalog, wanted: Reference) -> str | None:
    """The model that ``wanted`` means; None if the catalog has none."""
    for name, model in catalog.models.items():
        if model.variants:
            found = name == wanted.repo and not wanted.wanted and wanted.revision == "main"
        else:
            found = model.entry.origin() == wanted.origin and _is_form(model, wanted.wanted)
        if found:
            return name
    return None


def _is_form(model: Model, wanted: str) -> bool:
    path = model.entry.path or ""
    return not wanted or any(named(form, wanted) for form in forms([path]))
