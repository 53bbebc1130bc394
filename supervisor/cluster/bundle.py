"""What a box needs to join a cluster, as one line of text. Whoever has it is in: it is a secret."""

from __future__ import annotations

import base64
import binascii

import msgspec

_PREFIX = "edge-serve-cluster-1:"


class BundleError(Exception):
    """A text that is no bundle, or not a whole one."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The first box at ``head`` and ``port``, the token of all, and the authority by which a box
    makes a certificate for itself: who may run code on every box may as well be let in."""

    head: str
    port: int
    token: str
    certificate: bytes
    key: bytes


def as_text(bundle: Bundle) -> str:
    """For `join`."""
    return _PREFIX + base64.urlsafe_b64encode(msgspec.msgpack.encode(bundle)).decode()


def from_text(text: str) -> Bundle:
    """What `as_text` has made; whitespace around and in it is what terminals add. Raises
    `BundleError`."""
    packed = "".join(text.split())
    if not packed.startswith(_PREFIX):
        raise BundleError(f"this is no bundle of a cluster: it does not begin with {_PREFIX}")
    try:
        content = base64.b64decode(packed.removeprefix(_PREFIX), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(content, type=Bundle)
    except (binascii.Error, msgspec.DecodeError):
        raise BundleError("the bundle is not whole; copy all of its line") from None
