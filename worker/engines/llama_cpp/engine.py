"""Chat on llama.cpp: for GGUF files that OpenVINO cannot read, and where it has no build.

llama.cpp's server batches continuously on a thread of its own. It is asked here by calls, without
HTTP: each request blocks a thread that holds no GIL and hands the stream's pieces to the step.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

from ipc.messages.errors import InternalError
from ipc.messages.events import Done, Event
from ipc.messages.jobs import Job, Message
from ipc.messages.spec import Loaded, Spec
from worker.chat.prompt import Part, chat_of, no_prompt
from worker.engine import Engine, Stage
from worker.engines.common.arrivals import Arrivals
from worker.engines.llama_cpp.answer import Answer, request_body
from worker.engines.llama_cpp.load import llama_model

# How long a step waits for news, and so at most a new job or a cancellation for the step.
_STEP_S = 0.02

# A piece of the stream, the exception that ended it, or None at its end.
_News = bytes | Exception | None


class LlamaChat(Engine):
    """llama.cpp as an engine. Options: `ChatOptions`.

    A dropped request leaves llama.cpp with the next piece of its stream: a token, or a batch of its
    prompt. Until then it keeps its thread and its share of the cache.
    """

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._spec = spec
        model = llama_model(spec, stage)
        self._server, self._context_tokens = model.server, model.context_tokens
        self._kv_tokens = model.kv_tokens
        self._layout, self._bos = model.layout, model.bos
        self._prefix_caching = model.options.prefix_caching
        # Twice as many threads as slots, for those that are leaving.
        self._threads = ThreadPoolExecutor(2 * spec.slots, thread_name_prefix="request")
        self._news: Arrivals[tuple[Answer, _News]] = Arrivals(_STEP_S)
        self._answers: dict[str, Answer] = {}
        self._inside: dict[Answer, Future[None]] = {}  # all that llama.cpp has, dropped ones too
        self._heard_at = 0.0
        return Loaded(
            device="cpu",
            context_tokens=self._context_tokens,
            detail=f"KV cache of {model.kv_tokens} tokens",
        )

    def admit(self, job: Job) -> bool:
        if len(self._answers) >= self._spec.slots:
            return False
        asked = chat_of(job.input, self._spec)
        sampling, prompt = asked.sampling, self._prompt(asked.messages)
        body = request_body(
            sampling, prompt, self._context_tokens, prefix_caching=self._prefix_caching
        )
        answer = Answer(
            job.id,
            asked,
            prompt,
            self._spec,
            context_tokens=self._context_tokens,
            prompts=self._layout,
        )
        # A cache that runs out would end all running answers.
        held = sum(other.tokens for other in self._inside)
        if held + answer.tokens > self._kv_tokens:
            return False
        if not self._inside:
            self._heard_at = time.monotonic()
        self._answers[job.id] = answer
        self._inside[answer] = self._threads.submit(self._ask, answer, body)
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._inside else None

    def step(self) -> list[Event]:
        """Everything that has come, waiting a moment for the first of it.

        Raises `RuntimeError` where nothing has come for ``spec.stall_s``.
        """
        arrived = self._news.drain()
        if arrived:
            self._heard_at = time.monotonic()
        events = [event for answer, news in arrived for event in self._read(answer, news)]
        self._check_silence()
        return events

    def drop(self, job_id: str) -> None:
        answer = self._answers.pop(job_id, None)
        if answer is not None:
            answer.is_over = True
            if self._inside[answer].cancel():  # it was still waiting for a thread
                del self._inside[answer]

    def close(self) -> None:
        for job_id in tuple(self._answers):
            self.drop(job_id)
        self._threads.shutdown()
        del self._server

    def _prompt(self, messages: list[Message]) -> list[Part]:
        prompt = self._layout.unforgeable_parts(messages)
        if not prompt:
            raise no_prompt()
        if self._bos is not None and prompt[0] != self._bos:
            prompt = [self._bos, *prompt]
        return prompt

    def _read(self, answer: Answer, news: _News) -> list[Event]:
        if isinstance(news, bytes):
            events = answer.feed(news)
            gone = any(isinstance(event, Done) for event in events)  # only the stream's end follows
        else:
            events, gone = answer.fail(_ending(news)), True
        if gone:
            self._inside.pop(answer, None)
        if answer.is_over and self._answers.get(answer.job_id) is answer:
            del self._answers[answer.job_id]
        return events

    def _check_silence(self) -> None:
        silent_s = time.monotonic() - self._heard_at
        if self._inside and silent_s > self._spec.stall_s:
            raise RuntimeError(f"llama.cpp has said nothing for {silent_s:.0f} s")

    # --- on a thread of the request ---

    def _ask(self, answer: Answer, body: bytes) -> None:
        def on_piece(piece: bytes) -> bool:
            """True ends the request."""
            self._news.put((answer, piece))
            return answer.is_over

        try:
            self._server.handle_completions(body, on_piece)
            self._news.put((answer, None))
        except Exception as error:
            self._news.put((answer, error))


def _ending(error: Exception | None) -> InternalError:
    """What a stream's end means for an answer that was not over."""
    if error is None:
        return InternalError("llama.cpp stopped in the middle of its answer")
    return InternalError(f"llama.cpp failed: {' '.join(str(error).split())}")
