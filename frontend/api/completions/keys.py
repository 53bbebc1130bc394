"""The keys of requests without messages, as clients of this and other servers send them."""

from __future__ import annotations

from typing import Any

from frontend.api.known_keys import Row, done, refused
from frontend.api.openai.chat_keys import KEYS as CHAT_KEYS
from frontend.api.openai.sampling_request import SamplingRequest

_SHARED = frozenset(SamplingRequest.model_fields)
# What asks for nothing of that which only chats have.
_NOTHING: tuple[Any, ...] = ([], {}, "", "none", "auto", False)


def keys_for_texts(*own: Row) -> tuple[Row, ...]:
    """The ``own`` rows of a route, and those of chats for every other key. What is done for chats
    alone is refused."""
    taken = {name for row in own for name in row.names}
    rows: list[Row] = [*own]
    chats_only: list[str] = []
    for row in CHAT_KEYS:
        names = [name for name in row.names if name not in taken]
        if row.verdict == "done":
            chats_only += [name for name in names if name not in _SHARED]
            names = [name for name in names if name in _SHARED]
        if names:
            rows.append(row._replace(names=tuple(names)))
    return (*rows, refused(" ".join(chats_only), "for chats: /v1/chat/completions", *_NOTHING))


KEYS = keys_for_texts(
    done("model", "required"),
    done(
        "prompt",
        "required; a text, ids of the model's own vocabulary, or a list of up to 128 of either. A "
        "text is text: the names of control tokens in it are no control tokens",
    ),
    done("suffix", "what stands after the gap that is to be filled; for models that can `fill`"),
    done("echo", "each answer begins with its prompt; not with `suffix` or `logprobs`"),
    done("max_tokens", "16 where it is left out; -1 is no limit of the client's"),
    done("logprobs", "0 to 20 likely tokens beside each that was written"),
    refused("best_of", "answers are not weighed against each other", 1),
    refused("top_logprobs", "send a number as `logprobs`", 0),
)
