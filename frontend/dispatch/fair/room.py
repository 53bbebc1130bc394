"""A full queue: whose job makes room for another client's.

Longest queue drop (Suter et al., Design Considerations for Supporting TCP with Per-flow Queueing,
INFOCOM 1998): one client alone may fill the queue. When another one comes, the client with the most
in it gives up its last job, until both have as much. A client's share is the greater of its shares
of the queue's places and bytes (Ghodsi et al., Dominant Resource Fairness, NSDI 2011), by its
weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from frontend.dispatch.fair.account import Account
from frontend.dispatch.waiting import Ticket


class Bounds(NamedTuple):
    """So many jobs and bytes of them."""

    jobs: int
    size_bytes: int

    def share(self, jobs: int, size_bytes: int, weight: float) -> float:
        """Which part of these are so many."""
        return max(jobs / max(1, self.jobs), size_bytes / max(1, self.size_bytes)) / weight


def turned_out(
    ticket: Ticket, accounts: Mapping[str, Account], free: Bounds, most: Bounds
) -> list[Ticket] | None:
    """The jobs to turn out so that ``ticket`` has room, of which ``free`` is left of ``most``. None
    where nobody has more than its client would have then."""
    own = accounts.get(ticket.terms.client) or Account(ticket.terms.client)
    wanted = most.share(
        len(own.places) + 1, own.size_bytes + ticket.size_bytes, ticket.terms.weight
    )
    gone, gone_bytes = Counter[Account](), Counter[Account]()
    found: list[Ticket] = []

    def share(one: Account) -> float:
        left, left_bytes = len(one.places) - gone[one], one.size_bytes - gone_bytes[one]
        return most.share(left, left_bytes, one.weight)

    others = [one for one in accounts.values() if one is not own]
    while len(found) + free.jobs < 1 or gone_bytes.total() + free.size_bytes < ticket.size_bytes:
        largest = max(others, key=share, default=own)
        if largest is own or share(largest) <= wanted:
            return None
        gone[largest] += 1
        found.append(largest.places[-gone[largest]].ticket)
        gone_bytes[largest] += found[-1].size_bytes
    return found
