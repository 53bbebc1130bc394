"""From a job to what a token engine is asked: prompts, limits, grammars, seeds."""

from __future__ import annotations

import msgspec

from ipc.messages.jobs import ChatInput, Sampling
from ipc.messages.spec import Spec
from worker.chat.answers import copies_of
from worker.chat.grammar import grammar_of
from worker.chat.prompt import Offered, Prompt
from worker.chat.prompt_limits import room_for_answer
from worker.chat.token_engine import TokenModel, TokenRequest


def requests_of(job_id: str, asked: ChatInput, spec: Spec, model: TokenModel) -> list[TokenRequest]:
    """One request for every answer that has to be written, in the order of their choices.

    Raises `InvalidRequest`, or `ContextTooLong`.
    """
    requests: list[TokenRequest] = []
    copies = copies_of(asked)
    for prompt in _prompts(asked, model):
        room = room_for_answer(len(prompt.tokens), spec.max_prompt_tokens, model.context_tokens)
        limit = min(asked.sampling.max_tokens, room)
        grammar = grammar_of(asked, model.prompts.dialect, prompt.tail)
        for at in range(0, asked.sampling.n, copies):
            choice = len(requests) * copies
            name = f"{job_id}#{choice}" if choice else job_id
            sampling = _seeded(asked.sampling, at)
            requests.append(TokenRequest(name, prompt, sampling, limit, grammar, choice))
    return requests


def _prompts(asked: ChatInput, model: TokenModel) -> list[Prompt]:
    if asked.prompts:
        return [model.prompts.lay_out_raw(prompt) for prompt in asked.prompts]
    return [model.prompts.lay_out(asked.messages, Offered.by(asked))]


def _seeded(sampling: Sampling, at: int) -> Sampling:
    """``sampling`` for the ``at``-th choice of a prompt: each draws by a seed of its own."""
    if sampling.seed is None or at == 0:
        return sampling
    return msgspec.structs.replace(sampling, seed=sampling.seed + at)
