"""What operators ask for API keys: the file is written anew, the server takes it over at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ipc.messages.admin import AddKey, KeyWish, ListKeys, RemoveKey, SetKey
from ipc.messages.errors import Conflict, InvalidRequest, NotFound
from ipc.messages.keys import KEY_NAME, ApiKey, check
from supervisor.keys import text

Report = dict[str, Any]
Keys = Mapping[str, ApiKey]
MOST_KEYS = 1000


class Files(Protocol):
    """What the file is read and written by."""

    def read_keys(self, path: Path) -> str:
        """Raises `OSError`."""

    def why_not_written(self, path: Path) -> str:
        """What keeps it from being written, as far as anybody can tell; or nothing."""

    def write_keys(self, path: Path, content: str) -> None:
        """All of it or none, for the server's user alone. Raises `OSError`."""


class KeyGrants:
    """Grants such wishes. ``in_force`` are the keys that are let in, ``file`` is where they are
    kept, if anywhere, and ``digest`` that of its text when they were read; ``take_over`` has other
    ones let in, which the text of another digest has, and ``tell`` tells what has happened."""

    def __init__(
        self,
        files: Files,
        file: Callable[[], str],
        digest: Callable[[], str],
        in_force: Callable[[], Keys],
        take_over: Callable[[dict[str, ApiKey], str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._files = files
        self._file = file
        self._digest = digest
        self._in_force = in_force
        self._take_over = take_over
        self._tell = tell

    def grant(self, wish: KeyWish) -> Report:
        """Raises `NotFound`, `InvalidRequest`, and `Conflict` where the file cannot be changed or
        nobody would be left who manages the server."""
        match wish:
            case ListKeys():
                return self._list()
            case AddKey():
                return self._add(wish)
            case SetKey():
                return self._set(wish)
            case RemoveKey(name=name):
                return self._remove(name)

    def _list(self) -> Report:
        own: set[str] = set()
        why_not = ""
        try:
            _, own = self._content()
            self._check_writable()
        except Conflict as error:
            why_not = error.message
        keys = [told(name, key, name in own) for name, key in self._in_force().items()]
        return {"keys": keys, "why_not_changeable": why_not or None}

    def _add(self, wish: AddKey) -> Report:
        if not KEY_NAME.fullmatch(wish.name):
            raise InvalidRequest(
                "a key's name has up to 64 letters, digits, '.', '_' and '-'", param="name"
            )
        content, own = self._content()
        if wish.name in own or wish.name in self._in_force():
            raise Conflict(f"there is a key {wish.name!r} already; change it, or take another name")
        if len(self._in_force()) >= MOST_KEYS:
            raise Conflict(f"there are {MOST_KEYS} keys; remove one first")
        key = _checked(wish.key.of(ApiKey(digest="")))
        content = _with_key(content, wish.name, key)
        self._write(content, {**self._in_force(), wish.name: key}, "key.added", wish.name)
        return told(wish.name, key, True)

    def _set(self, wish: SetKey) -> Report:
        content = self._content_with(wish.name)
        keys = {**self._in_force()}
        key = keys[wish.name] = _checked(wish.change.of(keys[wish.name]))
        _check_admin(keys)
        content = _with_key(content, wish.name, key)
        self._write(content, keys, "key.changed", wish.name)
        return told(wish.name, key, True)

    def _remove(self, name: str) -> Report:
        content = self._content_with(name)
        keys = {**self._in_force()}
        gone = keys.pop(name)
        _check_admin(keys)
        self._write(text.without_key(content, name), keys, "key.removed", name)
        return told(name, gone, False)

    def _content_with(self, name: str) -> str:
        """What is in the file, which has this key."""
        if name not in self._in_force():
            raise NotFound(f"this server has no key {name!r}", param="key")
        content, own = self._content()
        if name not in own:
            raise Conflict(
                f"the key {name!r} does not stand under this name in API_KEYS_FILE: it is from "
                "API_KEYS, a credential of systemd or a line without a name, which are changed "
                "where they are written"
            )
        return content

    def _content(self) -> tuple[str, set[str]]:
        """What is in the file, and the keys that it names."""
        content = self._read()
        try:
            own = text.names(content)
        except text.TextError as error:
            raise Conflict(f"API_KEYS_FILE: {self._file()}, {error}; correct it first") from None
        if text.digest_of(content) != self._digest():
            # What was written there by hand would be undone.
            raise Conflict(
                f"API_KEYS_FILE: {self._file()} has changed since it was read; "
                "edge-serve reload first"
            )
        return content, own

    def _read(self) -> str:
        if not (file := self._file()):
            raise Conflict(
                "keys are changed in API_KEYS_FILE, which is not set; write a first one there as "
                "name:secret:admin, and start the server with it"
            )
        try:
            return self._files.read_keys(Path(file))
        except (OSError, UnicodeDecodeError) as error:
            raise Conflict(f"API_KEYS_FILE: {file} cannot be read: {_reason(error)}") from None

    def _check_writable(self) -> None:
        if why := self._files.why_not_written(Path(self._file())):
            raise Conflict(f"API_KEYS_FILE: {self._file()} cannot be written: {why}")

    def _write(self, content: str, keys: dict[str, ApiKey], event: str, name: str) -> None:
        """Have the file say this, then those ``keys`` let in."""
        file = self._file()
        if len(content) > text.MOST_BYTES:
            raise Conflict(f"API_KEYS_FILE: {file} would be too large")
        try:
            self._files.write_keys(Path(file), content)
        except OSError as error:
            raise Conflict(
                f"API_KEYS_FILE: {file} cannot be written: {_reason(error)}; nothing has changed"
            ) from None
        self._take_over(keys, text.digest_of(content))
        self._tell(event, name)


def told(name: str, key: ApiKey, changeable: bool) -> Report:
    """A key without its digest. One that is not ``changeable`` is from elsewhere than the file."""
    facts = msgspec.to_builtins(key)
    del facts["digest"]
    limits = facts.pop("limits")
    return {"name": name, **facts, **limits, "changeable": changeable}


def _checked(key: ApiKey) -> ApiKey:
    """Raises `InvalidRequest` for what the file could not say."""
    if not key.digest:
        raise InvalidRequest("a key needs the digest of its secret")
    try:
        check(key)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return key


def _with_key(content: str, name: str, key: ApiKey) -> str:
    """Raises `InvalidRequest`."""
    try:
        return text.with_key(content, name, key)
    except text.Unwritable as error:
        raise InvalidRequest(f"this key cannot be written down: {error}") from None


def _check_admin(keys: Keys) -> None:
    if not any(key.role == "admin" for key in keys.values()):
        raise Conflict(
            "it is the last key with the role admin; without one nobody could manage this server. "
            "Add another first, or change the file"
        )


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not UTF-8 text"
