"""Chat on OpenVINO GenAI: its pipeline batches requests continuously, one step at a time."""

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai

from ipc.messages.errors import InvalidRequest, OutOfMemory
from ipc.messages.events import Event, Failed, Finish
from ipc.messages.jobs import ChatInput, Job, Sampling
from ipc.messages.spec import Loaded, Spec
from worker.chat.generation import Generation
from worker.chat.prompt_limits import no_room, too_long
from worker.engine import Stage
from worker.engines.openvino_chat.load import BLOCK_TOKENS, chat_folder, chat_model

# Below these the library's arithmetic overflows, and the likeliest token has all the weight.
_MIN_TEMPERATURE = 1e-4
_MIN_TOP_P = 1e-6


class OpenvinoChat:
    """An `Engine`. Options: ``kv_cache_tokens``, how many tokens all running chats may have
    together; ``precision`` of the arithmetic (f32, bf16, f16); ``prefix_caching`` (on).

    A seed repeats its answer as far as rounding does: the library rounds differently with what else
    is in a batch and with where a cached prompt is taken up. Without prefix caching, lone requests
    repeat exactly.
    """

    def prepare(self, spec: Spec, stage: Stage) -> None:
        """Do now what the first load would have to do. Raises `LoadError`."""
        chat_folder(spec, stage)

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._spec = spec
        loaded = chat_model(spec, stage)
        self._pipeline, self._vocabulary, self._layout, self._eos = loaded[:4]
        self._context_tokens, self._free_blocks = loaded.context_tokens, loaded.kv_blocks
        self._leaving_blocks = 0
        self._answers: dict[str, _Answer] = {}
        self._numbers = itertools.count()
        return Loaded(device="cpu", context_tokens=self._context_tokens, detail=loaded.detail)

    def admit(self, job: Job) -> bool:
        if len(self._answers) >= self._spec.slots:
            return False
        if not isinstance(job.input, ChatInput):
            raise InvalidRequest(f"model {self._spec.name} answers chat requests only")
        prompt = self._layout.tokens(job.input.messages)
        prompt_tokens = len(prompt)
        sampling = job.input.sampling
        max_tokens = min(sampling.max_tokens, self._room(prompt_tokens))
        # Reserved to the end: a pipeline whose cache runs out sets requests back, and some
        # releases abort there (github.com/openvinotoolkit/model_server/issues/4428).
        blocks = -(-(prompt_tokens + max_tokens) // BLOCK_TOKENS)
        if blocks > self._free_blocks:
            return False
        self._free_blocks -= blocks
        self._answers[job.id] = _Answer(
            handle=self._pipeline.add_request(
                next(self._numbers),
                openvino.Tensor(np.array([prompt], dtype=np.int64)),
                _generation(sampling, max_tokens, self._eos),
            ),
            blocks=blocks,
            generation=Generation(
                job.id,
                sampling,
                prompt_tokens=prompt_tokens,
                limit=max_tokens,
                vocabulary=self._vocabulary,
                ends=self._eos,
            ),
        )
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._answers else None

    def step(self) -> list[Event]:
        if not self._answers:
            return []
        self._advance()
        events: list[Event] = []
        for answer in tuple(self._answers.values()):
            events += answer.read()
            if answer.ended:
                self.drop(answer.job_id)
        return events

    def drop(self, job_id: str) -> None:
        answer = self._answers.pop(job_id, None)
        if answer is None:
            return
        answer.handle.cancel()
        self._leaving_blocks += answer.blocks
        if not self._answers:
            self._advance()

    def close(self) -> None:
        for job_id in tuple(self._answers):
            self.drop(job_id)
        del self._pipeline, self._layout, self._vocabulary

    def _advance(self) -> None:
        """One step of the pipeline, which at its end frees what has been cancelled."""
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        self._free_blocks += self._leaving_blocks
        self._leaving_blocks = 0

    def _room(self, prompt_tokens: int) -> int:
        """How many tokens an answer to such a prompt may have, at least one."""
        if prompt_tokens > self._spec.max_prompt_tokens:
            raise too_long(prompt_tokens, self._spec.max_prompt_tokens)
        room = self._context_tokens - prompt_tokens
        if room < 1:
            raise no_room(prompt_tokens, self._context_tokens)
        return room


class _Answer:
    """One request in the pipeline, and its answer as far as it is written."""

    def __init__(self, *, handle: Any, blocks: int, generation: Generation) -> None:
        self.job_id = generation.job_id
        self.handle = handle
        self.blocks = blocks
        self.ended = False
        self._generation = generation

    def read(self) -> list[Event]:
        """What the last step has brought."""
        tokens: list[int] = []
        finish: Finish | None = None
        while self.handle.can_read():
            for output in self.handle.read().values():
                tokens += output.generated_ids
                finish = _finish(output.finish_reason)
        if self.handle.get_status() == genai.GenerationStatus.IGNORED:
            return [self._out_of_memory()]
        events = self._generation.push(tokens, finish)
        self.ended = self._generation.ended
        return events

    def _out_of_memory(self) -> Event:
        self.ended = True
        error = OutOfMemory("the cache for running chats is full; try again later")
        return Failed(job=self.job_id, error=error.info())


def _generation(sampling: Sampling, max_tokens: int, eos: frozenset[int]) -> Any:
    config = genai.GenerationConfig()
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
