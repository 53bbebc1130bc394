"""Which models are there for whoever asks now: all, or those that his key may use.

It goes with the task that answers a request, so whatever a route asks the dispatcher it is told of
no others, and a route that is added later keeps to it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from ipc.messages.spec import Spec

_NAMES: ContextVar[Sequence[str]] = ContextVar("models", default=())


@contextmanager
def only(names: Sequence[str]) -> Iterator[None]:
    """Within the block there are no models but those of these names or aliases; none: all are."""
    before = _NAMES.set(names)
    try:
        yield
    finally:
        _NAMES.reset(before)


def is_limited() -> bool:
    """Whether there may be others."""
    return bool(_NAMES.get())


def includes(name: str, aliases: Mapping[str, str]) -> bool:
    """Whether the model of this very name may be there for whoever asks."""
    names = _NAMES.get()
    return not names or name in {aliases.get(each, each) for each in names}


def of(specs: Mapping[str, Spec], aliases: Mapping[str, str]) -> Mapping[str, Spec]:
    """Those of ``specs`` that are there for whoever asks; ``aliases`` are other names of theirs."""
    if not _NAMES.get():
        return specs
    return {name: spec for name, spec in specs.items() if includes(name, aliases)}
