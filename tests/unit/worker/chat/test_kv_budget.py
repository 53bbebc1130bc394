"""How large the cache of keys and values is."""

from __future__ import annotations

import pytest

from ipc.messages.spec import Spec
from worker.chat.kv_budget import SLOT_TOKENS, kv_cache_tokens, longest_tokens


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
