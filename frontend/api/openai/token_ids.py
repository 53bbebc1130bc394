"""The names of tokens beside the pieces of an answer, so that whoever has read both can go on.

What one step of an engine says may be several pieces, of which the first has named all tokens. On
its way to another server that can break off between any two of them. So the last piece has the
names there: who has them has all that they say, and what has come without them is said again.
"""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages.events import Done, Piece


def by_last(events: Sequence[Piece | Done]) -> list[list[int]]:
    """For each of ``events`` the tokens whose text has been told with it."""
    found: list[list[int]] = [[] for _ in events]
    last: dict[int, int] = {}  # of each choice, where its last piece is
    named: dict[int, list[int]] = {}  # of it, what the piece that began the step has named
    for at, event in enumerate(events):
        if isinstance(event, Done):
            continue
        if event.ids and event.choice in last:
            found[last[event.choice]] += named.pop(event.choice, [])
        if event.ids:
            named[event.choice] = list(event.ids)
        last[event.choice] = at
    for choice, ids in named.items():
        found[last[choice]] += ids
    return found
