"""One line of the file of keys:

    name:secret[:role[:weight[:priority]]] [requests_per_min=60] [models=a,b] ...

In place of a secret may stand ``sha256=`` and its digest, so that the file has no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from ipc.messages.keys import KEY_NAME, MOST_OF_A_LIMIT, ApiKey, KeyLimits, Role, check, digest_of

# What may follow a secret: its role, how much it counts among others that wait, and the priority of
# its requests.
_RANK = re.compile(r"(.+):(user|admin)(?::(\d{1,4}(?:\.\d{1,3})?)(?::([+-]?\d{1,2}))?)?")
# These are not written down at the end of a line.
_USUAL_RANK = ("user", "1", "0")
_DIGEST = "sha256="
_DIGEST_FORM = re.compile(r"[0-9a-f]{64}")
_COUNTS = ("requests_per_min", "tokens_per_min", "tokens_per_day", "concurrent")
_MODELS = "models"
# The variable API_KEYS has its keys between commas.
_BETWEEN_MODELS = re.compile(r"[,|]")


class LineError(ValueError):
    """What is wrong with a line; never shows its secret."""


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key as it was written down, at some ``place``. ``name`` is empty where it has none,
    ``secret`` where only its digest is known."""

    name: str
    key: ApiKey
    secret: str = field(default="", repr=False)
    place: str = ""


def is_key(line: str) -> bool:
    """Whether a line is one of a key, and neither empty nor a comment."""
    text = line.strip()
    return bool(text) and not text.startswith("#")


def parse(line: str) -> GivenKey:
    """The key of such a line. Raises `LineError`."""
    line = line.strip()
    head = line.partition(":")[0]
    who, *limits = line.split()
    given, colon, secret = who.partition(":")
    name, secret = (given, secret) if colon else ("", who)
    ranked = _RANK.fullmatch(secret) if colon else None
    secret, *rank = ranked.groups() if ranked else (secret, "user", None, None)
    if (colon and not KEY_NAME.fullmatch(name)) or (not colon and " " in head and "=" not in head):
        raise LineError("a name has letters, digits, '.', '_' and '-' only")
    _check_secret(secret, line.replace("\t", " "))
    role, weight, priority = rank
    key = ApiKey(
        digest=_digest(secret),
        role=cast(Role, role),
        weight=float(weight or "1"),
        priority=int(priority or "0"),
        limits=_limits(limits),
    )
    try:
        check(key)
    except ValueError as error:
        raise LineError(str(error)) from None
    return GivenKey(name, key, "" if secret.startswith(_DIGEST) else secret)


def written(name: str, key: ApiKey) -> str:
    """The line of a key, with the digest of its secret."""
    weight = f"{key.weight:.3f}".rstrip("0").rstrip(".")
    rank = [key.role, weight, str(key.priority)]
    while rank and rank[-1] == _USUAL_RANK[len(rank) - 1]:
        rank.pop()
    words = [":".join([name, f"{_DIGEST}{key.digest}", *rank])]
    counts = ((limit, getattr(key.limits, limit)) for limit in _COUNTS)
    words += [f"{limit}={count}" for limit, count in counts if count]
    if key.limits.models:
        words.append(f"{_MODELS}={','.join(key.limits.models)}")
    return " ".join(words)


def has_odd_end(given: GivenKey) -> bool:
    """Whether something stands behind a colon that is no role, and so is a part of the secret."""
    return bool(given.name) and ":" in given.secret


def _check_secret(secret: str, line: str) -> None:
    if not secret or not line.isascii() or not line.isprintable():
        raise LineError("a key has printable ASCII characters only, without spaces")
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in "'\"":
        raise LineError("has quotes around it, as part of the key; remove them")


def _digest(secret: str) -> str:
    if not secret.startswith(_DIGEST):
        return digest_of(secret)
    digest = secret.removeprefix(_DIGEST)
    if not _DIGEST_FORM.fullmatch(digest):
        raise LineError("sha256= is followed by the 64 hexadecimal digits of a key's SHA-256")
    return digest


def _limits(words: Iterable[str]) -> KeyLimits:
    found: dict[str, int | list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in (*_COUNTS, _MODELS):
            # It may be a part of a key.
            raise LineError(
                "a key has printable ASCII characters only, without spaces; what may stand behind "
                f"it is {'=…, '.join((*_COUNTS, _MODELS))}=…"
            )
        if name in found:
            raise LineError(f"{name} is written twice")
        found[name] = _models(value) if name == _MODELS else _count(name, value)
    return KeyLimits(**found)  # type: ignore[arg-type]


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) <= MOST_OF_A_LIMIT:
        raise LineError(f"{name} is a whole number, 1 or more; leave it out for as many as wanted")
    return int(value)


def _models(value: str) -> list[str]:
    models = _BETWEEN_MODELS.split(value)
    if not all(models):
        raise LineError("models are names with a comma between them, as models=a,b")
    return list(dict.fromkeys(models))
