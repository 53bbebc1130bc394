"""The catalog of what was pulled by its place on the hub: ``pulled.yaml`` among the models.

It lies beside the files that its entries are about, so whoever serves from this folder knows them.
`edge-serve pull hf:…` adds entries and `edge-serve rm` removes them; people may change it too, and
what they have written, comments included, stays as it is.
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
# configs/model_config.yaml; a catalog of your own may change single ones of them.

models:
"""
_EMPTY = "models: []"


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
        text = render(entry)
        found = _blocks(file, lines)
        old = next((one for one in found if one.name == entry["name"]), None)
        if old is not None:
            lines[old.begin : old.end] = text
        elif found:
            lines[found[-1].end : found[-1].end] = text
        elif _EMPTY in lines:
            at = lines.index(_EMPTY)
            lines[at : at + 1] = ["models:", *text]
        else:
            lines = [*_HEAD.splitlines(), *text]
        _write(file, lines)


def remove(file: Path, name: str) -> bool:
    """Whether there was an entry of that name; there is none now. Raises `ConfigError`."""
    with _held(file):
        lines = _lines(file)
        found = _blocks(file, lines)
        old = next((one for one in found if one.name == name), None)
        if old is None:
            return False
        del lines[old.begin : old.end]
        if len(found) == 1:
            lines = [_EMPTY if line.rstrip() == "models:" else line for line in lines]
        _write(file, lines)
        return True


def render(entry: Mapping[str, Any]) -> list[str]:
    """The lines of ``entry`` as one of a catalog: a line for each key."""
    lines = [f"{key}: {_in_a_line(value)}" for key, value in entry.items()]
    return [("  - " if at == 0 else "    ") + line for at, line in enumerate(lines)]


def _in_a_line(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False)
    return text.removesuffix("...\n").strip()


def _blocks(file: Path, lines: list[str]) -> list[_Block]:
    """Comments and empty lines after an entry belong to what follows."""
    try:
        root = yaml.compose("\n".join([*lines, ""]), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    models = next((value for key, value in pairs if key.value == "models"), None)
    if not isinstance(models, yaml.SequenceNode) or not models.value:
        return []
    if models.flow_style:
        raise ConfigError(f"{file}: models: write each entry on lines of its own, to add to them")
    starts = [node.start_mark.line for node in models.value]
    ends = [*starts[1:], models.end_mark.line if models.end_mark else len(lines)]
    return [
        _Block(_name(node), begin, _trimmed(lines, begin, end))
        for node, begin, end in zip(models.value, starts, ends, strict=True)
    ]


def _name(node: yaml.Node) -> str:
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
        return []
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
