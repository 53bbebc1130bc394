"""Which beginnings of prompts come again: what is hit, what is forgotten, what is read first."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from worker.chat.prefixes import account as accounts
from worker.chat.prefixes.account import HALF_LIFE_PROMPTS, LEAST_TOKENS, PrefixAccount

SYSTEM = list(range(1000, 1100))
OTHER = list(range(2000, 2100))
LONG = list(range(3000, 3400))
ALL = 1_000_000


def account_of(*prompts: Sequence[int]) -> PrefixAccount:
    account = PrefixAccount()
    for prompt in prompts:
        account.note(prompt)
    return account


def hits(account: PrefixAccount) -> list[tuple[list[int], float]]:
    """The tokens of each branch with its hits, those first that are hit most."""
    return [(list(one.tokens), round(account.hits(one), 1)) for _, one in account.ranked()]


def test_a_prompt_hits_what_it_shares_with_those_before_it() -> None:
    assert hits(account_of([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7], [1, 2, 3, 4, 8])) == [
        ([1, 2, 3, 4], 2.0),
        ([8], 0.0),
        ([7], 0.0),
        ([5, 6], 0.0),
    ]


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        pytest.param([[1, 2]], [([1, 2], 0.0)], id="one alone"),
        pytest.param([[1, 2], [1, 2]], [([1, 2], 1.0)], id="the same again"),
        pytest.param([[1, 2, 3], [1, 2]], [([1, 2], 1.0), ([3], 0.0)], id="its beginning"),
        pytest.param([[1, 2], [1, 2, 3]], [([1, 2], 1.0), ([3], 0.0)], id="it goes on"),
        pytest.param([[1], [2], [2]], [([2], 1.0), ([1], 0.0)], id="nothing shared"),
        pytest.param([[], [1]], [([1], 0.0)], id="an empty one"),
    ],
)
def test_branches(prompts: list[list[int]], expected: list[tuple[list[int], float]]) -> None:
    assert hits(account_of(*prompts)) == expected


def test_what_one_request_alone_has_brought_is_not_read_again() -> None:
    assert account_of([*SYSTEM, 1], [*OTHER, 1]).hottest(8, ALL) == []


def test_a_system_prompt_is_read_to_its_last_token() -> None:
    assert account_of([*SYSTEM, 1], [*SYSTEM, 2], [*SYSTEM, 3]).hottest(8, ALL) == [SYSTEM]


def test_of_a_conversation_all_is_read_but_its_last_turn() -> None:
    turns = [[*SYSTEM, *range(count)] for count in (40, 80, 120)]
    assert account_of(*turns).hottest(8, ALL) == [turns[1]]


def test_what_saves_most_is_read_first() -> None:
    rare, common = [[*LONG, 1], [*LONG, 2]], [[*SYSTEM, at] for at in range(9)]
    assert account_of(*rare, *common).hottest(8, ALL) == [SYSTEM, LONG]
    assert account_of(*rare, *common[:3]).hottest(8, ALL) == [LONG, SYSTEM]


def test_a_shared_beginning_is_no_reason_to_read_each_that_has_it() -> None:
    """Their ends are shorter than what is worth a place."""
    prompts = [[*SYSTEM, *range(at, at + 5)] for at in (10, 20, 30) for _ in range(2)]
    (found,) = account_of(*prompts).hottest(8, ALL)
    assert found[:100] == SYSTEM
    assert len(found) == 105


def test_as_much_is_read_as_there_is_room_for() -> None:
    account = account_of(*[[*one, at] for one in (SYSTEM, OTHER, LONG) for at in range(3)])
    assert account.hottest(2, ALL) == [LONG, OTHER]
    assert account.hottest(8, 250) == [OTHER, SYSTEM]
    assert account.hottest(8, 99) == []


def test_a_template_alone_is_not_worth_it() -> None:
    template = list(range(LEAST_TOKENS - 1))
    assert account_of([*template, 50], [*template, 60]).hottest(8, ALL) == []


def test_what_does_not_come_again_counts_half_after_a_while() -> None:
    account = account_of(*[[*SYSTEM, at] for at in range(5)])
    for at in range(HALF_LIFE_PROMPTS):
        account.note([*OTHER, at])
    counts = {tokens[0]: count for tokens, count in hits(account) if count}
    assert counts[SYSTEM[0]] == pytest.approx(2.0, abs=0.1)
    assert account.hottest(1, ALL) == [OTHER]


def test_counts_stay_numbers_however_many_prompts_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_LARGEST", 2.0)
    account = account_of(*[[*SYSTEM, at] for at in range(5 * HALF_LIFE_PROMPTS)])
    (count, *_) = (count for _, count in hits(account))
    assert count == pytest.approx(HALF_LIFE_PROMPTS / 0.693, rel=0.05)


def test_what_is_hit_least_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_TOKENS", 1000)
    account = account_of([*SYSTEM, 1], [*SYSTEM, 2])
    for at in range(100):
        account.note([at, *LONG])
    assert account.hottest(8, ALL) == [SYSTEM]
    assert sum(len(one.tokens) for _, one in account.ranked()) <= 1000


def test_of_a_prompt_only_so_much_is_known() -> None:
    endless = [7] * (accounts.MOST_OF_A_PROMPT + 10)
    (found,) = account_of(endless, endless).hottest(8, ALL)
    assert len(found) == accounts.MOST_OF_A_PROMPT


def test_whatever_comes_the_bounds_are_kept_and_no_branch_is_hit_more_than_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounts, "MOST_TOKENS", 200)
    monkeypatch.setattr(accounts, "MOST_BRANCHES", 30)
    draw = random.Random(3)
    for _ in range(200):
        account = PrefixAccount()
        noted = []
        for _ in range(40):
            noted.append([draw.randrange(3) for _ in range(draw.randint(0, 60))])
            account.note(noted[-1])
        ranked = account.ranked()
        assert sum(len(one.tokens) for _, one in ranked) <= 200
        assert len(ranked) <= 30
        seen = {id(account.root)}
        for parent, branch in ranked:
            assert id(parent) in seen
            assert parent is account.root or parent.hits >= branch.hits
            seen.add(id(branch))
        for found in account.hottest(8, ALL):
            assert sum(prompt[: len(found)] == found for prompt in noted) >= 2
