"""How large the cache of keys and values is."""

from __future__ import annotations

import pytest

from ipc.kv_budget import SLOT_TOKENS, kv_cache_tokens, longest_tokens, sure_tokens
from ipc.messages.spec import Spec


def spec(slots: int = 4, max_prompt_tokens: int = 600, max_new_tokens: int = 400) -> Spec:
    return Spec(
        name="m",
        task="chat",
        engine="x",
        path="",
        slots=slots,
        max_prompt_tokens=max_prompt_tokens,
        max_new_tokens=max_new_tokens,
    )


@pytest.mark.parametrize(
    ("context_tokens", "longest"), [(None, 1000), (0, 1000), (512, 512), (8192, 1000)]
)
def test_a_request_is_as_long_as_model_and_limits_allow(
    context_tokens: int | None, longest: int
) -> None:
    assert longest_tokens(spec(), context_tokens) == longest


@pytest.mark.parametrize(
    ("context_tokens", "longest"), [(None, 4496), (0, 4496), (512, 512), (131072, 131072)]
)
def test_where_no_limit_is_set_a_request_is_as_long_as_the_model_reads(
    context_tokens: int | None, longest: int
) -> None:
    assert longest_tokens(spec(max_prompt_tokens=0), context_tokens) == longest


@pytest.mark.parametrize(
    ("slots", "longest", "sure", "tokens"),
    [
        (8, 512, 512, 4096),
        (8, 8192, 4496, 16384),
        (8, 131072, 4496, 16384),
        (1, 131072, 4496, 4496),
        (2, 131072, 4496, 4496),
    ],
)
def test_the_cache_does_not_grow_with_a_context_that_few_chats_fill(
    slots: int, longest: int, sure: int, tokens: int
) -> None:
    any_length = spec(slots, max_prompt_tokens=0)
    assert sure_tokens(any_length, longest) == sure
    assert kv_cache_tokens(any_length, longest, 0) == tokens


@pytest.mark.parametrize(
    ("slots", "longest", "wanted", "tokens"),
    [
        (4, 1000, 0, 4000),
        (4, 1000, 500, 500),
        (4, 8192, 0, 8192),
        (8, 8192, 0, 8 * SLOT_TOKENS),
    ],
)
def test_each_slot_has_a_share_and_the_longest_fits(
    slots: int, longest: int, wanted: int, tokens: int
) -> None:
    assert kv_cache_tokens(spec(slots), longest, wanted) == tokens
