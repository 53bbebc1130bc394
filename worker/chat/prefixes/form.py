"""A `PrefixAccount` as bytes, for whoever keeps it while there is no worker.

    version, [[the place of the branch it grows from, hits as a power of 2, token ids], ...]

Only what has hits, in the order of its tokens. Hits are rounded, so the same traffic makes the same
bytes: then nothing has to be told, or written to a disk.
"""

from __future__ import annotations

import math
import sys
from array import array

import msgspec

from worker.chat.prefixes.account import Branch, PrefixAccount, tokens_of

VERSION = 1
MOST_TOKENS = 32_768
_ROOT = -1
# By these powers of 2 hits differ at most, or somebody has written them by hand.
_LEAST_POWER, _MOST_POWER = -64, 64


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    parent: int
    power: int
    tokens: bytes  # 4 of them each, the lowest first


class _Whole(msgspec.Struct, frozen=True, array_like=True):
    version: int
    branches: list[_Kept]


def encode(account: PrefixAccount) -> bytes:
    """What is to be known of ``account`` after the end of its worker."""
    powers = _chosen(account)
    branches: list[_Kept] = []
    todo = [(_ROOT, account.root)]
    while todo:
        place, parent = todo.pop()
        for _, branch in sorted(parent.children.items()):
            if (power := powers.get(id(branch))) is not None:
                todo.append((len(branches), branch))
                branches.append(_Kept(place, power, _to_bytes(branch.tokens)))
    return msgspec.msgpack.encode(_Whole(VERSION, branches))


def _chosen(account: PrefixAccount) -> dict[int, int]:
    """The branches that are hit most, as many as there may be: the power of each by its id. With
    any of them comes the one that it grows from."""
    powers: dict[int, int] = {}
    left = MOST_TOKENS
    for _, branch in account.ranked():
        left -= len(branch.tokens)
        hits = account.hits(branch)
        power = round(math.log2(hits)) if hits > 0 else _LEAST_POWER
        if power <= _LEAST_POWER or left < 0:
            break
        powers[id(branch)] = power
    return powers


def decode(data: bytes) -> PrefixAccount:
    """The account that `encode` has written. Raises `ValueError` where it is none, or is of another
    version."""
    account = PrefixAccount()
    try:
        whole = msgspec.msgpack.decode(data, type=_Whole)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if whole.version != VERSION:
        raise ValueError(f"version {whole.version}, and {VERSION} is known here")
    known: list[Branch] = []
    left = MOST_TOKENS
    for kept in whole.branches:
        tokens = _from_bytes(kept.tokens)
        left -= len(tokens)
        parent = _parent(account, known, kept)
        if not tokens or left < 0 or tokens[0] in parent.children:
            raise ValueError(f"branch {len(known)} cannot be")
        known.append(account.grow(parent, tokens, 2.0**kept.power))
    return account


def _parent(account: PrefixAccount, known: list[Branch], kept: _Kept) -> Branch:
    if not _ROOT <= kept.parent < len(known):
        raise ValueError(f"branch {len(known)} grows from {kept.parent}")
    if not _LEAST_POWER < kept.power <= _MOST_POWER:
        raise ValueError(f"branch {len(known)} has 2**{kept.power} hits")
    return account.root if kept.parent == _ROOT else known[kept.parent]


def _to_bytes(tokens: array[int]) -> bytes:
    return _little_endian(tokens[:]).tobytes()


def _from_bytes(data: bytes) -> array[int]:
    tokens = tokens_of(())
    tokens.frombytes(data)  # a ValueError where it is no whole number of them
    return _little_endian(tokens)


def _little_endian(tokens: array[int]) -> array[int]:
    if sys.byteorder == "big":
        tokens.byteswap()
    return tokens
