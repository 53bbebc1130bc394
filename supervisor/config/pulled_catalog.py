"""The catalog of what was pulled by its place on the hub: ``pulled.yaml`` among the models.

It lies beside the files that its entries are about, so whoever serves from this folder knows them.
`edge-serve pull hf:…` adds entries and `edge-serve rm` removes them; people may change it too, and
what they have written, comments included, stays as it is. Its list ``serve`` has the models that
joined a server, entries of other catalogs too: they are served beside what is chosen otherwise.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ipc.runtime import durable
from supervisor.config.errors import ConfigError

NAME = "pulled.yaml"
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.05
_HEAD = """\
# Models that were pulled by their place on the hub. The keys are described in
# configs/model_config.yaml; a catalog of your own may change single ones of them. Those under
# serve are served beside what MODELS, --models or a catalog names.

"""
_MODELS, _SERVE = "models", "serve"


class _Block(NamedTuple):
    """The lines of one entry, the last of them excluded."""

    name: str
    begin: int
    end: int


def file_in(models_dir: Path) -> Path:
    return models_dir / NAME


def put(file: Path, entry: Mapping[str, Any]) -> None:
    """Write ``entry`` in the place of the one with its name, or after all others. Raises
    `ConfigError` where the file has a form that cannot be added to."""
    with _held(file):
        lines = _lines(file)
        _put(file, lines, _MODELS, entry["name"], render(entry))
        _write(file, lines)


def serve(file: Path, name: str) -> None:
    """Have the model of that name served from now on, whichever catalog has it. Raises
    `ConfigError`."""
    with _held(file):
        lines = _lines(file)
        if not _blocks(file, lines, _MODELS) and _empty(_MODELS) not in lines:
            lines.append(_empty(_MODELS))
        _put(file, lines, _SERVE, name, [f"  - {_in_a_line(name)}"])
        _write(file, lines)


def remove(file: Path, name: str) -> bool:
    """Whether it said anything of that model; it says nothing now. Raises `ConfigError`."""
    with _held(file):
        lines = _lines(file)
        found = [_remove(file, lines, key, name) for key in (_SERVE, _MODELS)]
        if any(found):
            _write(file, lines)
        return any(found)


def render(entry: Mapping[str, Any]) -> list[str]:
    """The lines of ``entry`` as one of a catalog: a line for each key."""
    lines = [f"{key}: {_in_a_line(value)}" for key, value in entry.items()]
    return [("  - " if at == 0 else "    ") + line for at, line in enumerate(lines)]


def _put(file: Path, lines: list[str], key: str, name: str, text: list[str]) -> None:
    """Have ``text`` under ``key``, in the place of what has that name, or after all others."""
    found = _blocks(file, lines, key)
    old = next((one for one in found if one.name == name), None)
    if old is not None:
        lines[old.begin : old.end] = text
    elif found:
        lines[found[-1].end : found[-1].end] = text
    elif (empty := _empty(key)) in lines:
        at = lines.index(empty)
        lines[at : at + 1] = [f"{key}:", *text]
    else:
        lines += [f"{key}:", *text]


def _remove(file: Path, lines: list[str], key: str, name: str) -> bool:
    found = _blocks(file, lines, key)
    old = next((one for one in found if one.name == name), None)
    if old is None:
        return False
    del lines[old.begin : old.end]
    if len(found) == 1:
        lines[:] = [_empty(key) if line.rstrip() == f"{key}:" else line for line in lines]
    return True


def _empty(key: str) -> str:
    return f"{key}: []"


def _in_a_line(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _blocks(file: Path, lines: list[str], key: str) -> list[_Block]:
    """The entries of the list ``key``. Comments and empty lines after one belong to what
    follows."""
    try:
        root = yaml.compose("\n".join([*lines, ""]), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    listed = next((value for name, value in pairs if name.value == key), None)
    if not isinstance(listed, yaml.SequenceNode) or not listed.value:
        return []
    if listed.flow_style:
        raise ConfigError(f"{file}: {key}: write each entry on lines of its own, to add to them")
    starts = [node.start_mark.line for node in listed.value]
    ends = [*starts[1:], listed.end_mark.line if listed.end_mark else len(lines)]
    return [
        _Block(_name(node), begin, _trimmed(lines, begin, end))
        for node, begin, end in zip(listed.value, starts, ends, strict=True)
    ]


def _name(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "name"), "")


def _trimmed(lines: list[str], begin: int, end: int) -> int:
    end = min(end, len(lines))
    while end > begin + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip()[:1] == "#"):
        end -= 1
    return end


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return _HEAD.splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read: {error}") from None


def _write(file: Path, lines: list[str]) -> None:
    try:
        durable.write_file(file, ("\n".join(lines) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _held(file: Path) -> Iterator[None]:
    try:
        folder = file.parent / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        with durable.held(folder / NAME, _wait):
            yield
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from None


def _wait(take: Callable[[], bool]) -> None:
    until = time.monotonic() + _LOCK_WAIT_S
    while not take():
        if time.monotonic() > until:
            raise ConfigError(f"{NAME} is being written by another process for too long; try again")
        time.sleep(_LOCK_POLL_S)
