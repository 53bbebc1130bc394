"""How the prompts of each model begin that come again and again, as its last worker has told.

Pure. What is in ``data`` only workers know; `supervisor.state.prefix_store` has it from one of them
to the next.
"""

from __future__ import annotations

import msgspec

from ipc.messages.control import MOST_PREFIX_BYTES
from ipc.messages.spec import Spec
from ipc.runtime.document import Schema

# Of all models; those that have told nothing for the longest time make room.
MOST_BYTES = 4 << 20


class KeptPrefixes(msgspec.Struct, frozen=True, kw_only=True):
    """``digest`` is that of the model's files: of other files it would be other tokens."""

    model: str
    digest: str
    data: bytes


Kept = tuple[KeptPrefixes, ...]
SCHEMA = Schema("prefixes.json", Kept)


def find(known: Kept, spec: Spec) -> bytes:
    """What there is for ``spec``; empty if there is nothing."""
    names = spec.name, spec.facts.digest
    return next((one.data for one in known if (one.model, one.digest) == names), b"")


def told(known: Kept, spec: Spec, data: bytes) -> Kept:
    """``known`` with what a worker of ``spec`` has told last; with nothing, it is forgotten."""
    rest = [one for one in known if one.model != spec.name]
    if data and len(data) <= MOST_PREFIX_BYTES:
        rest.append(KeptPrefixes(model=spec.name, digest=spec.facts.digest, data=data))
    while sum(len(one.data) for one in rest) > MOST_BYTES:
        rest.pop(0)
    return tuple(rest)
