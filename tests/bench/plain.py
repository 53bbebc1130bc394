"""The least that a Starlette application does: `tests.bench.overhead` sets edge-serve beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

# As long as edge-serve's answers from its echo engine.
CHAT = b"""{"id":"chatcmpl-0123456789abcdef0123456789abcdef","created":1700000000,\
"model":"echo/chat","system_fingerprint":"fp_0123456789","object":"chat.completion","choices":\
[{"index":0,"message":{"role":"assistant","content":"yes","refusal":null},"logprobs":null,\
"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,\
"prompt_tokens_details":{"cached_tokens":0}}}"""
VECTOR = b"""{"object":"list","data":[{"object":"embedding","index":0,"embedding":\
"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}],"model":"echo/embed","usage":\
{"prompt_tokens":1,"total_tokens":1}}"""
EVENT = b"""data: {"id":"chatcmpl-0123456789abcdef0123456789abcdef","created":1700000000,\
"model":"echo/chat","system_fingerprint":"fp_0123456789","object":"chat.completion.chunk",\
"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n"""
EVENTS = 2000


async def chat(request: Request) -> Response:
    await request.body()
    return Response(CHAT, media_type="application/json")


async def embeddings(request: Request) -> Response:
    await request.body()
    return Response(VECTOR, media_type="application/json")


async def stream(request: Request) -> Response:
    await request.body()
    return StreamingResponse(_events(), media_type="text/event-stream")


async def _events() -> AsyncIterator[bytes]:
    for _ in range(EVENTS):
        yield EVENT


app = Starlette(
    routes=[
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/stream", stream, methods=["POST"]),
    ]
)
