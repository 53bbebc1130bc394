"""API keys as the server knows them: their digests, never their secrets."""

from __future__ import annotations

import hashlib
import re
from typing import Literal

import msgspec
from msgspec.structs import asdict, replace

# An admin may load, change and watch what a user may only ask.
Role = Literal["user", "admin"]
# Of requests or tokens, more than any box has.
MOST_OF_A_LIMIT = 10**12
MOST_WEIGHT = 9999.999
MOST_PRIORITY = 10
MOST_MODELS = 100
KEY_NAME = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
# As models are told apart in a line: printable ASCII without spaces, commas and bars.
MODEL_PATTERN = r"^[!-+\x2d-{}~]{1,256}$"
_MODEL = re.compile(MODEL_PATTERN)
WEIGHT_DECIMALS = 3


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may have: requests and tokens in a minute, tokens in a day of UTC, requests at
    once; 0: as many as it likes. ``models`` are those that it may use, by their names or aliases;
    empty: all."""

    requests_per_min: int = 0
    tokens_per_min: int = 0
    tokens_per_day: int = 0
    concurrent: int = 0
    models: list[str] = []


FREE = KeyLimits()


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. ``digest`` is the secret's SHA-256 in hexadecimal. While several
    clients wait for a model they are served in the ratio of their ``weight``. ``priority`` is that
    of its requests that name none, from -10, which comes first, to 10."""

    digest: str
    role: Role = "user"
    weight: float = 1.0
    priority: int = 0
    limits: KeyLimits = FREE

    @classmethod
    def of(cls, secret: str, role: Role = "user", weight: float = 1.0, priority: int = 0) -> ApiKey:
        """The one whose secret this is."""
        return cls(digest=digest_of(secret), role=role, weight=weight, priority=priority)


class KeyChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a key; None: that stays as it is."""

    digest: str | None = None
    role: Role | None = None
    weight: float | None = None
    priority: int | None = None
    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    tokens_per_day: int | None = None
    concurrent: int | None = None
    models: list[str] | None = None

    def of(self, key: ApiKey) -> ApiKey:
        """``key`` with this change."""
        wanted = {name: value for name, value in asdict(self).items() if value is not None}
        limits = {name: wanted.pop(name) for name in [*wanted] if name in _LIMITS}
        if "models" in limits:
            limits["models"] = list(dict.fromkeys(limits["models"]))
        return replace(key, limits=replace(key.limits, **limits), **wanted)


_LIMITS = frozenset(KeyLimits.__struct_fields__)


def check(key: ApiKey) -> None:
    """Raises `ValueError` for a weight, a priority or limits that no key may have, whoever gives
    them: a line, a request or a command."""
    check_weight(key.weight)
    if abs(key.priority) > MOST_PRIORITY:
        raise ValueError(f"a priority is -{MOST_PRIORITY}, which comes first, to {MOST_PRIORITY}")
    for name in _LIMITS - {"models"}:
        if not 0 <= getattr(key.limits, name) <= MOST_OF_A_LIMIT:
            raise ValueError(f"{name} is a whole number up to {MOST_OF_A_LIMIT}, 0 for no limit")
    if len(key.limits.models) > MOST_MODELS:
        raise ValueError(f"a key may name {MOST_MODELS} models at most; name none for all of them")
    if not all(map(_MODEL.fullmatch, key.limits.models)):
        raise ValueError(
            "the names of models have up to 256 printable ASCII characters, and no spaces, commas "
            "or bars"
        )


def check_weight(weight: float) -> None:
    """Raises `ValueError` for one that no key may have."""
    if weight == 0:
        raise ValueError("a weight of 0 would never be served; write 0.1 or more")
    if not 0 < weight <= MOST_WEIGHT or round(weight, WEIGHT_DECIMALS) != weight:
        raise ValueError(
            f"a weight is 0.001 to {MOST_WEIGHT}, with {WEIGHT_DECIMALS} decimals at most"
        )


def digest_of(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
