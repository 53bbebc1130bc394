"""Who is served next, as literal orders, and what holds in any order in which clients come.

A job is written as its client's name and a number; ``x2`` is the second job of client ``x``.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import pytest

from frontend.dispatch.fair.account import PRIORITIES
from frontend.dispatch.fair.waiting import IDLE_ACCOUNTS, LEAST_CLIENTS, FairWaiting
from frontend.dispatch.terms import Terms
from frontend.dispatch.waiting import Ticket
from ipc.messages.jobs import EmbedInput, Job
from tests.unit.operations import operations

MAX_WAIT_S = 60.0


def ticket(
    name: str,
    *,
    at: float = 0.0,
    size_bytes: int = 1,
    weight: float = 1.0,
    priority: int = 0,
    precedence: int = 0,
    client: str | None = None,
) -> Ticket:
    job = Job(id=name, model="m", input=EmbedInput(texts=["x"]), deadline_at=1e9)
    terms = Terms(
        client=name.rstrip("0123456789") if client is None else client,
        weight=weight,
        priority=priority,
        precedence=precedence,
    )
    return Ticket(job, size_bytes, at, MAX_WAIT_S, terms)


def waiting(*names: str) -> FairWaiting:
    """These came at once, in this order."""
    made = FairWaiting()
    for name in names:
        made.push(ticket(name))
    return made


def served(of: FairWaiting, count: int = 1000) -> list[str]:
    """The next so many, one after the other."""
    names: list[str] = []
    while len(names) < count and (first := next(iter(of), None)) is not None:
        names.append(of.take(first.job.id).job.id)
    return names


def shares(names: list[str]) -> Counter[str]:
    return Counter(name.rstrip("0123456789") for name in names)


# --- turns ---


def test_one_client_is_served_in_the_order_in_which_it_came() -> None:
    assert served(waiting("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_clients_take_turns_however_many_jobs_each_has() -> None:
    assert served(waiting("a1", "a2", "a3", "a4", "b1", "b2", "c1")) == [
        *("a1", "b1", "c1"),
        *("a2", "b2"),
        *("a3", "a4"),
    ]


def test_who_comes_later_does_not_catch_up_on_the_time_before() -> None:
    made = waiting("a1", "a2", "a3", "a4", "a5")
    assert served(made, 3) == ["a1", "a2", "a3"]
    for name in ("b1", "b2", "b3"):
        made.push(ticket(name))
    assert served(made) == ["b1", "a4", "b2", "a5", "b3"]


def test_one_that_asks_again_after_each_answer_has_every_second_turn() -> None:
    made = waiting(*(f"a{number}" for number in range(20)))
    assert served(made, 1) == ["a0"]
    for number in range(10):
        made.push(ticket(f"b{number}"))
        assert served(made, 2) == [f"b{number}", f"a{number + 1}"]


def test_who_floods_has_no_more_than_each_of_a_crowd_that_asks_again_after_each_answer() -> None:
    crowd = 4 * LEAST_CLIENTS
    made, had = waiting(*(f"x{number}" for number in range(100))), Counter[str]()
    for number in range(crowd):
        made.push(ticket(f"{number}", client=f"client {number}"))
    for _ in range(20 * crowd):
        (name,) = served(made, 1)
        had[name] += 1
        if not name.startswith("x"):
            made.push(ticket(name, client=f"client {name}"))
    assert 19 <= sum(had[name] for name in had if name.startswith("x")) <= 21
    assert {had[f"{number}"] for number in range(crowd)} <= {19, 20, 21}


def test_clients_are_served_by_their_weights() -> None:
    made = FairWaiting()
    for number in range(60):
        made.push(ticket(f"a{number}", weight=1.0))
        made.push(ticket(f"b{number}", weight=2.0))
    assert shares(served(made, 60)) == {"a": 20, "b": 40}


def test_service_counts_and_not_jobs() -> None:
    made = waiting("a0", "b0")
    served(made)
    made.learn("a", 300.0)
    made.learn("b", 100.0)
    for number in range(1, 61):
        made.push(ticket(f"a{number}"))
        made.push(ticket(f"b{number}"))
    found = shares(served(made, 60))
    assert abs(found["b"] - 45) <= 1  # three for each of a's


def test_a_job_that_was_given_back_comes_before_all_and_is_not_paid_twice() -> None:
    made = waiting("a1", "a2", "b1", "b2")
    given_back = made.take("a1")
    made.push_in_front(given_back)
    assert (len(made), made.ahead_of("a1"), made.ahead_of("b1")) == (4, 0, 1)
    assert served(made) == ["a1", "b1", "a2", "b2"]


def test_one_that_leaves_pays_nothing() -> None:
    made = waiting("a1", "a2", "a3", "b1", "b2")
    made.pop("a1")
    assert served(made) == ["a2", "b1", "a3", "b2"]


def test_what_was_served_while_nobody_else_waited_is_forgiven() -> None:
    made = FairWaiting()
    for number in range(10):
        made.push(ticket(f"a{number}", precedence=10))
        served(made)
    made.forgive()
    made.push(ticket("a10"))
    made.push(ticket("b1"))
    made.push(ticket("a11"))
    assert served(made) == ["a10", "b1", "a11"]


def test_accounts_of_clients_that_have_gone_are_bounded() -> None:
    made = FairWaiting()
    for number in range(2 * IDLE_ACCOUNTS):
        made.push(ticket(f"{number}", client=f"client {number}"))
        served(made)
    assert len(made._idle) == IDLE_ACCOUNTS


# --- priority: among a client's own jobs ---


def test_a_client_says_which_of_its_jobs_come_first() -> None:
    made = waiting("a1", "a2")
    made.push(ticket("a3", priority=1))
    made.push(ticket("a4", priority=-1))
    made.push(ticket("b1"))
    assert served(made) == ["a3", "b1", "a1", "a2", "a4"]


def test_priority_is_worth_half_the_time_that_a_job_may_wait_and_no_more() -> None:
    made = FairWaiting()
    made.push(ticket("a1", at=0.0, priority=-PRIORITIES // 2))
    made.push(ticket("a2", at=29.0, priority=PRIORITIES // 2))
    made.push(ticket("a3", at=31.0, priority=PRIORITIES // 2))
    assert served(made) == ["a2", "a1", "a3"]


# --- precedence: among clients ---


def test_precedence_says_how_soon_and_not_how_much() -> None:
    made = FairWaiting()
    for number in range(40):
        made.push(ticket(f"a{number}"))
        made.push(ticket(f"b{number}", precedence=5))
    assert served(made, 5) == ["b0", "b1", "b2", "b3", "b4"]
    assert shares(served(made, 70)) == {"a": 35, "b": 35}
    assert shares(served(made)) == {"a": 5}  # which b had at first


def test_less_than_none_waits_for_others_and_loses_nothing_by_it() -> None:
    made = FairWaiting()
    for number in range(6):
        made.push(ticket(f"a{number}", precedence=-2))
        made.push(ticket(f"b{number}"))
    assert served(made, 5) == ["b0", "b1", "a0", "b2", "a1"]


# --- in any order ---


def random_history(seed: int) -> FairWaiting:
    """Some clients with jobs of all kinds, of which some were served and some have gone."""
    rng = random.Random(seed)
    made, now, count = FairWaiting(), 0.0, 0
    for _ in range(rng.randrange(5, 80)):
        now += rng.random()
        happens = rng.random()
        if happens < 0.7 or not len(made):
            client = rng.choice("abcdef")
            count += 1
            made.push(
                ticket(
                    f"{client}{count}",
                    at=now,
                    weight=rng.choice((0.5, 1.0, 3.0)),
                    priority=rng.randint(-10, 10),
                    precedence=rng.choice((0, 0, 0, rng.randint(-10, 10))),
                )
            )
            made.learn(client, rng.choice((1.0, 5.0, 100.0)))
        elif happens < 0.9:
            found = made.take(next(iter(made)).job.id)
            if rng.random() < 0.2:
                made.push_in_front(found.again())
        else:
            made.pop(rng.choice(list(made.in_any_order())).job.id)
    return made


@pytest.mark.parametrize("part", range(4))
def test_the_order_that_is_told_is_the_order_in_which_they_are_served(part: int) -> None:
    for seed in range(part * 250, part * 250 + 250):
        made = random_history(seed)
        told = [each.job.id for each in made]
        ahead = sorted(told, key=made.ahead_of)
        assert [made.ahead_of(name) for name in ahead] == list(range(len(told)))
        assert served(made) == told == ahead, seed
        assert (len(made), made.size_bytes) == (0, 0)


def test_who_asks_alone_is_told_the_same_as_where_all_ask() -> None:
    """The order of all is made for the second who asks, and only then."""
    for seed in range(40):
        made = random_history(seed)
        for ahead, each in enumerate(made):
            assert random_history(seed).ahead_of(each.job.id) == ahead


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.push(ticket("b9", at=-100.0, precedence=10)),
        lambda made: made.push_in_front(ticket("c9")),
        lambda made: made.take("a1"),
        lambda made: made.pop("a1"),
        lambda made: made.learn("a", 50.0),
    ],
    ids=["push", "push_in_front", "take", "pop", "learn"],
)
def test_an_order_that_was_told_is_told_no_longer_once_anything_changes(
    change: Callable[[FairWaiting], object],
) -> None:
    made = waiting("a1", "a2", "a3", "b1", "b2")
    assert [made.ahead_of(name) for name in ("a2", "a3", "b2")] == [2, 4, 3]
    change(made)
    in_order = [each.job.id for each in made]
    assert [made.ahead_of(name) for name in in_order] == list(range(len(in_order)))


def test_ten_times_as_many_who_wait_and_ask_take_ten_times_the_steps() -> None:
    def all_ask(clients: int) -> int:
        made = waiting(*(f"c{number}x1" for number in range(clients)))
        names = [each.job.id for each in made.in_any_order()]
        return operations(lambda: [made.ahead_of(name) for name in names])

    assert all_ask(300) <= 11 * all_ask(30)


MOST, MAX_COST, WEIGHTS = 16, 4.0, (1.0, 4.0)
# A step of precedence is worth a usual job, which costs 1 to MAX_COST; so does its client's last
# one, by the least weight. To there the clock gains 1 / LEAST_CLIENTS with each job at least.
# Whoever is then before it was here before.
VIRTUAL = (PRIORITIES + 1) * MAX_COST
MOST_LATER = VIRTUAL * LEAST_CLIENTS


def test_nobody_is_passed_for_ever_in_any_history() -> None:
    for seed in range(100):
        rng = random.Random(seed)
        made, came, passed = FairWaiting(), dict[str, int](), Counter[str]()
        late = 0
        for number in range(400):
            client = rng.choice("abcd") if rng.random() < 0.5 else f"new {number} "
            if len(made) < MOST:
                name = f"{client}{number}"
                weight = rng.choice(WEIGHTS)
                made.push(ticket(name, at=number, weight=weight, precedence=rng.randint(-10, 10)))
                came[name] = number
            if len(made) == MOST or rng.random() < 0.4:
                (name,) = served(made, 1)
                made.learn(name.rstrip("0123456789"), rng.uniform(1.0, MAX_COST))
                at = came.pop(name)
                passed.update(other for other, since in came.items() if since < at)
                late = max(late, passed.pop(name, 0))
        assert late <= MOST_LATER, (seed, late)


def test_nobody_is_passed_for_ever_by_clients_that_come_new_with_the_greatest_precedence() -> None:
    made = FairWaiting()
    made.push(ticket("old1", precedence=-10))
    for number in range(10_000):
        made.push(ticket(f"new {number} ", client=f"{number}", precedence=10))
        if served(made, 1) == ["old1"]:
            break
    assert PRIORITIES < number <= PRIORITIES * LEAST_CLIENTS


def test_two_clients_that_always_wait_are_never_apart_by_more_than_a_job_of_each() -> None:
    """The bound of start-time fair queueing, theorem 1: the greatest cost by weight of each."""
    for seed in range(100):
        rng = random.Random(seed)
        made = FairWaiting()
        weights = {"a": rng.choice(WEIGHTS), "b": rng.choice(WEIGHTS)}
        costs = {"a": rng.uniform(1, MAX_COST), "b": rng.uniform(1, MAX_COST)}
        for number in range(200):
            for client in "ab":
                made.push(ticket(f"{client}{number}", weight=weights[client]))
        for client in "ab":
            made.learn(client, costs[client])
        had = {"a": 0.0, "b": 0.0}
        for name in served(made, 200):
            had[name[0]] += costs[name[0]] / weights[name[0]]
            assert abs(had["a"] - had["b"]) <= sum(costs[each] / weights[each] for each in "ab")


# --- a full queue ---


def out(made: FairWaiting, asked: Ticket, most: int, most_bytes: int = 1000) -> list[str] | None:
    found = made.room_for(asked, most, most_bytes)
    return None if found is None else [each.job.id for each in found]


def test_one_client_alone_may_fill_the_queue_and_then_is_refused() -> None:
    made = waiting("a1", "a2", "a3")
    assert out(made, ticket("a4"), most=4) == []
    assert out(made, ticket("a4"), most=3) is None


def test_another_client_gets_places_of_the_one_with_most_until_both_have_as_many() -> None:
    made = waiting("a1", "a2", "a3", "a4")
    for name, expected in (("b1", "a4"), ("b2", "a3")):
        assert out(made, ticket(name), most=4) == [expected]
        made.pop(expected)
        made.push(ticket(name))
    assert out(made, ticket("b3"), most=4) is None
    assert out(made, ticket("a5"), most=4) is None
    assert out(made, ticket("c1"), most=4) in (["a2"], ["b2"])


def test_the_least_of_its_jobs_goes_first() -> None:
    made = waiting("a1", "a2")
    made.push(ticket("a3", priority=5))
    assert out(made, ticket("b1"), most=3) == ["a2"]


def test_places_are_shared_by_weight() -> None:
    made = waiting("a1", "a2", "b1", "b2")
    assert out(made, ticket("c1"), most=4) is not None
    assert out(made, ticket("b3", weight=3.0), most=4) == ["a2"]


def test_bytes_are_shared_like_places_and_several_may_go_for_one() -> None:
    made = FairWaiting()
    for number in range(5):
        made.push(ticket(f"a{number}", size_bytes=20))
    assert out(made, ticket("b1", size_bytes=30), most=50, most_bytes=100) == ["a4", "a3"]
    assert out(made, ticket("b1", size_bytes=80), most=50, most_bytes=100) is None
    assert out(made, ticket("a5", size_bytes=1), most=50, most_bytes=100) is None


def test_one_that_is_larger_than_all_bytes_has_room_where_nobody_waits() -> None:
    assert out(FairWaiting(), ticket("a1", size_bytes=5000), most=4) == []
    assert out(waiting("b1"), ticket("a1", size_bytes=5000), most=4) is None


def test_what_was_given_back_is_never_turned_out() -> None:
    made = waiting("a1")
    made.push_in_front(made.take("a1"))
    assert out(made, ticket("b1"), most=1) is None
