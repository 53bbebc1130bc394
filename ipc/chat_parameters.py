"""What a chat may ask of its engine: each parameter of the API, and when a job asks for it.

Engines differ in what their libraries can do; `ipc.engines.Chat.lacks` names what one cannot. That
is refused by its name in the frontend, before it waits, and again by the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from ipc.engines import ENGINES
from ipc.messages.errors import UnsupportedParameter
from ipc.messages.jobs import ChatInput

# By the name that a request has for it: whether ``asked`` is more than its neutral value.
PARAMETERS: Mapping[str, Callable[[ChatInput], bool]] = MappingProxyType(
    {
        "seed": lambda asked: asked.sampling.seed is not None,
        "stop": lambda asked: bool(asked.sampling.stop),
        "stop_token_ids": lambda asked: bool(asked.sampling.stop_token_ids),
        "ignore_eos": lambda asked: asked.sampling.ignore_eos,
        "min_tokens": lambda asked: asked.sampling.min_tokens > 0,
        "top_k": lambda asked: asked.sampling.top_k > 0,
        "min_p": lambda asked: asked.sampling.min_p > 0,
        "presence_penalty": lambda asked: asked.sampling.presence_penalty != 0,
        "frequency_penalty": lambda asked: asked.sampling.frequency_penalty != 0,
        "repetition_penalty": lambda asked: asked.sampling.repetition_penalty != 1,
        "logit_bias": lambda asked: bool(asked.sampling.logit_bias),
        "logprobs": lambda asked: asked.sampling.logprobs is not None,
        "top_logprobs": lambda asked: bool(asked.sampling.logprobs),
        "n": lambda asked: asked.sampling.n > 1,
        "tools": lambda asked: bool(asked.tools),
        "tool_choice": lambda asked: asked.must_call,
        "response_format": lambda asked: asked.form is not None,
        "chat_template_kwargs": lambda asked: bool(asked.template_args),
        "thinking_token_budget": lambda asked: asked.reasoning_tokens is not None,
        "reasoning_format": lambda asked: not asked.split_reasoning,
        "continue_final_message": lambda asked: asked.continues_last,
        "prompt": lambda asked: bool(asked.prompts),
        "echo": lambda asked: asked.echo,
    }
)


# What a user's own engine is not asked for unless its class names it in ``takes``. Without these
# an engine that only reads the messages and the sampling answers what it was asked.
TO_BE_DECLARED = (
    "prompt",
    "echo",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "tool_choice",
    "response_format",
    "chat_template_kwargs",
    "thinking_token_budget",
    "continue_final_message",
)


def check_engine(engine: str, asked: ChatInput) -> None:
    """Raise `UnsupportedParameter` for the first thing that ``asked`` wants and ``engine`` lacks.
    Of a user's own nothing is known here: the worker asks its class."""
    found = ENGINES.get(engine)
    refuse_lacking(engine, found.chat.lacks if found and found.chat else (), asked)


def refuse_lacking(engine: str, lacks: Iterable[str], asked: ChatInput) -> None:
    """Raise `UnsupportedParameter` for the first thing of ``lacks`` that ``asked`` wants."""
    for name in lacks:
        if not PARAMETERS[name](asked):
            continue
        if name == "top_logprobs" and not asked.messages:  # where it is no key of its own
            raise UnsupportedParameter(
                f"engine {engine} tells the log probabilities of written tokens only; send "
                "`logprobs` 0, or serve the model by another engine",
                param="logprobs",
            )
        raise UnsupportedParameter(
            f"engine {engine} has no {name}; leave it out, or serve the model by another engine",
            param=name,
        )
