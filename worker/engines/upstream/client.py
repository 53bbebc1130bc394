"""An OpenAI-compatible server elsewhere, as coroutines: each job is one request to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
import msgspec

from ipc.engine_options import RemoteOptions
from ipc.messages.errors import (
    InternalError,
    InvalidRequest,
    ServeError,
    Unavailable,
    UnsupportedParameter,
    WorkerCrashed,
)
from ipc.messages.events import (
    ChatResult,
    Delta,
    EmbedResult,
    Piece,
    RerankResult,
    Result,
    SpeakResult,
    SpeechResult,
)
from ipc.messages.jobs import ChatInput, EmbedInput, Job, RerankInput, SpeakInput, SpeechInput
from ipc.messages.spec import Spec, Voice
from worker.engine import LoadError
from worker.engines.common.server_errors import refusal
from worker.engines.upstream import speak, speech, text
from worker.engines.upstream.answer import ChatAnswer
from worker.engines.upstream.chat import chat_body
from worker.engines.upstream.completions import completion
from worker.engines.upstream.events import EventReader, StreamEvent
from worker.engines.upstream.servers import ANY, Server

# For the answer to a question that costs an upstream nothing.
PROBE_S = 10.0
# Less than the 5 s after which common servers drop an idle connection: no request meets that.
KEEPALIVE_S = 3.0
# A finished answer's connection gets this long to end as well, so that it can be used again.
TAIL_S = 1.0
# From the last of a text to the counts of its tokens and the mark of the end, which may never come.
COUNTS_S = 5.0
MAX_BODY_BYTES = 256 << 20
# Lists of models and reports of health.
MAX_FACTS_BYTES = 16 << 20

# Gets pieces that belong together: what one event has brought.
OnPieces = Callable[[Sequence[Piece]], None]


class Upstream:
    """One server and the one of its models that is asked.

    All coroutines raise a `ServeError` that says what it means for the job, or what httpx2 raises
    where the connection fails: see `as_ours`.
    """

    def __init__(self, spec: Spec, options: RemoteOptions, url: str) -> None:
        """The one at ``url``. Raises `LoadError`."""
        try:
            self._client = _client(spec, options, url)
        except (OSError, ValueError, httpx2.InvalidURL) as error:
            raise LoadError(f"options of {spec.name}: {error}") from error
        self.model = spec.name
        self.server: Server = ANY
        self.vocabulary: bytes | None = None  # of one that goes on where others have left off
        self.names_tokens = False  # so that another can go on, in its vocabulary
        address = self._client.base_url
        self.where = f"{address.host}:{address.port}" if address.port else address.host
        self._brief = False  # it gives transcripts in brief only

    async def models(self) -> list[text.Listed]:
        """What it lists; nothing where it has no such list."""
        response, content = await self._fetched("models")
        if response.status_code in (404, 405):
            return []
        if not response.is_success:
            raise _refusal(response, content)
        return text.listed(content)

    async def voices(self) -> list[Voice]:
        """Those of its model, if it lists any."""
        response, content = await self._fetched("audio/voices")
        return speak.voices(content, self.model) if response.is_success else []

    async def told(self, path: str) -> dict[str, Any]:
        """The JSON object that ``path`` of the server, outside ``base_url``, answers with; an empty
        one where there is none."""
        response, content = await self._fetched(path)
        try:
            found = msgspec.json.decode(content) if response.is_success else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    async def tokenized(self, text: str) -> bytes | None:
        """A digest of what its tokenizer makes of ``text``, names of control tokens included; None
        where it does not say."""
        asked = {"model": self.model, "content": text}
        try:
            async with asyncio.timeout(PROBE_S):
                answer = await self._post("/tokenize", json=asked)
            tokens = msgspec.json.decode(answer)["tokens"]
        except (ServeError, ValueError, RecursionError, TypeError, KeyError):
            return None
        return hashlib.sha256(msgspec.json.encode(tokens)).digest()

    async def healthy(self, path: str) -> bool:
        """Whether ``path`` of the server, outside ``base_url``, is answered without an error of
        its own; one that has no such path is."""
        response, _ = await self._fetched(path)
        return response.status_code < 500

    async def answer(self, job: Job, on_pieces: OnPieces) -> Result:
        """The result of ``job``, what comes before it given to ``on_pieces``."""
        match job.input:
            case ChatInput() as asked:
                return await self._chat(job, asked, on_pieces)
            case EmbedInput() as asked:
                return await self.embed(asked)
            case RerankInput() as asked:
                return await self._rerank(asked)
            case SpeechInput() as asked:
                return await self._transcribe(job.id, asked, on_pieces)
            case SpeakInput() as asked:
                return await self._speak(job.id, asked, on_pieces)
            case _:
                raise InternalError(f"no request to another server is known for {type(job.input)}")

    async def close(self) -> None:
        await self._client.aclose()

    async def _chat(self, job: Job, asked: ChatInput, on_pieces: OnPieces) -> ChatResult:
        written = job.written if self.names_tokens and not asked.prompts else None
        path, body = self._request(asked, written)
        answer = ChatAnswer(job.id, asked, self.server, written)
        async with self._asked(path, json=body) as response:
            try:
                async with asyncio.timeout(None) as limit:
                    async for event in _events(response):
                        if pieces := answer.feed(event):
                            on_pieces(pieces)
                        if answer.whole:
                            limit.reschedule(_in(TAIL_S if answer.ended else COUNTS_S))
            except (TimeoutError, httpx2.HTTPError):
                if not answer.whole:
                    raise
        if answer.whole and (pieces := answer.close()):
            on_pieces(pieces)
        return answer.result()

    def _request(
        self, asked: ChatInput, written: Mapping[int, Sequence[int]] | None
    ) -> tuple[str, dict[str, Any]]:
        if asked.prompts:
            return completion(asked, self.model, self.server)
        return "chat/completions", chat_body(asked, self.model, self.server, written)

    async def embed(self, asked: EmbedInput) -> EmbedResult:
        answer = await self._post("embeddings", json=text.embed_body(asked, self.model))
        return text.embed_result(answer, asked)

    async def _rerank(self, asked: RerankInput) -> RerankResult:
        answer = await self._post("rerank", json=text.rerank_body(asked, self.model))
        return text.rerank_result(answer, len(asked.documents))

    async def _transcribe(
        self, job_id: str, asked: SpeechInput, on_pieces: OnPieces
    ) -> SpeechResult:
        result = await self._transcript(asked)
        if result.text:
            on_pieces([Delta(job_id, result.text, max(1, result.usage.completion_tokens))])
        return result

    async def _transcript(self, asked: SpeechInput) -> SpeechResult:
        """Verbosely; in brief from a server that refuses to be verbose."""
        if not self._brief:
            try:
                return await self._send_audio(asked, verbose=True)
            except InvalidRequest as error:
                if "verbose_json" not in error.message and error.param != "response_format":
                    raise
            self._brief = True
        if asked.word_times:
            raise UnsupportedParameter(
                "this model gives no word times", param="timestamp_granularities"
            )
        return await self._send_audio(asked, verbose=False)

    async def _send_audio(self, asked: SpeechInput, *, verbose: bool) -> SpeechResult:
        audio = asked.audio.data
        answer = await self._post(
            "audio/translations" if asked.translate else "audio/transcriptions",
            data=speech.speech_form(asked, self.model, verbose=verbose),
            files={"file": (speech.file_name(audio), audio)},
        )
        return speech.speech_result(answer, asked)

    async def _speak(self, job_id: str, asked: SpeakInput, on_pieces: OnPieces) -> SpeakResult:
        sound = speak.Sound(job_id, asked)
        body = speak.speak_body(asked, self.model)
        async with self._asked("audio/speech", json=body) as response:
            async for data in response.aiter_bytes():
                if piece := sound.feed(data):
                    on_pieces([piece])
        if piece := sound.end():
            on_pieces([piece])
        return sound.result()

    async def _fetched(self, path: str) -> tuple[httpx2.Response, bytes]:
        """What ``path`` answers with, within `PROBE_S`, and its body."""
        request = self._client.build_request("GET", self._client.base_url.join(path))
        async with asyncio.timeout(PROBE_S):
            response = await self._client.send(request, stream=True)
            async with aclosing(response):
                return response, await _read(response, MAX_FACTS_BYTES)

    async def _post(self, path: str, **content: Any) -> bytes:
        async with self._asked(path, **content) as response:
            return await _read(response)

    @asynccontextmanager
    async def _asked(self, path: str, **content: Any) -> AsyncIterator[httpx2.Response]:
        """An answer that has begun well. Raises the `ServeError` that any other means."""
        try:
            response = await self._send(path, content)
        except (httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError):
            # Perhaps a connection that the server closed for its idleness just then: RFC 9112,
            # 9.3.1. Nothing of an answer has come, so the job may be sent a second time.
            response = await self._send(path, content)
        async with aclosing(response):
            if not response.is_success:
                raise _refusal(response, await _read(response))
            yield response

    async def _send(self, path: str, content: dict[str, Any]) -> httpx2.Response:
        request = self._client.build_request("POST", self._client.base_url.join(path), **content)
        return await self._client.send(request, stream=True)


def _client(spec: Spec, options: RemoteOptions, url: str) -> httpx2.AsyncClient:
    verify = options.verify
    context = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    return httpx2.AsyncClient(
        base_url=url,
        headers=_authorization(options.api_key_env),
        verify=context,
        # The job's deadline bounds an answer, however slowly it comes: the loop drops it then.
        timeout=httpx2.Timeout(None, connect=options.connect_timeout_s),
        limits=httpx2.Limits(
            max_connections=None,
            max_keepalive_connections=spec.slots,
            keepalive_expiry=KEEPALIVE_S,
        ),
        trust_env=False,
    )


def _authorization(variable: str | None) -> dict[str, str]:
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise LoadError(f"options.api_key_env names {variable}, which is not set; set it to a key")
    return {"Authorization": f"Bearer {key}"}


def _refusal(response: httpx2.Response, body: bytes) -> ServeError:
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    if key:  # a proxy's error page may show the request
        body = body.replace(key.encode(), b"***")
    said = response.headers
    return refusal(response.status_code, body, said.get("retry-after"), said.get("x-should-retry"))


def _in(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def _events(response: httpx2.Response) -> AsyncIterator[StreamEvent]:
    reader = EventReader()
    async for data in response.aiter_bytes():
        for event in reader.feed(data):
            yield event
    for event in reader.end():
        yield event


async def _read(response: httpx2.Response, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most_bytes:
            raise InternalError("the upstream's answer is larger than any answer should be")
        parts.append(part)
    return b"".join(parts)


def as_ours(error: Exception) -> ServeError:
    """What a failure to ask means for the job whose request it ends."""
    if isinstance(error, ServeError):
        return error
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Unavailable("the server behind this model cannot be reached", retry_after_s=5.0)
    if isinstance(error, httpx2.HTTPError | TimeoutError):
        return WorkerCrashed(
            "the connection to the server behind this model broke", retry_after_s=1.0
        )
    return InternalError("the server behind this model could not be asked")
