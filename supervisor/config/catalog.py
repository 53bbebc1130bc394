"""The catalog: the models that edge-serve knows, each an entry of a YAML file.

The file that ships (configs/model_config.yaml) names the defaults. A user's own file adds models
and changes some keys of others; where it stands, its own models are what is served.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ipc.engines import ENGINES, is_own
from ipc.facts import golden
from ipc.messages.jobs import Task
from ipc.messages.spec import Groups, LoadWhen, Option, Scaling
from ipc.options import shown
from supervisor.config import compat_catalog, options, strict_yaml
from supervisor.config.engines import check_allowed
from supervisor.config.errors import ConfigError, explain, nearest, unreadable
from supervisor.config.settings import ROOT
from supervisor.config.unused_keys import unused
from supervisor.config.values import (
    Count,
    Device,
    OptionalCount,
    OptionalCountOrZero,
    OptionalMilliseconds,
    OptionalSeconds,
    OptionalSecondsOrZero,
    Seconds,
    expanded,
)
from supervisor.config.variables import unexpanded

MAX_ALIAS_CHARS = 256  # as long as a request's `model` may be
BUILT_IN = ROOT / "configs" / "model_config.yaml"
_SOURCES = "pypi:<package>==<version>, sdist:<package>==<version>, hf:<repository> or file:<path>"


def plain_name(name: str) -> str:
    """A name that is safe in a URL, a log line and, with its slash replaced, as a folder. It may
    end with a tag, as Ollama's and llama.cpp's users tell the forms of a model apart."""
    word = r"[A-Za-z0-9][\w.-]*"
    if not re.fullmatch(rf"{word}(/{word})?(:{word})?", name, re.ASCII):
        raise ValueError(
            f"{name!r} is not a model name; use letters, digits, . _ - and one slash, perhaps with "
            "a tag such as :Q4_K_M"
        )
    return name


def _alias(name: str) -> str:
    """Another name for a model: it is sent by clients, and never becomes a folder."""
    if len(name) > MAX_ALIAS_CHARS or not re.fullmatch(r"[A-Za-z0-9][\w.:@/-]*", name, re.ASCII):
        raise ValueError(f"{name!r} is not a name; use letters, digits and . _ - : @ /")
    return name


def inner_path(text: str) -> str:
    """``text`` if it is a path that stays below the folder it is joined to."""
    parts = text.split("/")
    if not text or "\\" in text or ":" in text or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{text!r} is not a path inside the model's folder")
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class Packages:
    """Files inside packages of the package index, as ``name==version``; never installed."""

    requirements: tuple[str, ...]
    kind: str  # "wheel" or "sdist"


@dataclass(frozen=True)
class HubRepo:
    repo: str
    revision: str


@dataclass(frozen=True)
class LocalPath:
    path: Path


Source = Packages | HubRepo | LocalPath


def parse_source(text: str, base: Path) -> Source:
    """What ``text`` names; a relative ``file:`` is taken from ``base``. Raises `ValueError`."""
    scheme, _, rest = text.partition(":")
    if name := unexpanded(text):
        raise ValueError(f"{text!r}: {name} is not expanded in YAML; write what it stands for")
    if scheme == "file" and rest.strip():
        return LocalPath((base / expanded(Path(rest.strip()))).resolve())
    if scheme == "hf" and re.fullmatch(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?", rest, re.ASCII):
        repo, _, revision = rest.partition("@")
        return HubRepo(repo, revision or "main")
    if scheme in ("pypi", "sdist"):
        wanted = tuple(rest.split())
        if wanted and all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", each, re.ASCII) for each in wanted):
            return Packages(wanted, "wheel" if scheme == "pypi" else "sdist")
    raise ValueError(f"{text!r} is not a source; write {_SOURCES}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(_Strict):
    """One file of a model: where in the packages it comes from, and what it must be.

    Several members are parts, joined in their order; size and digest are of the whole.
    """

    members: Annotated[list[str], BeforeValidator(_listed), Field(alias="from", min_length=1)]
    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Sampling(_Strict):
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=0, lt=1 << 31)] = None
    min_p: Annotated[float | None, Field(ge=0, lt=1)] = None
    presence_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    frequency_penalty: Annotated[float | None, Field(ge=-2, le=2)] = None
    repetition_penalty: Annotated[float | None, Field(ge=0.01, le=10)] = None
    max_tokens: OptionalCount = None


class Replicas(_Strict):
    """How many workers: one more of them, up to ``max``, while requests would wait for ``wait_s``;
    one fewer where that has been enough for ``idle_s``."""

    min: Count = 1
    max: Count
    wait_s: Seconds = Scaling().wait_s
    idle_s: Seconds = Scaling().idle_s

    @model_validator(mode="after")
    def _in_order(self) -> Replicas:
        if self.min > self.max:
            raise ValueError(f"min: {self.min} is more than max: {self.max}; swap them")
        return self


def _range(value: Any) -> Any:
    return value if value is None or isinstance(value, dict) else {"min": value, "max": value}


class Variant(_Strict):
    """One of the forms in which a model can be had, the best first: what it needs, the kinds of
    device that it is for (all, if it names none), and its keys in place of the entry's."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    memory_mb: Count
    devices: list[Literal["cpu", "cuda", "mps"]] = []
    source: str | None = None
    hf_repo_id: str | None = None
    files: dict[str, File] | None = None
    include: list[str] | None = None
    path: str | None = None


class Entry(_Strict):
    """One model. Keys left out take the value of the environment or of `ipc.messages.spec.Spec`."""

    name: Annotated[str, AfterValidator(plain_name)]
    task: Task
    aliases: Annotated[list[Annotated[str, AfterValidator(_alias)]], BeforeValidator(_listed)] = []
    description: str = ""
    memory_mb: OptionalCount = None  # what its worker takes when serving, measured

    source: str | None = None
    hf_repo_id: str | None = None  # short for source: hf:<repository>
    files: dict[Annotated[str, AfterValidator(inner_path)], File] = {}
    include: list[str] | None = None  # which files of a hub repository, as glob patterns
    path: Annotated[str, AfterValidator(inner_path)] | None = None  # the file to load
    variants: list[Variant] = []
    variant: str | None = None  # which of them; None: the one that fits this box

    engine: str = Field(default="auto", validation_alias=AliasChoices("engine", "handler"))
    device: Device | None = None
    load: LoadWhen | None = None
    idle_unload_s: OptionalSecondsOrZero = None  # 0: it stays
    pin: bool = False
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    threads: OptionalCount = None
    cluster: bool = False  # its replicas are on any boxes of this one's cluster
    replicas: Annotated[Replicas | None, BeforeValidator(_range)] = None
    slots: OptionalCount = None
    prefetch: OptionalCountOrZero = None
    migrate: bool | None = None
    queue_limit: OptionalCount = None
    queue_mb: OptionalCount = None
    queue_timeout_s: OptionalSeconds = None
    request_timeout_s: OptionalSeconds = None
    batch_window_ms: OptionalMilliseconds = None
    batch_tokens: OptionalCount = None
    cache_items: OptionalCountOrZero = None
    max_prompt_tokens: OptionalCount = None
    max_new_tokens: OptionalCount = None
    stall_s: OptionalSeconds = None
    load_stall_s: OptionalSeconds = None
    memory_limit_mb: OptionalCount = None
    recycle_jobs: OptionalCount = None
    golden: str | None = None  # a file of what it must answer, relative to the catalog's folder
    vision: bool | None = None  # a chat model that takes images; None: if its files say so
    defaults: Sampling = Sampling()
    options: dict[str, Option] = {}

    @property
    def least_replicas(self) -> int:
        return self.replicas.min if self.replicas is not None else 1

    def origin(self) -> str | None:
        """The source as text, however it was written."""
        return f"hf:{self.hf_repo_id}" if self.hf_repo_id else self.source


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
                pull = f"; run: edge-serve pull {name}" if ":" in name else ""
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
    content = _read(BUILT_IN)
    layers = [content.entries]
    if pulled is not None:
        entries = _pulled_entries(pulled, found)
        layers.append(entries.entries)
        content = _with_pulled(content, entries)
    if own is not None:
        added = _read(own)
        layers.append(added.entries)
        serve = added.serve or list(added.entries)
        laid = _laid_over(content.entries, added.entries)
        notes = content.notes + added.notes
        content = _Content(laid, serve, notes, added.groups, content.joined)
    return _checked(content, _said_in(layers))


# Those of a whole file.
_KEYS = ("models", "serve", "groups")
_KINDS = ("never_together", "keep_together")
_Raw = dict[str, tuple[dict[str, Any], Path]]
_OF_FILES = (
    *("source", "hf_repo_id", "files", "include", "path"),
    *("vision", "memory_mb", "variants", "variant"),
)


class _Content(NamedTuple):
    """One file: its entries by name, not checked yet, what it serves, what it should say, its
    groups of models by kind, and the models that have joined a server."""

    entries: _Raw
    serve: list[str]
    notes: list[str]
    groups: dict[str, list[list[str]]]
    joined: list[str] = []


def _pulled_entries(file: Path, found: Sequence[Mapping[str, Any]]) -> _Content:
    added = _read(file) if file.exists() else _Content({}, [], [], {})
    entries = {**added.entries, **{str(one["name"]): (dict(one), file) for one in found}}
    return added._replace(entries=entries)


def _with_pulled(content: _Content, added: _Content) -> _Content:
    laid = _laid_over(content.entries, added.entries)
    return content._replace(entries=laid, notes=added.notes, joined=added.serve)


def _said_in(layers: Sequence[_Raw]) -> dict[str, dict[str, Path]]:
    """The file of each key of each entry, the later layers lying over the earlier ones."""
    found: dict[str, dict[str, Path]] = {}
    for entries in layers:
        for name, (entry, file) in entries.items():
            found[name] = _over(found.get(name, {}), dict.fromkeys(entry, file))
    return found


def _laid_over(entries: _Raw, added: _Raw) -> _Raw:
    """``entries``, with the keys of those in ``added`` over the ones of their names."""
    laid = {
        name: (_over(entries[name][0] if name in entries else {}, entry), file)
        for name, (entry, file) in added.items()
    }
    return {**entries, **laid}


def _over(entry: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``entry`` with the keys of ``own`` over it, and nothing about files if those come from
    elsewhere."""
    moved = "source" in own or "hf_repo_id" in own
    kept = {key: value for key, value in entry.items() if not (moved and key in _OF_FILES)}
    return {**kept, **own}


def _parse(path: Path) -> Any:
    try:
        return strict_yaml.load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {unreadable(error)}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        kind = "" if isinstance(error, strict_yaml.AmbiguousError) else "not YAML: "
        raise ConfigError(f"{path}, line {line}: {kind}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply to be a catalog") from None


def _read(path: Path) -> _Content:
    content = _parse(path)
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise ConfigError(f"{path}: has no list of models; begin it with 'models:'")
    for key in content:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {key}: unknown key{nearest(str(key), _KEYS)}")
    entries: _Raw = {}
    notes = []
    for index, entry in enumerate(content["models"]):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise ConfigError(f"{path}: models[{index}]: has no name; add 'name: <publisher>/...'")
        if name in entries:
            raise ConfigError(f"{path}: {name}: stands there twice; remove one")
        entry, note = compat_catalog.translate(entry)
        entries[name] = (entry, path)
        notes += [f"{path}: {note}"] if note else []
    serve = _serve_list(content.get("serve", []), path)
    return _Content(entries, serve, notes, _groups(content.get("groups", []), path))


def _groups(found: Any, path: Path) -> dict[str, list[list[str]]]:
    groups: dict[str, list[list[str]]] = {kind: [] for kind in _KINDS}
    if not isinstance(found, list):
        raise ConfigError(f"{path}: groups: is not a list; write - never_together: [a, b]")
    for index, one in enumerate(found):
        where = f"{path}: groups[{index}]"
        if not isinstance(one, dict) or len(one) != 1 or next(iter(one)) not in _KINDS:
            raise ConfigError(f"{where}: is neither never_together nor keep_together, with a list")
        ((kind, names),) = one.items()
        texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not texts or len(set(names)) < 2:
            raise ConfigError(f"{where}: {kind}: is not a list of two models or more")
        groups[kind].append(names)
    return groups


def _serve_list(names: Any, path: Path) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: serve: is not a list of model names")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{path}: serve: {name} stands there twice; `replicas` in its entry adds processes"
            )
    return names


def _checked(content: _Content, said_in: Mapping[str, Mapping[str, Path]]) -> Catalog:
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
        variants[one["name"]] = _single({**_over(base, own), "variant": one["name"]}, file)
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
        raise ValueError(f"source: is missing; write {_SOURCES}")
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
