"""The files of a catalog, read and laid over each other; their entries are not checked yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from supervisor.config import compat_catalog, strict_yaml
from supervisor.config.errors import ConfigError, nearest, unreadable

# Those of a whole file.
_KEYS = ("models", "serve", "groups")
_KINDS = ("never_together", "keep_together")
Raw = dict[str, tuple[dict[str, Any], Path]]
_OF_FILES = (
    *("source", "hf_repo_id", "files", "include", "path"),
    *("vision", "memory_mb", "variants", "variant"),
)


class Content(NamedTuple):
    """One file: its entries by name, not checked yet, what it serves, what it should say, its
    groups of models by kind, and the models that have joined a server."""

    entries: Raw
    serve: list[str]
    notes: list[str]
    groups: dict[str, list[list[str]]]
    joined: list[str] = []


def pulled_entries(file: Path, found: Sequence[Mapping[str, Any]]) -> Content:
    added = read(file) if file.exists() else Content({}, [], [], {})
    entries = {**added.entries, **{str(one["name"]): (dict(one), file) for one in found}}
    return added._replace(entries=entries)


def with_pulled(content: Content, added: Content) -> Content:
    laid = laid_over(content.entries, added.entries)
    return content._replace(entries=laid, notes=added.notes, joined=added.serve)


def keys_said_in(layers: Sequence[Raw]) -> dict[str, dict[str, Path]]:
    """The file of each key of each entry, the later layers lying over the earlier ones."""
    found: dict[str, dict[str, Path]] = {}
    for entries in layers:
        for name, (entry, file) in entries.items():
            found[name] = over(found.get(name, {}), dict.fromkeys(entry, file))
    return found


def laid_over(entries: Raw, added: Raw) -> Raw:
    """``entries``, with the keys of those in ``added`` over the ones of their names."""
    laid = {
        name: (over(entries[name][0] if name in entries else {}, entry), file)
        for name, (entry, file) in added.items()
    }
    return {**entries, **laid}


def over(entry: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
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


def read(path: Path) -> Content:
    content = _parse(path)
    if not isinstance(content, dict) or not isinstance(content.get("models"), list):
        raise ConfigError(f"{path}: has no list of models; begin it with 'models:'")
    for key in content:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {key}: unknown key{nearest(str(key), _KEYS)}")
    entries: Raw = {}
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
    return Content(entries, serve, notes, _groups(content.get("groups", []), path))


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
