"""Chat on OpenVINO GenAI: its pipeline batches requests continuously, one step at a time."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple, assert_never

import numpy as np
import openvino
import openvino_genai as genai

from ipc.grammar.rules import Rules
from ipc.messages.errors import OutOfMemory, UnsupportedParameter
from ipc.messages.events import Finish
from ipc.messages.jobs import Sampling
from ipc.messages.spec import Loaded, Spec
from worker.chat.engine import TokenChat
from worker.chat.grammar import AnyText, Grammar
from worker.chat.token_engine import TokenModel, TokenRequest, Written
from worker.engine import Stage
from worker.engines.openvino_chat.load import BLOCK_TOKENS, chat_folder, chat_model

# Below these the library's arithmetic overflows, and the likeliest token has all the weight.
_MIN_TEMPERATURE = 1e-4
_MIN_TOP_P = 1e-6


class OpenvinoChat(TokenChat):
    """OpenVINO GenAI as an engine for chats. Options: `OpenvinoChatOptions`.

    A seed repeats its answer as far as rounding does: the library rounds differently with what else
    is in a batch and with where a cached prompt is taken up. Without prefix caching, lone requests
    repeat exactly.
    """

    def __init__(self) -> None:
        super().__init__(OpenvinoTokens())

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Do now what the first load would have to do. Raises `LoadError`."""
        chat_folder(spec, stage)


class OpenvinoTokens:
    """A `TokenEngine`: OpenVINO GenAI's pipeline."""

    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        model = chat_model(spec, stage)
        self._pipeline, self._eos = model.pipeline, model.eos
        self._free_blocks = model.kv_blocks
        self._leaving_blocks = 0
        self._requests: dict[str, _Request] = {}
        self._numbers = itertools.count()
        loaded = Loaded(device="cpu", context_tokens=model.context_tokens, detail=model.detail)
        return TokenModel(loaded, model.layout, model.eos, model.context_tokens)

    def begin(self, request: TokenRequest) -> bool:
        prompt, limit = request.prompt.tokens, request.limit
        # Reserved to the end: a pipeline whose cache runs out sets requests back, and some
        # releases abort there (github.com/openvinotoolkit/model_server/issues/4428).
        blocks = -(-(len(prompt) + limit) // BLOCK_TOKENS)
        if blocks > self._free_blocks:
            return False
        self._free_blocks -= blocks
        handle = self._pipeline.add_request(
            next(self._numbers),
            openvino.Tensor(np.array([prompt], dtype=np.int64)),
            _generation(request.sampling, limit, self._eos, request.grammar),
        )
        self._requests[request.id] = _Request(handle, blocks)
        return True

    def step(self) -> list[Written]:
        self._advance()
        return [_written(name, request.handle) for name, request in self._requests.items()]

    def drop(self, request_id: str) -> None:
        request = self._requests.pop(request_id, None)
        if request is None:
            return
        request.handle.cancel()
        self._leaving_blocks += request.blocks
        if not self._requests:
            self._advance()

    def close(self) -> None:
        del self._pipeline

    def _advance(self) -> None:
        """One step of the pipeline, which at its end frees what has been cancelled."""
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        self._free_blocks += self._leaving_blocks
        self._leaving_blocks = 0


class _Request(NamedTuple):
    """One request in the pipeline, and the ``blocks`` of its cache that are reserved for it."""

    handle: Any
    blocks: int


def _written(request_id: str, handle: Any) -> Written:
    """What the last step has brought."""
    tokens: list[int] = []
    finish: Finish | None = None
    while handle.can_read():
        for output in handle.read().values():
            tokens += output.generated_ids
            finish = _finish(output.finish_reason)
    if handle.get_status() == genai.GenerationStatus.IGNORED:
        full = OutOfMemory("the cache for running chats is full; try again later")
        return Written(request_id, error=full)
    return Written(request_id, tokens, finish)


def _generation(sampling: Sampling, max_tokens: int, eos: frozenset[int], grammar: Grammar) -> Any:
    config = genai.GenerationConfig()
    match grammar:
        case AnyText():
            pass
        case Rules():
            raise UnsupportedParameter("constrained answers are not built yet")
        case _:
            assert_never(grammar)
    config.apply_chat_template = False
    config.max_new_tokens = max_tokens
    config.min_new_tokens = min(sampling.min_tokens, max_tokens)
    config.ignore_eos = sampling.ignore_eos
    # The library keeps all of these from an answer that is shorter than `min_new_tokens`.
    config.stop_token_ids = {*eos, *sampling.stop_token_ids}
    config.presence_penalty = sampling.presence_penalty
    config.frequency_penalty = sampling.frequency_penalty
    config.repetition_penalty = sampling.repetition_penalty
    if _is_drawn(sampling):
        seed = random.getrandbits(32) if sampling.seed is None else sampling.seed
        config.do_sample = True
        config.temperature = sampling.temperature
        config.top_p = sampling.top_p
        config.min_p = sampling.min_p
        if sampling.top_k:
            config.top_k = sampling.top_k
        config.rng_seed = seed % 2**32  # the generator behind it takes 32 bits
    return config


def _is_drawn(sampling: Sampling) -> bool:
    """Whether any token but the likeliest may come. The library takes no ``min_p`` of 1."""
    return (
        sampling.temperature >= _MIN_TEMPERATURE
        and sampling.top_p >= _MIN_TOP_P
        and sampling.min_p < 1
    )


def _finish(reason: Any) -> Finish | None:
    if reason == genai.GenerationFinishReason.NONE:
        return None
    return "length" if reason == genai.GenerationFinishReason.LENGTH else "stop"
