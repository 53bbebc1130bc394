"""The keys of requests without messages, as clients of this and other servers send them."""

from __future__ import annotations

from frontend.api.known_keys import Row, derived, done, refused
from frontend.api.openai.chat_keys import KEYS as CHAT_KEYS
from frontend.api.openai.sampling_request import SamplingRequest

_SHARED = frozenset(SamplingRequest.model_fields)


def keys_for_texts(*own: Row) -> tuple[Row, ...]:
    """The ``own`` rows of a route, and those of chats for every other key. What is done for chats
    alone is refused."""
    return derived(CHAT_KEYS, own, _SHARED, "for chats: /v1/chat/completions")


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
