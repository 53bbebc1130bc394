"""Live jobs that wait, in the order in which they are served: clients take turns.

Between clients it is start-time fair queueing (Goyal, Vin, Cheng: SIGCOMM 1996). A client's next
job starts, in virtual time, where its last one ended, which is its cost by the client's weight
later; the least start is served first. Who comes new, or again, starts at the clock. Costs are
estimates, the average of what the client's jobs were found to cost when they ended.

Precedence lends virtual time (Duda, Cheriton: Borrowed-Virtual-Time Scheduling, SOSP 1999): it puts
a job before others', and its client pays by what comes after. So it says how soon, and the weight
says how much. A step of it is worth one usual job.

Nobody is passed for ever by clients that come new: the clock gains with every job, a little even
where nobody's start has been reached. Everything that happens to one job takes O(log n).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator

from frontend.dispatch.fair.account import Account, Place, Turn, since
from frontend.dispatch.fair.cost import averaged
from frontend.dispatch.fair.room import Bounds, turned_out
from frontend.dispatch.waiting import Ticket, Waiting

# The clock gains with each job what one of so many clients would have of it, or of as many as wait
# where those are more. So one that is a usual job behind the clock is passed by so many new clients
# at most; who comes again only after each answer loses that part.
LEAST_CLIENTS = 64
# Clients without a waiting job whose account is kept.
IDLE_ACCOUNTS = 1024


class FairWaiting:
    """What one model's clients wait for. Those that ``push_in_front`` queues come before all."""

    def __init__(self) -> None:
        self._front = Waiting()
        self._places: dict[str, Place] = {}  # by job, in the order in which they came
        self._accounts: dict[str, Account] = {}  # of clients that wait
        self._idle: dict[str, Account] = {}  # of others, who was here last is last
        self._order: list[tuple[Turn, int, Account]] = []  # a heap; some entries are stale
        self._entries = 0
        self._number = 0
        self._clock = 0.0
        self._latest = 0.0  # the end of all that was served
        self._mean_cost: float | None = None
        self._size_bytes = 0
        self._asked = False  # somebody has asked where a job stands since anything has changed
        self._ahead: dict[str, int] | None = None  # how many come before each, until then

    def __len__(self) -> int:
        return len(self._front) + len(self._places)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._places or job_id in self._front

    def __iter__(self) -> Iterator[Ticket]:
        """In the order in which they are served if nobody comes. The first costs next to nothing;
        nothing may leave until the iterator has been dropped."""
        if self._front:
            yield from self._front
        if (first := self._first()) is None:
            return
        yield first.places[0].ticket
        turns = [
            (turn, place.ticket)
            for account in self._accounts.values()
            for turn, place in zip(account.turns(self._cost(account)), account.places, strict=True)
        ]
        turns.sort(key=lambda each: each[0])
        yield from (ticket for _, ticket in turns[1:])

    @property
    def size_bytes(self) -> int:
        return self._size_bytes + self._front.size_bytes

    def in_any_order(self) -> Iterator[Ticket]:
        yield from self._front
        yield from (place.ticket for place in self._places.values())

    def oldest_at(self) -> float | None:
        """When the first of them came."""
        place = next(iter(self._places.values()), None)
        came = [ticket.queued_at for ticket in self._front]
        return min([*came, place.ticket.queued_at] if place else came, default=None)

    def ahead_of(self, job_id: str) -> int:
        """How many are served before this one, if nobody comes. It must be here.

        The first to ask is answered alone. Where others follow before anything changes, all are
        put in their order once: each of many that wait asks again every second."""
        if self._ahead is None and self._asked:
            self._ahead = {ticket.job.id: ahead for ahead, ticket in enumerate(self)}
        self._asked = True
        return self._count_ahead(job_id) if self._ahead is None else self._ahead[job_id]

    def _count_ahead(self, job_id: str) -> int:
        if job_id in self._front:
            return [ticket.job.id for ticket in self._front].index(job_id)
        own = self._places[job_id]
        account = self._accounts[own.ticket.terms.client]
        index = bisect_left(account.places, own)
        others = [one for one in self._accounts.values() if one is not account]
        if others:
            turn = account.turns(self._cost(account))[index]
            index += sum([one.ahead_of(turn, self._cost(one)) for one in others])
        return len(self._front) + index

    def _on_change(self) -> None:
        self._asked, self._ahead = False, None

    def push(self, ticket: Ticket) -> None:
        self._on_change()
        self._number += 1
        terms = ticket.terms
        lent = terms.precedence * (self._mean_cost or 1.0)
        place = Place(since(ticket), self._number, lent, ticket)
        account = self._opened(terms.client)
        account.weight = terms.weight
        account.add(place)
        self._places[ticket.job.id] = place
        self._size_bytes += ticket.size_bytes
        if account.places[0] is place:
            self._enter(account)

    def push_in_front(self, ticket: Ticket) -> None:
        """It was taken once, and paid for."""
        self._on_change()
        self._front.push_in_front(ticket)

    def take(self, job_id: str) -> Ticket:
        """Serve it: its client pays. It must be here."""
        self._on_change()
        if job_id in self._front:
            return self._front.pop(job_id)
        place = self._places[job_id]
        account = self._accounts[place.ticket.terms.client]
        cost, start = self._cost(account), account.starts_at
        account.starts_at += cost / account.weight
        self._latest = max(self._latest, account.starts_at)
        alone = len(self._accounts) == 1
        reached = start if alone else start - max(0.0, place.lent)
        gain = cost / max(LEAST_CLIENTS, len(self._accounts))
        self._clock = max(self._clock + gain, reached)
        return self._remove(account, place)

    def pop(self, job_id: str) -> Ticket:
        """Take it out unserved; it must be here."""
        self._on_change()
        if job_id in self._front:
            return self._front.pop(job_id)
        place = self._places[job_id]
        return self._remove(self._accounts[place.ticket.terms.client], place)

    def learn(self, client: str, cost: float) -> None:
        """A job of this client has ended, and cost so much."""
        self._on_change()
        self._mean_cost = averaged(self._mean_cost, cost)
        account = self._accounts.get(client) or self._idle.get(client)
        if account is not None:
            account.mean_cost = averaged(account.mean_cost, cost)

    def forgive(self) -> None:
        """The model has run out of work, so whatever a client had, nobody has waited for it."""
        self._clock = max(self._clock, self._latest)

    def room_for(self, ticket: Ticket, most: int, most_bytes: int) -> list[Ticket] | None:
        """Which jobs to turn out so that this one can wait within the bounds; None where they are
        full and its client has its share of them. See `frontend.dispatch.fair.room`."""
        free, free_bytes = most - len(self), most_bytes - self.size_bytes
        if free > 0 and (free_bytes >= ticket.size_bytes or not len(self)):
            return []
        bounds = Bounds(most, most_bytes)
        return turned_out(ticket, self._accounts, Bounds(free, free_bytes), bounds)

    def _cost(self, account: Account) -> float:
        return account.mean_cost or self._mean_cost or 1.0

    def _opened(self, client: str) -> Account:
        """The account of a client that waits from now on."""
        account = self._accounts.get(client)
        if account is None:
            account = self._idle.pop(client, None) or Account(client)
            account.starts_at = max(account.starts_at, self._clock)
            self._accounts[client] = account
        return account

    def _remove(self, account: Account, place: Place) -> Ticket:
        ticket = place.ticket
        del self._places[ticket.job.id]
        account.remove(place)
        self._size_bytes -= ticket.size_bytes
        if account.places:
            self._enter(account)
        else:
            self._close(account)
        return ticket

    def _close(self, account: Account) -> None:
        account.entry = 0
        del self._accounts[account.name]
        self._idle[account.name] = account
        if len(self._idle) > IDLE_ACCOUNTS:
            del self._idle[next(iter(self._idle))]

    def _enter(self, account: Account) -> None:
        """Its first job, or the start of that, has changed."""
        self._entries += 1
        account.entry = self._entries
        heapq.heappush(self._order, (account.turn, self._entries, account))
        if len(self._order) > 64 + 2 * len(self._accounts):
            self._order = [each for each in self._order if each[2].entry == each[1]]
            heapq.heapify(self._order)

    def _first(self) -> Account | None:
        """Whose turn it is."""
        while self._order and self._order[0][2].entry != self._order[0][1]:
            heapq.heappop(self._order)
        return self._order[0][2] if self._order else None
