"""The file ``.env``: variables for this process, where they are not set yet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from supervisor.config import variables
from supervisor.config.errors import ConfigError, misspelt, unreadable
from supervisor.config.settings import KNOWN

_NAME = r"\s*(?:export\s+)?([A-Za-z_]\w*)"
# ${NAME} and ${NAME:-what to take where it is not set}
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")


def load_dotenv(path: Path) -> list[str]:
    """Add the variables of ``path`` to the environment, where they are not set yet.

    All of them, since libraries read theirs there too. ``${NAME}`` is expanded outside of single
    quotes. Returns warnings about names that look like misspelt settings. Raises `ConfigError`.
    """
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line for line in parse_stream(file) if line.key or line.error]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {unreadable(error)}") from None
    found: dict[str, str] = {}
    line_of: dict[str, int] = {}
    for line in lines:
        where = f"{path}, line {_number(line)}"
        if line.key is None or line.value is None:
            raise ConfigError(f"{where}: {_instead(line)}")
        name = line.key
        if name.upper() in KNOWN and name in line_of:
            raise ConfigError(f"{where}: {name} stands in line {line_of[name]} too; remove one")
        line_of[name] = _number(line)
        found[name] = _expanded(line, {**found, **os.environ}, where)
    for name, setting in variables.slips({**found, **os.environ}, KNOWN).items():
        if name in line_of:
            raise ConfigError(f"{path}, line {line_of[name]}: {variables.explained(name, setting)}")
    for name, value in found.items():
        os.environ.setdefault(name, value)
    return [f"{path}: {name} is not a setting{hint}" for name, hint in _odd(found)]


def _odd(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names that look like a setting's, though they may be another program's."""
    for name in names:
        if name.upper() not in KNOWN and (hint := misspelt(name, KNOWN)):
            yield name, hint


def _expanded(line: Binding, known: Mapping[str, str], where: str) -> str:
    value = line.value or ""
    if re.match(_NAME + r"\s*=\s*'", line.original.string):
        return value

    def look_up(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if name in known:
            return known[name] or default or ""
        if default is None and (line.key or "").upper() in KNOWN:
            raise ConfigError(
                f"{where}: {line.key} names ${{{name}}}, which is not set; set it above, or write "
                f"${{{name}:-what to take then}}"
            )
        return default or ""

    return _REFERENCE.sub(look_up, value)


def _number(line: Binding) -> int:
    text = line.original.string  # begins with the empty lines before it
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _instead(line: Binding) -> str:
    """What to write for a line of .env that sets nothing. Never its value, which may be a key."""
    if line.key:
        return f"{line.key} has no value; write {line.key}=value"
    text = line.original.string
    if quoted := re.match(_NAME + r"\s*=\s*(['\"])", text):
        return f"the value of {quoted[1]} has no quote ({quoted[2]}) at its end; add it there"
    if found := re.match(_NAME + r"\s*:", text):
        return f"a colon sets nothing; write {found[1]}=value"
    return "is not understood; write NAME=value, and # before what is a comment"
