"""The catalog with all that is known here, and its models by their place on the hub."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.config import catalog as catalogs
from supervisor.config import pulled_catalog
from supervisor.config.catalog import Catalog, Model
from supervisor.config.settings import Settings
from supervisor.discovery import onnx_forms, reference
from supervisor.discovery.gguf_forms import forms, named
from supervisor.discovery.reference import Reference, is_reference


def known(settings: Settings) -> tuple[Settings, Catalog]:
    """The catalog, with what was pulled, and the ``settings``, whose models have their names there.
    Raises `ConfigError`."""
    pulled = pulled_catalog.file_in(settings.edge_serve_models_dir)
    catalog = catalogs.load(settings.edge_serve_config, pulled)
    names = with_names(catalog, settings.models)
    return settings.model_copy(update={"models": names}), catalog


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
    entry = model.entry
    is_file = any(named(form, wanted) for form in forms([entry.path or ""]))
    return not wanted or is_file or onnx_forms.is_form(entry.include or [], wanted)
