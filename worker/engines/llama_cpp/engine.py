"""Chat on llama.cpp: for GGUF files that OpenVINO cannot read, and where it has no build.

llama.cpp's server batches continuously on a thread of its own. It is asked here by calls, without
HTTP: each request blocks a thread that holds no GIL and hands the stream's pieces to the step.
"""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ipc.messages.errors import UnsupportedParameter
from ipc.messages.events import Event
from ipc.messages.spec import Loaded, Spec
from worker.chat.engine import TokenChat
from worker.chat.token_engine import TokenModel, TokenRequest, Written
from worker.engine import Stage
from worker.engines.common.arrivals import Arrivals
from worker.engines.common.silence import Silence
from worker.engines.llama_cpp.load import llama_model
from worker.engines.llama_cpp.request import request_body
from worker.engines.llama_cpp.stream import AnswerStream

# How long a step waits for news, and so at most a new job or a cancellation for the step.
_STEP_S = 0.02

# A piece of the stream, the exception that ended it, or None at its end.
_News = bytes | Exception | None


class LlamaChat(TokenChat):
    """llama.cpp as an engine for chats. Options: `LlamaChatOptions`."""

    def __init__(self) -> None:
        self._llama = LlamaTokens()
        super().__init__(self._llama)

    def step(self) -> list[Event]:
        """As `TokenChat.step`. Raises `RuntimeError` where llama.cpp has said nothing for
        ``spec.stall_s`` in which it had a processor."""
        events = super().step()
        self._llama.check_silence()
        return events


class LlamaTokens:
    """A `TokenEngine`: llama.cpp's server, which makes the text itself.

    A dropped request leaves llama.cpp with the next piece of its stream: a token, or a batch of its
    prompt. Until then it keeps its thread and its share of the cache.
    """

    worn = ""

    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        self._spec = spec
        self._model = model = llama_model(spec, stage)
        # Twice as many threads as slots, for those that are leaving.
        self._threads = ThreadPoolExecutor(2 * spec.slots, thread_name_prefix="request")
        self._news: Arrivals[tuple[_Asked, _News]] = Arrivals(_STEP_S)
        self._asked: dict[str, _Asked] = {}
        self._inside: dict[_Asked, Future[None]] = {}  # all that llama.cpp has, dropped ones too
        self._silence = Silence()
        loaded = Loaded(
            device="cpu",
            context_tokens=model.context_tokens,
            detail=f"KV cache of {model.kv_tokens} tokens in {model.options.kv_cache_type}",
        )
        return TokenModel(
            loaded,
            model.layout,
            frozenset(),
            model.context_tokens,
            prompts_apart=True,
            keeps_prefixes=model.options.prefix_caching,
        )

    def begin(self, request: TokenRequest) -> bool:
        self._check(request)
        body = request_body(
            request,
            self._model.context_tokens,
            prefix_caching=self._model.options.prefix_caching,
        )
        if not self._has_room(request):
            self._let_one_leave()
            return False
        if not self._inside:
            self._silence.hear()
        asked = self._asked[request.id] = _Asked(request, is_native=self._model.sees)
        future = self._inside[asked] = self._threads.submit(self._ask, asked, body)
        future.add_done_callback(lambda _: self._inside.pop(asked))
        return True

    def step(self) -> list[Written]:
        """Everything that has come, waiting a moment for the first of it."""
        return [
            written
            for asked, news in self._news.drain()
            if (written := asked.read(news)) is not None
        ]

    def drop(self, request_id: str) -> None:
        asked = self._asked.pop(request_id, None)
        if asked is not None:
            asked.is_over = True
            if (future := self._inside.get(asked)) is not None:
                future.cancel()  # where it still waits for a thread

    def check_silence(self) -> None:
        silent_s = self._silence.seconds()
        if self._inside and silent_s > self._spec.stall_s:
            raise RuntimeError(f"llama.cpp has said nothing for {silent_s:.0f} s")

    def close(self) -> None:
        for request_id in tuple(self._asked):
            self.drop(request_id)
        self._threads.shutdown()
        self._model.place.close()
        del self._model

    def _check(self, request: TokenRequest) -> None:
        """Raises `UnsupportedParameter`."""
        if self._model.options.prompt_lookup and request.sampling.logprobs is not None:
            raise UnsupportedParameter(
                "engine llama.cpp tells no log probabilities where a model has the option "
                "prompt_lookup; leave logprobs out, or take that option out of the model's entry",
                param="logprobs",
            )
        for token in request.sampling.stop_token_ids:
            data = self._model.layout.vocabulary.text_bytes(token)
            if data.decode(errors="ignore").encode() != data:
                raise UnsupportedParameter(
                    f"stop_token_ids names {token}, which is only a part of characters; engine "
                    "llama.cpp tells whole ones",
                    param="stop_token_ids",
                )

    def _has_room(self, request: TokenRequest) -> bool:
        """A cache that runs out would end all running answers."""
        held = sum(asked.tokens for asked in list(self._inside))
        return held + _most_tokens(request) <= self._model.kv_tokens

    def _let_one_leave(self) -> None:
        """Wait a moment, where nothing else is done meanwhile."""
        if not self._asked:
            wait(list(self._inside.values()), timeout=_STEP_S, return_when=FIRST_COMPLETED)

    # --- on a thread of the request ---

    def _ask(self, asked: _Asked, body: bytes) -> None:
        def on_piece(piece: bytes) -> bool:
            """True ends the request."""
            self._hear(asked, piece)
            return asked.is_over

        try:
            if self._model.sees:
                self._model.place.stream("/completion", body, on_piece)
            else:
                self._model.server.handle_completions(body, on_piece)
            self._hear(asked, None)
        except Exception as error:
            self._hear(asked, error)

    def _hear(self, asked: _Asked, news: _News) -> None:
        self._silence.hear()
        self._news.put((asked, news))


class _Asked:
    """A request in llama.cpp, and the ``tokens`` of the cache that are reserved for it. It
    ``is_over`` when nobody waits for more of it."""

    def __init__(self, request: TokenRequest, *, is_native: bool) -> None:
        self.tokens = _most_tokens(request)
        self.is_over = False
        self._stream = AnswerStream(request, is_native=is_native)

    def read(self, news: _News) -> Written | None:
        if self.is_over:
            return None
        if isinstance(news, bytes):
            return self._stream.read(news)
        return self._stream.broken(news)


def _most_tokens(request: TokenRequest) -> int:
    return len(request.prompt.tokens) + request.limit
