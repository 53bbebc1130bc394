"""The catalog: the models that edge-serve knows, each an entry of a YAML file.

The file that ships (configs/model_config.yaml) names the defaults. A user's own file adds models
and changes some keys of others; where it stands, its own models are what is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ipc.engines import ENGINES, is_own
from ipc.facts import golden
from ipc.messages.spec import Groups
from ipc.options import shown
from supervisor.config import options
from supervisor.config.engines import check_allowed
from supervisor.config.entries.entry import Entry
from supervisor.config.entries.layers import (
    Content,
    keys_said_in,
    laid_over,
    over,
    pulled_entries,
    read,
    with_pulled,
)
from supervisor.config.entries.source import SOURCES, Packages, Source, parse_source
from supervisor.config.errors import ConfigError, explain, nearest
from supervisor.config.settings import ROOT
from supervisor.config.unused_keys import unused
from supervisor.config.values import expanded

BUILT_IN = ROOT / "configs" / "model_config.yaml"


@dataclass(frozen=True)
class Model:
    """A checked entry and where its files come from; None where the engine needs none.

    One of several ``variants``, by name, is as its entry would be for the first of them, until
    `supervisor.config.variants` has chosen one. ``said_in`` has the file of each key of the entry,
    of which several may say a part.
    """

    entry: Entry
    source: Source | None
    variants: dict[str, Model] = field(default_factory=dict)
    said_in: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Catalog:
    models: dict[str, Model]
    serve: list[str]  # when MODELS names none
    warnings: list[str] = field(default_factory=list)
    groups: Groups = field(default_factory=Groups)
    joined: list[str] = field(default_factory=list)  # to be served beside those

    def select(self, names: list[str]) -> list[Model]:
        """The named models, or the default ones. Raises `ConfigError`."""
        for name in names:
            if name not in self.models:
                pull = f"; run: edge-serve pull {name}" if name.startswith("hf:") else ""
                hint = pull or nearest(name, self.models) or "; see edge-serve models"
                raise ConfigError(f"MODELS: no model {name!r} in the catalog{hint}")
        chosen = [self.models[name] for name in dict.fromkeys(names or self.serve)]
        aliases(chosen)
        return chosen

    def served(self, names: list[str]) -> list[Model]:
        """What a server serves: what `select` chooses, and the models that have ``joined``, which
        wait to be asked for unless their entries say otherwise. Raises `ConfigError`."""
        chosen = self.select(names)
        known = {model.entry.name for model in chosen}
        joined = [_on_demand(self.models[name]) for name in self.joined if name not in known]
        aliases([*chosen, *joined])
        return [*chosen, *joined]


def _on_demand(model: Model) -> Model:
    if model.entry.load is not None:
        return model
    entry = model.entry.model_copy(update={"load": "on_demand"})
    variants = {name: _on_demand(one) for name, one in model.variants.items()}
    return replace(model, entry=entry, variants=variants)


def aliases(models: list[Model]) -> dict[str, str]:
    """The other names of ``models``, each with the model's own. Raises `ConfigError` where one is
    another's name already; models that are not served together may share theirs."""
    taken = {model.entry.name: model.entry.name for model in models}
    found: dict[str, str] = {}
    for model in models:
        name = model.entry.name
        for alias in model.entry.aliases:
            if alias in taken:
                whose = "this model" if taken[alias] == name else taken[alias]
                raise ConfigError(f"{name}: aliases: {alias!r} is a name of {whose} already")
            taken[alias] = found[alias] = name
    return found


def load(
    own: Path | None, pulled: Path | None = None, found: Sequence[Mapping[str, Any]] = ()
) -> Catalog:
    """The catalog that ships, with the entries of what was ``pulled`` from the hub over it, if that
    file exists, and the user's ``own`` file over both. ``found`` are entries that are to be in
    ``pulled``. Raises `ConfigError`."""
    content = read(BUILT_IN)
    layers = [content.entries]
    if pulled is not None:
        entries = pulled_entries(pulled, found)
        layers.append(entries.entries)
        content = with_pulled(content, entries)
    if own is not None:
        added = read(own)
        layers.append(added.entries)
        serve = added.serve or list(added.entries)
        laid = laid_over(content.entries, added.entries)
        notes = content.notes + added.notes
        content = Content(laid, serve, notes, added.groups, content.joined)
    return _checked(content, keys_said_in(layers))


def _checked(content: Content, said_in: Mapping[str, Mapping[str, Path]]) -> Catalog:
    models = {
        name: _with_files(_model(raw, file), said_in[name])
        for name, (raw, file) in content.entries.items()
    }
    for name in content.serve:
        if name not in models:
            raise ConfigError(f"serve: no model {name!r} in the catalog{nearest(name, models)}")
    for name in (name for groups in content.groups.values() for group in groups for name in group):
        if name not in models:
            raise ConfigError(f"groups: no model {name!r} in the catalog{nearest(name, models)}")
    # A server has to start even if another catalog has lost a model that had joined.
    joined = [name for name in content.joined if name in models]
    lost = [name for name in content.joined if name not in models]
    notes = content.notes + [f"{name}: has joined, and no catalog has it any more" for name in lost]
    warnings = ["\n".join(notes)] if notes else []
    return Catalog(models, content.serve, warnings, Groups(**content.groups), joined)


def _with_files(model: Model, said_in: Mapping[str, Path]) -> Model:
    variants = {name: replace(one, said_in=said_in) for name, one in model.variants.items()}
    return replace(model, variants=variants, said_in=said_in)


def _model(raw: dict[str, Any], file: Path) -> Model:
    label = f"{file}: {raw['name']}"
    try:
        if not raw.get("variants"):
            if "variant" in raw:
                raise ValueError("variant: it has no variants to choose from; remove it")
            return _single(raw, file)
        return _several(raw, file)
    except ValidationError as error:
        raise ConfigError(f"{label}: {_in_entry(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None


def _single(raw: dict[str, Any], file: Path) -> Model:
    entry = Entry.model_validate(raw)
    check_allowed(entry.engine)
    if not is_own(entry.engine) and (fault := unused(raw, entry.task, entry.origin())):
        raise ValueError(fault)
    if entry.golden is not None:
        entry = entry.model_copy(update={"golden": _golden(entry, file.parent)})
    has_source = entry.origin() is not None
    options.check(entry.engine, entry.task, entry.options, has_source=has_source)
    return Model(entry, _source(entry, file.parent))


def _golden(entry: Entry, base: Path) -> str:
    """The path of the golden file of an entry. Raises `ValueError` for one that cannot be used."""
    path = (base / expanded(Path(str(entry.golden)))).resolve()
    try:
        golden.read(path, entry.task)
    except golden.GoldenError as error:
        raise ValueError(f"golden: {error}") from None
    return str(path)


def _several(raw: dict[str, Any], file: Path) -> Model:
    entry = Entry.model_validate(raw)
    names = [one.name for one in entry.variants]
    if len(set(names)) < len(names):
        raise ValueError("variants: two have the same name")
    if entry.variant and entry.variant not in names:
        hint = nearest(entry.variant, names) or f"; there are {', '.join(names)}"
        raise ValueError(f"variant: no variant {entry.variant!r}{hint}")
    base = {key: value for key, value in raw.items() if key != "variants"}
    variants = {}
    for one in raw["variants"]:
        own = {key: value for key, value in one.items() if key not in ("name", "devices")}
        variants[one["name"]] = _single({**over(base, own), "variant": one["name"]}, file)
    first = variants[names[0]]
    unsettled = {"variants": entry.variants, "variant": entry.variant}
    return Model(first.entry.model_copy(update=unsettled), first.source, variants)


def _source(entry: Entry, base: Path) -> Source | None:
    if entry.source and entry.hf_repo_id:
        raise ValueError("has both source and hf_repo_id; keep one")
    origin = entry.origin()
    if origin is None:
        if not _needs_files(entry.engine):
            return None
        raise ValueError(f"source: is missing; write {SOURCES}")
    source = parse_source(origin, base)
    if isinstance(source, Packages) and not entry.files:
        raise ValueError("files: is missing; name the files to take, with bytes and sha256")
    return source


def _needs_files(engine: str) -> bool:
    """Whether there is no model without a source. One of the user's own can do without."""
    found = ENGINES.get(engine)
    return not is_own(engine) if found is None else found.files == "needed"


def _in_entry(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = [*Entry.model_fields, "handler"] if len(first["loc"]) == 1 else []
        return f"{where}: unknown key{nearest(str(first['loc'][-1]), known)}"
    if first["loc"][0] == "options" and len(first["loc"]) > 1:
        # Of the kinds of values that are allowed each has its own complaint.
        where = f"options.{first['loc'][1]}"
        if first["input"] is not None:
            given = shown(first["input"])
            return f"{where}: {given} is not text, a number, true, false or a list of texts"
    field = Entry.model_fields.get(str(first["loc"][0]))
    return f"{where}: {explain(first, field)}"
