"""From a job to what a token engine is asked: prompts, limits, grammars, seeds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ipc.chat_parameters import check_engine
from ipc.messages.errors import ContextTooLong, InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import ChatInput, Fill, Job, Sampling
from ipc.messages.spec import Spec
from worker.chat.answers import copies_of
from worker.chat.grammar import AnyText, grammar_of
from worker.chat.parser import Parser, PlainText
from worker.chat.prompt import Offered, Prompt
from worker.chat.prompt_limits import room_for_answer
from worker.chat.raw import cannot_fill
from worker.chat.token_engine import TokenModel, TokenRequest


def requests_of(job: Job, asked: ChatInput, spec: Spec, model: TokenModel) -> list[TokenRequest]:
    """One request for every answer to ``job`` that has to be written, in the order of their
    choices.

    Raises `InvalidRequest`: `UnsupportedParameter` where the engine lacks what is asked for, or
    `ContextTooLong`.
    """
    check_engine(spec.engine, asked)
    _check_bias(asked.sampling, len(model.prompts.vocabulary))
    requests: list[TokenRequest] = []
    copies = copies_of(asked, job.written)
    for prompt, repeated in _prompts(asked, spec, model):
        limit = min(asked.sampling.max_tokens, _room(asked, prompt, spec, model))
        grammar = grammar_of(asked, model.prompts.dialect, prompt.tail)
        preserved = parser_of(asked, prompt, model).preserved
        if not isinstance(grammar, AnyText):
            _check_end(asked.sampling)
        for at in range(0, asked.sampling.n, copies):
            choice = len(requests) * copies
            name = f"{job.id}#{choice}" if choice else job.id
            sampling = _ending(_seeded(asked.sampling, at), prompt.ends)
            requests.append(
                TokenRequest(name, prompt, sampling, limit, grammar, choice, repeated, preserved)
            )
    return requests


def _room(asked: ChatInput, prompt: Prompt, spec: Spec, model: TokenModel) -> int:
    try:
        return room_for_answer(len(prompt.tokens), spec.max_prompt_tokens, model.context_tokens)
    except ContextTooLong as error:
        error.param = "prompt" if asked.prompts else error.param
        raise


def parser_of(asked: ChatInput, prompt: Prompt, model: TokenModel) -> Parser:
    """What reads one answer to ``prompt``."""
    if asked.prompts:
        return PlainText()
    prompts = model.prompts
    return prompts.dialect.parser(asked, prompt.tail, prompts.vocabulary.control)


def _check_end(sampling: Sampling) -> None:
    """A grammar says where an answer ends, so nothing else may ask for more."""
    for param in ("ignore_eos", "min_tokens"):
        if getattr(sampling, param):
            raise UnsupportedParameter(
                f"{param} cannot be kept where the form of the answer says where it ends; leave it "
                "out",
                param=param,
            )


def _check_bias(sampling: Sampling, tokens: int) -> None:
    unknown = sorted(token for token in sampling.logit_bias if not 0 <= token < tokens)
    if unknown:
        raise InvalidRequest(
            f"logit_bias names token {unknown[0]}, and the model's tokens are 0 to {tokens - 1}",
            param="logit_bias",
        )


def _prompts(asked: ChatInput, spec: Spec, model: TokenModel) -> Iterable[tuple[Prompt, str]]:
    """Each prompt, and what its answers begin with where they repeat it."""
    if not asked.prompts:
        yield model.prompts.lay_out(asked.messages, Offered.by(asked)), ""
    raw = model.prompts.raw
    for prompt in asked.prompts:
        if isinstance(prompt, Fill) and raw.filler is None:
            raise cannot_fill(f"model {spec.name}")
        tokens, ends = raw.lay_out(prompt)
        yield Prompt(tokens, ends=ends), raw.text_of(prompt) if asked.echo else ""


def _ending(sampling: Sampling, ends: frozenset[int]) -> Sampling:
    """``sampling`` of an answer that these tokens end, too."""
    if not ends:
        return sampling
    return msgspec.structs.replace(
        sampling, stop_token_ids=sorted({*sampling.stop_token_ids, *ends})
    )


def _seeded(sampling: Sampling, at: int) -> Sampling:
    """``sampling`` for the ``at``-th choice of a prompt: each draws by a seed of its own."""
    if sampling.seed is None or at == 0:
        return sampling
    return msgspec.structs.replace(sampling, seed=sampling.seed + at)
