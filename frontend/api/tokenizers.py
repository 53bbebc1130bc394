"""What a chat model's tokenizer is asked, whatever API asks."""

from __future__ import annotations

from starlette.requests import Request

from frontend.api.images import Remote, refuse_uncounted
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.submission import result_of
from frontend.dispatch.dispatcher import Dispatcher
from frontend.http.request_context import RequestContext
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import TokenizeResult
from ipc.messages.jobs import TokenizeInput
from ipc.messages.spec import Spec


class Tokenizers:
    """The tokenizers of chat models."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def of(self, request: Request, name: str | None) -> Spec:
        """The model ``name``, or the only one where there is no name. Raises `ModelNotFound`, or
        `InvalidRequest` for one that has no tokenizer of its own."""
        spec = self._dispatcher.spec(name or self._dispatcher.only("chat").name, "chat")
        RequestContext.of(request.scope).names(spec)
        loaded = self._dispatcher.state(spec.name).loaded
        if loaded is not None and not loaded.tokenizes:
            raise InvalidRequest(
                f"model {spec.name} cannot be asked for tokens: its engine, {spec.engine}, has no "
                "tokenizer of its own",
                param="model",
            )
        return spec

    async def count(self, request: Request, spec: Spec, chat: ChatRequest, size_bytes: int) -> int:
        """How many tokens the prompt of ``chat`` has. Raises a `ServeError`."""
        remote: list[Remote] = []
        wanted = TokenizeInput(chat=chat.to_input(spec, remote))
        refuse_uncounted(remote)
        (row,) = (await self.ask(request, spec, wanted, size_bytes)).rows
        return len(row)

    async def ask(
        self, request: Request, spec: Spec, asked: TokenizeInput, size_bytes: int
    ) -> TokenizeResult:
        """What the tokenizer of ``spec`` says. ``size_bytes`` is the request's. Raises a
        `ServeError`."""
        context = RequestContext.of(request.scope)
        if context.claim.is_large:
            await context.claim.turn()
        result = await result_of(self._dispatcher, request, spec, asked, size_bytes)
        assert isinstance(result, TokenizeResult)
        return result
