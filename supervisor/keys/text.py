"""The text of the file of keys, with one key added, changed or removed; the rest stays as it is,
comments included. What is written is read again first: a text that would say anything else than
what is meant is never made."""

from __future__ import annotations

import hashlib

from ipc.messages.keys import ApiKey
from supervisor.keys.line import GivenKey, LineError, is_key, parse, written

MOST_BYTES = 1 << 20

Named = tuple[str, ApiKey]


class TextError(ValueError):
    """The file has a line that is none of a key. Says which."""


class Unwritable(ValueError):
    """A key that no line can say."""


def lines_of(text: str) -> list[str]:
    """They end with a line feed, or one behind a carriage return, and with nothing else."""
    lines = text.split("\n")
    return lines if lines.pop() == "" else text.split("\n")


def digest_of(text: str) -> str:
    """Tells a text from every other one."""
    return hashlib.sha256(text.encode()).hexdigest()


def names(text: str) -> set[str]:
    """The keys that the file names. Raises `TextError`."""
    return {given.name for given in _keys(text) if given is not None and given.name}


def with_key(text: str, name: str, key: ApiKey) -> str:
    """The file with this key, in the line that it has or behind all others. Raises `TextError`, and
    `Unwritable`."""
    lines, keys = lines_of(text), _named(text)
    place = next((at for at, one in enumerate(keys) if one and one[0] == name), len(lines))
    lines[place : place + 1], keys[place : place + 1] = [written(name, key)], [(name, key)]
    return _read_again(lines, keys)


def without_key(text: str, name: str) -> str:
    """The file without this key. Raises `TextError`."""
    kept = [
        (line, one)
        for line, one in zip(lines_of(text), _named(text), strict=True)
        if one is None or one[0] != name
    ]
    return _read_again([line for line, _ in kept], [one for _, one in kept])


def _read_again(lines: list[str], meant: list[Named | None]) -> str:
    """The text of these lines, which says just what is ``meant``."""
    text = "".join(f"{line}\n" for line in lines)
    try:
        if _named(text) == meant:
            return text
    except TextError as error:
        raise Unwritable(str(error)) from None
    raise Unwritable("the file would say something else than what was asked for")


def _named(text: str) -> list[Named | None]:
    return [None if given is None else (given.name, given.key) for given in _keys(text)]


def _keys(text: str) -> list[GivenKey | None]:
    """Of each line its key; None where it has none."""
    found: list[GivenKey | None] = []
    for number, line in enumerate(lines_of(text), start=1):
        try:
            found.append(parse(line) if is_key(line) else None)
        except LineError as error:
            raise TextError(f"key {number}: {error}") from None
    return found
