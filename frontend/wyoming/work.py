"""What is done for one client: hearing, speaking and answering, each one request of a route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from frontend.in_process import Asked
from frontend.streamed import Streamed, answering
from frontend.wyoming import answers, asked
from frontend.wyoming.catalog import Catalog, Chosen
from frontend.wyoming.conversations import MAX_ID_CHARS, Conversations, Turn
from frontend.wyoming.frames import Event
from frontend.wyoming.sentences import Sentences, plain
from frontend.wyoming.spoken_text import SpokenText
from ipc.messages.errors import ContextTooLong

Send = Callable[[Event], Awaitable[None]]
# A third of a second of sound, and far below what a client reads at once.
CHUNK_BYTES = 16 << 10


class Work:
    """Asks ``app`` in the name of who is at ``peer``, and has each answer sent as it comes. Every
    failure is the `ServeError` of the route."""

    def __init__(
        self,
        app: ASGIApp,
        catalog: Catalog,
        conversations: Conversations,
        peer: tuple[str, int],
        send: Send,
    ) -> None:
        self._app = app
        self._catalog = catalog
        self._conversations = conversations
        self._about = {"client": peer}
        self._send = send

    async def hear(self, file: bytes, wish: Mapping[str, Any]) -> None:
        """Write down what is said in ``file``; a recording without a sample says nothing."""
        language = wish.get("language")
        text, told = "", {"language": language} if isinstance(language, str) and language else {}
        await self._send(Event("transcript-start", told))
        if file:
            model = self._catalog.first("speech", wish.get("name"))
            async with self._answer(asked.transcription(file, model, wish)) as streamed:
                async for part in answers.transcript(streamed):
                    text += part
                    await self._send(Event("transcript-chunk", {"text": part}))
        await self._send(Event("transcript-stop"))
        await self._send(Event("transcript", {"text": text.strip(), **told}))

    async def speak(self, text: SpokenText, chosen: Chosen, *, streams: bool) -> None:
        """Say ``text``, as far as it has come; what ``streams`` is told where it has stopped."""
        begun = False
        async for samples in self._sound(text, chosen):
            if not begun:
                await self._send(Event("audio-start", asked.SOUND))
            begun = True
            await self._send(Event("audio-chunk", asked.SOUND, samples))
        if not begun and not streams:  # no word: silence, or the client would wait for ever
            await self._send(Event("audio-start", asked.SOUND))
        if begun or not streams:
            await self._send(Event("audio-stop"))
        if streams:
            await self._send(Event("synthesize-stopped"))

    async def answer(self, text: str, context: Mapping[str, Any]) -> None:
        """Have the chat model answer ``text``, in the conversation of ``context``."""
        given = context.get("conversation_id")
        named = given if isinstance(given, str) and len(given) <= MAX_ID_CHARS else None
        told = {"context": {"conversation_id": named}} if named is not None else {}
        model = self._catalog.first("chat")
        before = self._conversations.turns(named)
        async with self._chat(text, before, model) as streamed:
            await self._send(Event("handled-start", told))
            whole = await self._handle(answers.said(streamed))
        self._conversations.add(named, Turn(text, whole))
        await self._send(Event("handled-stop"))
        await self._send(Event("handled", {"text": plain(whole).strip(), **told}))

    async def _handle(self, parts: AsyncIterator[str]) -> str:
        """All of an answer, which is sent on by the sentence: a mark in it has an end by then."""
        sentences, whole = Sentences(), ""
        async for part in parts:
            whole += part
            sentences.add(part)
            await self._say(sentences.take())
        await self._say(sentences.rest())
        return whole

    async def _say(self, sentence: str) -> None:
        if said := plain(sentence):
            await self._send(Event("handled-chunk", {"text": said}))

    @asynccontextmanager
    async def _chat(self, text: str, before: list[Turn], model: str) -> AsyncIterator[Streamed]:
        """The answer of ``model``, which is told of fewer turns where it cannot read them all."""
        reasons = self._catalog.reasons(model)
        while True:
            request = asked.chat(text, before, model, reasons=reasons)
            async with answering(self._app, request, self._about) as streamed:
                try:
                    await answers.check(streamed)
                except ContextTooLong:
                    if not before:
                        raise
                else:
                    yield streamed
                    return
            before = before[len(before) // 2 + 1 :]

    async def _sound(self, text: SpokenText, chosen: Chosen) -> AsyncIterator[bytes]:
        """Whole samples, piece after piece of ``text``."""
        rest = b""
        while (piece := await text.next()) is not None:
            async with self._answer(asked.speech(piece, chosen)) as streamed:
                async for part in streamed.parts():
                    rest += part
                    while len(rest) >= asked.SOUND["width"]:
                        length = min(len(rest), CHUNK_BYTES) // 2 * 2
                        yield rest[:length]
                        rest = rest[length:]

    @asynccontextmanager
    async def _answer(self, request: Asked) -> AsyncIterator[Streamed]:
        async with answering(self._app, request, self._about) as streamed:
            await answers.check(streamed)
            yield streamed
