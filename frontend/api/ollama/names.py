"""Models by the names that Ollama's clients know them by."""

from __future__ import annotations

from frontend.dispatch.dispatcher import Dispatcher

# What these clients add to a name that has no tag.
LATEST = ":latest"


def known_as(dispatcher: Dispatcher, name: str) -> str:
    """How the model that a client calls ``name`` is called here; ``name`` if there is none."""
    plain = name.removesuffix(LATEST)
    return plain if dispatcher.called(name) is None and dispatcher.called(plain) else name
