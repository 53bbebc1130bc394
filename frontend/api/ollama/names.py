"""Models by the names that Ollama's clients know them by."""

from __future__ import annotations

from frontend.api.admin import hub_names
from frontend.dispatch.dispatcher import Dispatcher

# What these clients add to a name that has no tag.
LATEST = ":latest"


def known_as(dispatcher: Dispatcher, name: str) -> str:
    """How the model that a client calls ``name`` is called here; ``name`` if there is none."""
    for known in (name, name.removesuffix(LATEST)):
        if dispatcher.called(known) is not None:
            return known
    return hub_names.served_as(dispatcher, name) or name
