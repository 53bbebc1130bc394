"""A model that has thought for as long as it may: its reasoning is ended for it.

The request is asked anew, with a prompt that goes on with what was written and with the end of the
reasoning. Of that prompt only the end is new to the library, where it keeps what it has computed.
"""

from __future__ import annotations

import msgspec

from ipc.messages.jobs import ChatInput
from worker.chat.generation import Generation
from worker.chat.going_on import rest_of
from worker.chat.grammar import grammar_of
from worker.chat.token_engine import TokenModel, TokenRequest


def is_reached(generation: Generation, asked: ChatInput) -> bool:
    """Whether the answer still thinks, after as many tokens as ``asked`` allows."""
    limit = asked.reasoning_tokens
    return limit is not None and generation.thinking and generation.thought_tokens >= limit


def end_of_thought(model: TokenModel) -> tuple[str, list[int]]:
    """What ends reasoning, as a text and as tokens."""
    thinking = model.prompts.dialect.thinking
    text = "" if thinking is None else thinking.forced
    return text, model.prompts.raw.tokens(text, begins=False, reads_control=True)


def continued(
    request: TokenRequest, generation: Generation, asked: ChatInput, model: TokenModel
) -> TokenRequest:
    """The request for the rest of the answer to ``request``, whose reasoning has been ended."""
    text, _ = end_of_thought(model)
    rest = rest_of(request, generation.tokens)
    return rest._replace(
        id=f"{request.id}+",
        prompt=rest.prompt._replace(tail=text),
        grammar=grammar_of(
            msgspec.structs.replace(asked, continues_last=False), model.prompts.dialect, text
        ),
    )
