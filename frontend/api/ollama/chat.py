"""POST /api/chat and /api/generate"""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.chats import Chats
from frontend.api.health import ANSWER_S
from frontend.api.ollama import errors
from frontend.api.ollama.answer import OllamaAnswer, Put, as_message, as_response
from frontend.api.ollama.chat_request import OllamaChatRequest, OllamaRequest
from frontend.api.ollama.generate_request import OllamaGenerateRequest
from frontend.api.ollama.names import known_as
from frontend.api.route import JSON, Services
from frontend.api.tokenizers import Tokenizers
from frontend.api.translated import chat_of
from frontend.api.validate import check
from frontend.api.writer import Writer
from frontend.dispatch.refusals import not_admitting
from frontend.http.body import read_json
from frontend.http.ndjson import MEDIA_TYPE
from frontend.http.request_context import RequestContext
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import TokenizeInput
from ipc.messages.spec import Spec
from ipc.messages.state import ModelState

# What a model is asked that is only to be loaded.
_NOTHING = TokenizeInput(texts=[""])


class OllamaChats:
    """What chat models answer Ollama's clients."""

    def __init__(self, its: Services) -> None:
        self._dispatcher = its.dispatcher
        self._control = its.control
        self._max_bytes = its.serve.max_json_bytes
        self._most_s = its.serve.keep_alive_max_s
        self._chats = Chats(its)
        self._tokenizers = Tokenizers(its.dispatcher)
        self._writer = Writer(its.dispatcher, its.serve, its.metrics)

    async def chat(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = check(OllamaChatRequest, body.data)
        context = self._kept(request, asked)
        if not asked.messages:
            return await self._loaded(request, asked, as_message)
        with errors.told_in_clients_words(errors.OF_A_MESSAGE):
            words = asked.chat_words(known_as(self._dispatcher, asked.model))
            face = OllamaAnswer(asked.model, as_message, lambda: context.load_s)
            return await self._chats.answer(
                request, chat_of(words, {}), body.size_bytes, lambda _: face
            )

    async def generate(self, request: Request) -> Response:
        body = await read_json(request, self._max_bytes)
        asked = check(OllamaGenerateRequest, body.data)
        asked.check_keys()
        context = self._kept(request, asked)
        if asked.is_empty:
            return await self._loaded(request, asked, as_response)
        face = OllamaAnswer(asked.model, as_response, lambda: context.load_s)
        with errors.told_in_clients_words(errors.OF_A_PROMPT):
            if asked.is_plain:
                return await self._plain(request, asked, body.size_bytes, face)
            words = asked.chat_words(known_as(self._dispatcher, asked.model))
            return await self._chats.answer(
                request, chat_of(words, {}), body.size_bytes, lambda _: face
            )

    async def _plain(
        self, request: Request, asked: OllamaGenerateRequest, size_bytes: int, face: OllamaAnswer
    ) -> Response:
        spec = self._named(request, asked)
        wanted = asked.to_input(spec)
        return await self._writer.answer(
            request, spec, wanted, size_bytes, face, stream=asked.streams
        )

    async def _loaded(self, request: Request, asked: OllamaRequest, put: Put) -> Response:
        """The answer to a request that only wants the model to be loaded, or kept for another time,
        which is until now where it is to be unloaded and does not stay. Raises the `ServeError` of
        one that cannot be."""
        spec = self._named(request, asked)
        state = self._dispatcher.state(spec.name)
        leaves = asked.keep_alive_s == 0 and not await self._stays(spec, state)
        error = None if leaves else not_admitting(state, spec)
        if error is not None:
            raise error
        is_in = state.state == "ready"
        if is_in if leaves else (not is_in or asked.keep_alive_s is not None):
            with suppress(InvalidRequest):  # one without a tokenizer is loaded by then
                await self._tokenizers.ask(request, spec, _NOTHING, 0)
        face = OllamaAnswer(asked.model, put)
        media_type = MEDIA_TYPE if asked.streams else JSON
        return Response(face.nothing("unload" if leaves else "load"), media_type=media_type)

    async def _stays(self, spec: Spec, state: ModelState) -> bool:
        """Whether it is in memory, or comes there, and does not leave for a client."""
        if state.state in ("unloaded", "stopped"):
            return False
        if spec.load != "on_demand":
            return True
        report = await self._control.health(ANSWER_S) or {"models": []}
        found = [model for model in report["models"] if model["name"] == spec.name]
        return any(model.get("pinned") for model in found)

    def _kept(self, request: Request, asked: OllamaRequest) -> RequestContext:
        context = RequestContext.of(request.scope)
        context.keeps(asked.keep_alive_s, self._most_s)
        return context

    def _named(self, request: Request, asked: OllamaRequest) -> Spec:
        spec = self._dispatcher.spec(known_as(self._dispatcher, asked.model), "chat")
        RequestContext.of(request.scope).names(spec)
        return spec
