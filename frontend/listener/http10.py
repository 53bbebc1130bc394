"""Answers to clients of HTTP/1.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application


def to_the_end(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """``app`` for a client of HTTP/1.0, who knows no chunks: an answer whose length is not known at
    its start goes on to the end of the connection (RFC 9112, 6.1 and 6.3)."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        declared = False

        async def send_bare(message: Any) -> None:
            nonlocal declared
            if message["type"] == "http.response.start":
                declared = b"content-length" in {
                    name.lower() for name, _ in message.get("headers", ())
                }
                cycle.chunked_encoding = None if declared else False
            elif not declared:  # so each part is as long as what was promised
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_bare)

    return answer
