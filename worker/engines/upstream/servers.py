"""The kinds of servers that may be behind a model: by what words each is asked, and what it skips.

A server of no kind that is known here is taken at its word: it does what it is asked, or refuses it
itself. What of that can be seen in an answer is looked for there: see `answer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["", "edge-serve", "llama.cpp", "lm studio", "ollama", "sglang", "tgi", "vllm"]

_SAMPLERS = ("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "stop_token_ids")
# Continuing as transformers has it: no end of the last turn, and no beginning of another.
_CONTINUES = {"continue_final_message": True, "add_generation_prompt": False}


class Server(NamedTuple):
    """One kind: ``skips`` are keys of chats that it takes and does nothing about, ``skips_raw``
    those of completions. Of what has no key of OpenAI's, None says that it has none either.

    ``reads_template_args``: it gives `chat_template_kwargs` to the template. ``budget`` is its key
    for how many tokens may be thought. ``unsplit`` asks for what is thought within the content,
    ``continues`` for more of the last message.
    """

    kind: Kind = ""
    skips: tuple[str, ...] = ()
    skips_raw: tuple[str, ...] = ()
    reads_template_args: bool = False
    budget: str | None = None
    unsplit: Mapping[str, Any] | None = None
    continues: Mapping[str, Any] | None = None


# By the `owned_by` of the models that they list. Where each was read:
SERVERS: dict[str, Server] = {
    "edge-serve": Server(
        "edge-serve",
        reads_template_args=True,
        budget="thinking_token_budget",
        unsplit={"reasoning_format": "none"},
        continues=_CONTINUES,
    ),
    # tools/server/README.md of b11549 and server-common.cpp of 006639c3: a last turn of the
    # assistant is continued unasked; penalties see 64 tokens if not told. That it skips `echo` was
    # seen, and is kept by tests/contract/test_llama_server.py.
    "llamacpp": Server(
        "llama.cpp",
        skips=("min_tokens", "stop_token_ids"),
        skips_raw=("min_tokens", "stop_token_ids", "echo"),
        reads_template_args=True,
        budget="thinking_budget_tokens",
        unsplit={"reasoning_format": "none"},
        continues={},
    ),
    # openai/openai.go of 00988753: its requests have none of these. `tool_choice` and `logprobs`
    # are in later ones; whether they were heeded is seen in the answer.
    "library": Server(
        "ollama",
        skips=(*_SAMPLERS, "n", "logit_bias", "parallel_tool_calls", "chat_template_kwargs"),
        skips_raw=(*_SAMPLERS, "n", "logit_bias", "echo", "response_format"),
    ),
    # Its page "Chat Completions" lists what it supports, without these.
    "organization_owner": Server(
        "lm studio",
        skips=("min_p", "ignore_eos", "min_tokens", "stop_token_ids", "chat_template_kwargs"),
        skips_raw=("min_p", "ignore_eos", "min_tokens", "stop_token_ids"),
    ),
    # 0.5.23, protocol.py and serving_chat.py; a suffix is for models with a template for it, which
    # the operator names.
    "sglang": Server(
        "sglang",
        skips_raw=("suffix",),
        reads_template_args=True,
        unsplit={"separate_reasoning": False},
        continues=_CONTINUES,
    ),
    # 0.33, chat_completion/protocol.py.
    "vllm": Server(
        "vllm",
        reads_template_args=True,
        budget="thinking_token_budget",
        continues=_CONTINUES,
    ),
}
# router/src/lib.rs: `n` and `logit_bias` are said to be unused, `presence_penalty` is taken for a
# repetition penalty, the others are not there.
TGI = Server(
    "tgi",
    skips=(
        *_SAMPLERS,
        "n",
        "logit_bias",
        "presence_penalty",
        "parallel_tool_calls",
        "chat_template_kwargs",
    ),
    skips_raw=(
        *(name for name in _SAMPLERS if name != "repetition_penalty"),
        "n",
        "logit_bias",
        "presence_penalty",
        "logprobs",
        "echo",
        "response_format",
    ),
)
ANY = Server()


def server_of(owned_by: str, model: str, capability: bool | None = None) -> Server:
    """The kind of server that lists ``model`` as owned by ``owned_by``.

    ``capability``: whether it says of it, as edge-serve alone does, that it has the capability
    "chat-completion". Its models are owned by whoever made them.
    """
    if capability:
        return SERVERS["edge-serve"]
    if owned_by and owned_by == model:  # as TGI's router says
        return TGI
    return SERVERS.get(owned_by, ANY)
