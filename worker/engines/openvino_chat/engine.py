"""Chat on OpenVINO GenAI: its pipeline batches requests continuously, one step at a time."""

from __future__ import annotations

import itertools
import random
from collections import deque
from typing import Any, NamedTuple, assert_never

import numpy as np
import openvino
import openvino_genai as genai

from ipc.grammar.rules import Rules
from ipc.messages.errors import OutOfMemory, ServeError
from ipc.messages.events import Finish, TokenLogprob
from ipc.messages.jobs import Sampling
from ipc.messages.spec import Loaded, Spec
from worker.apart import Apart
from worker.chat.engine import TokenChat
from worker.chat.grammar import AnyText
from worker.chat.prompt import Prompt
from worker.chat.token_engine import TokenModel, TokenRequest, Written
from worker.chat.vocabulary import Vocabulary
from worker.engine import Stage
from worker.engines.common.mapped import give_back_pages
from worker.engines.openvino_chat.grammars import Grammars, structured
from worker.engines.openvino_chat.guesses import SAME_TOKENS
from worker.engines.openvino_chat.load import BLOCK_TOKENS, chat_folder, chat_model

# Below these the library's arithmetic overflows, and the likeliest token has all the weight.
_MIN_TEMPERATURE = 1e-4
_MIN_TOP_P = 1e-6

# A prompt as the pipeline takes it: token ids, or a text and images.
_Given = tuple[Any, ...]


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
        self._guesses = model.guesses
        self._marks = model.texts.marks
        self._vocabulary = model.texts.layout.vocabulary
        self._requests: dict[str, _Request] = {}
        self._grammars = Grammars(model.texts.tokenizer, model.texts.tokens, model.eos)
        self._compiling: Apart[str] = Apart("grammars")
        self._bound: deque[_Bound] = deque()  # not in the pipeline yet
        self._fresh: set[str] = set()  # there with a grammar, and without a token
        self._numbers = itertools.count()
        loaded = Loaded(device="cpu", context_tokens=model.context_tokens, detail=model.detail)
        self._run_once()
        give_back_pages(model.folder)  # weights lie by now as the products want them
        # xgrammar is given the text of every token, and so a control token may stand for its own.
        return TokenModel(
            loaded,
            model.texts.layout,
            model.eos,
            model.context_tokens,
            prompts_apart=self._marks is not None,  # an image may take seconds to decode
            keeps_prefixes=model.keeps_prefixes,
            spells_control=True,
        )

    def _run_once(self) -> None:
        """The library makes what its pipelines share of grammars at the first request."""
        config = self._generation(Sampling(max_tokens=1, temperature=0.0), 1)
        prompt, *_ = self._given(Prompt([0]))
        self._pipeline.generate([prompt], [config])

    def _generation(self, sampling: Sampling, limit: int, grammar: str | None = None) -> Any:
        config = _generation(sampling, limit, self._eos, grammar)
        if self._guesses:
            config.num_assistant_tokens, config.max_ngram_size = self._guesses, SAME_TOKENS
        return config

    def _given(self, prompt: Prompt) -> _Given:
        """``prompt`` as the pipeline takes it. Raises `InvalidRequest`."""
        if self._marks is None:
            return (openvino.Tensor(np.array([prompt.tokens], dtype=np.int64)),)
        return self._marks.written(prompt)

    @property
    def worn(self) -> str:
        return self._grammars.worn

    def begin(self, request: TokenRequest) -> bool:
        given = self._given(request.prompt)
        # Reserved to the end: a pipeline whose cache runs out sets requests back, and some
        # releases abort there (github.com/openvinotoolkit/model_server/issues/4428).
        tokens = len(request.prompt.tokens) + request.limit + self._guesses
        blocks = -(-tokens // BLOCK_TOKENS)
        if blocks > self._free_blocks:
            return False
        self._free_blocks -= blocks
        told = request.sampling.logprobs is not None
        self._requests[request.id] = _Request(blocks, told)
        match request.grammar:
            case AnyText():
                self._add(request, given)
            case Rules():
                self._bound.append(_Bound(request, request.grammar, given))
            case _:
                assert_never(request.grammar)
        return True

    def step(self) -> list[Written]:
        written = self._add_bound()
        self._compile_next()
        self._advance()
        for name, request in self._requests.items():
            if request.handle is not None:
                written.append(_written(name, request, self._vocabulary))
                if written[-1].tokens:
                    self._fresh.discard(name)
        return written

    def drop(self, request_id: str) -> None:
        request = self._requests.pop(request_id, None)
        if request is None:
            return
        if request.handle is None:
            self._compiling.drop(request_id)
            self._bound = deque(one for one in self._bound if one.request.id != request_id)
            self._free_blocks += request.blocks
            return
        request.handle.cancel()
        self._leaving_blocks += request.blocks
        if not self._requests:
            self._advance()

    def close(self) -> None:
        self._compiling.close()
        del self._grammars, self._pipeline

    def _add(self, request: TokenRequest, given: _Given, grammar: str | None = None) -> None:
        """Images are read here and now, by the library's own threads."""
        config = self._generation(request.sampling, request.limit, grammar)
        # No more than was reserved: the library refuses a prompt that is longer.
        config.max_length = len(request.prompt.tokens) + 1
        handle = self._pipeline.add_request(next(self._numbers), *given, config)
        self._requests[request.id] = self._requests[request.id]._replace(handle=handle)

    def _add_bound(self) -> list[Written]:
        """Add the request whose grammar is compiled by now; returns what has gone wrong with it.
        Waits a little where there is nothing else to do."""
        failed: list[Written] = []
        idle = all(request.handle is None for request in self._requests.values())
        for request_id, found in self._compiling.ready(wait_a_little=idle):
            request, _, given = self._bound.popleft()
            if isinstance(found, ServeError):
                self._free_blocks += self._requests.pop(request_id).blocks
                failed.append(Written(request_id, error=found))
            else:
                self._fresh.add(request_id)
                self._add(request, given, found)
        return failed

    def _compile_next(self) -> None:
        """Compile the next grammar, unless the pipeline is about to look up one."""
        if self._bound and not self._compiling and not self._fresh:
            request, rules, _ = self._bound[0]
            self._compiling.begin(request.id, lambda: self._grammars.compile(rules))

    def _advance(self) -> None:
        """One step of the pipeline, which at its end frees what has been cancelled."""
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        self._free_blocks += self._leaving_blocks
        self._leaving_blocks = 0
        self._fresh &= self._requests.keys()


class _Bound(NamedTuple):
    """A request that waits for its grammar."""

    request: TokenRequest
    rules: Rules
    given: _Given


class _Request(NamedTuple):
    """One request: the ``blocks`` of the pipeline's cache that are reserved for it, and whether its
    log probabilities are told. It has a ``handle`` once it is in the pipeline."""

    blocks: int
    told: bool
    handle: Any = None


def _written(request_id: str, request: _Request, vocabulary: Vocabulary) -> Written:
    """What the last step has brought."""
    tokens: list[int] = []
    logprobs: list[TokenLogprob] = []
    finish: Finish | None = None
    handle = request.handle
    while handle.can_read():
        for output in handle.read().values():
            tokens += output.generated_ids
            finish = _finish(output.finish_reason)
            if request.told:
                logprobs += [
                    TokenLogprob(token, vocabulary.text_bytes(token), logprob)
                    for token, logprob in zip(
                        output.generated_ids, output.generated_log_probs, strict=True
                    )
                ]
    if handle.get_status() == genai.GenerationStatus.IGNORED:
        full = OutOfMemory("the cache for running chats is full; try again later")
        return Written(request_id, error=full)
    # The library tells of no guess that was wrong.
    right = max(0, len(tokens) - 1)
    told = logprobs if request.told else None
    return Written(request_id, tokens, finish, logprobs=told, guessed=right, accepted=right)


def _generation(
    sampling: Sampling, max_tokens: int, eos: frozenset[int], grammar: str | None
) -> Any:
    config = genai.GenerationConfig()
    if grammar is not None:
        config.structured_output_config = structured(grammar)
    if sampling.logprobs is not None:
        config.logprobs = 1  # of the token picked: the library tells no others
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
