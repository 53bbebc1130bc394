"""The folder with what a box knows of its cluster, made as it joins and removed as it leaves."""

from __future__ import annotations

import ipaddress
import secrets
import shutil
from pathlib import Path

import msgspec

from ipc import cluster
from ipc.cluster import Member
from ipc.runtime import durable
from supervisor.cluster.bundle import Bundle, as_text
from supervisor.cluster.certificates import Identity, authority, issued

_TOKEN_BYTES = 32


def check_address(text: str) -> str:
    """``text`` if others can reach a box by it, and Ray its own parts. Raises `ValueError`."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IPv4 address; set the one that others reach it by"
        ) from None
    if address.is_unspecified or str(address) == "127.0.0.1":
        raise ValueError(
            f"{text} is every box's own; set the one that others reach this box by (on one "
            "machine 127.0.0.2 and those after it)"
        )
    return str(address)


def found(folder: Path, member: Member) -> Bundle:
    """Make this box the first one of a new cluster; returns what others join it by. Raises
    `OSError`."""
    by = authority()
    bundle = Bundle(
        head=member.head,
        port=member.port,
        token=secrets.token_hex(_TOKEN_BYTES),
        certificate=by.certificate,
        key=by.key,
    )
    enter(folder, member, bundle)
    _keep(folder / cluster.BUNDLE, as_text(bundle).encode() + b"\n")
    return bundle


def enter(folder: Path, member: Member, bundle: Bundle) -> None:
    """Keep what lets this box in. Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = issued(Identity(bundle.certificate, bundle.key), member.address)
    _keep(folder / cluster.TOKEN, bundle.token.encode())
    _keep(folder / cluster.AUTHORITY, bundle.certificate)
    _keep(folder / cluster.CERTIFICATE, own.certificate)
    _keep(folder / cluster.KEY, own.key)
    # Last: with it the box belongs to the cluster.
    _keep(folder / cluster.MEMBER, msgspec.json.encode(member))


def forget(folder: Path, member: Member) -> None:
    """Remove all of it, and what Ray has left."""
    shutil.rmtree(member.temp_dir, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _keep(path: Path, content: bytes) -> None:
    durable.write_file(path, content, mode=0o600)
