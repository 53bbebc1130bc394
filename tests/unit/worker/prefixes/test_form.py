"""What is told of an account, and what becomes of it in the next worker."""

from __future__ import annotations

import random

import msgspec
import pytest

from worker.chat.prefixes import form
from worker.chat.prefixes.account import HALF_LIFE_PROMPTS, PrefixAccount
from worker.chat.prefixes.form import VERSION, decode, encode

SYSTEM = list(range(1000, 1100))
LONG = list(range(70_000, 70_400))


def noted(*prompts: list[int]) -> PrefixAccount:
    account = PrefixAccount()
    for prompt in prompts:
        account.note(prompt)
    return account


def test_the_next_worker_reads_the_same() -> None:
    account = noted(*[[*one, at] for one in (SYSTEM, LONG, [*SYSTEM, *LONG]) for at in range(4)])
    again = decode(encode(account))
    assert again.hottest(8, 10_000) == account.hottest(8, 10_000) != []
    assert encode(again) == encode(account)


def test_what_one_request_alone_has_brought_is_not_told() -> None:
    told = encode(noted([*SYSTEM, 5, 6, 7], [*SYSTEM, 8]))
    assert [list(one.tokens) for _, one in decode(told).ranked()] == [SYSTEM]


def test_the_same_traffic_has_nothing_new_to_tell() -> None:
    prompts = [[*SYSTEM, at] for at in range(8 * HALF_LIFE_PROMPTS)]
    account = noted(*prompts)
    before = encode(account)
    for prompt in prompts[:100]:
        account.note(prompt[:-1])
    assert encode(account) == before


def test_as_much_is_told_as_may_be() -> None:
    heads = [[at, *range(9000)] for at in range(8)]
    account = noted(*(head for head in heads for _ in range(2)))
    told = encode(account)
    assert len(told) < 4 * form.MOST_TOKENS + 1000
    assert len(decode(told).ranked()) == form.MOST_TOKENS // 9001


def test_whatever_came_it_can_be_told_and_read() -> None:
    draw = random.Random(9)
    for _ in range(200):
        account = noted(
            *[[draw.randrange(3) for _ in range(draw.randint(0, 50))] for _ in range(30)]
        )
        again = decode(encode(account))
        assert encode(again) == encode(account)


def token(number: int) -> bytes:
    return number.to_bytes(4, "little")


@pytest.mark.parametrize(
    "whole",
    [
        pytest.param((VERSION + 1, []), id="another version"),
        pytest.param((VERSION, [(-2, 0, token(1))]), id="no such place"),
        pytest.param((VERSION, [(0, 0, token(1))]), id="it grows from itself"),
        pytest.param((VERSION, [(-1, 0, token(1)), (-1, 0, token(1))]), id="the same twice"),
        pytest.param((VERSION, [(-1, 0, b"")]), id="no tokens"),
        pytest.param((VERSION, [(-1, 0, b"abc")]), id="a part of a token"),
        pytest.param((VERSION, [(-1, 2000, token(1))]), id="too many hits"),
        pytest.param((VERSION, [(-1, 0, token(1) * (form.MOST_TOKENS + 1))]), id="too much"),
        pytest.param("nonsense", id="something else"),
    ],
)
def test_what_no_worker_has_told_is_refused(whole: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(msgspec.msgpack.encode(whole))


def test_nothing_of_it_is_a_text() -> None:
    """It is not hidden either: whoever has the tokenizer can read it."""
    assert encode(noted([1, 2, 3], [1, 2, 4])) == msgspec.msgpack.encode(
        (VERSION, [(-1, 0, token(1) + token(2))])
    )
