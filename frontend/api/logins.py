"""GET /session, POST /login and /logout: who asks, and how people log in and out of the page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.answer import Answer
from frontend.api.validate import Body, check
from frontend.http.access import name_of
from frontend.http.body import read_json
from frontend.http.request_context import RequestContext
from frontend.http.sessions import SESSION_S, Sessions, cookie_name
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidApiKey, QueueFull
from ipc.messages.keys import Role

# Keys are random and long: this only tells a program that guesses to stop. Whoever has a key gets
# in meanwhile, else anybody could keep everybody out.
MAX_FAILURES, WITHIN_S = 10, 60.0
_MAX_BODY_BYTES = 4096


class LogIn(Body):
    """A key, as it stands in the file of keys."""

    EXAMPLE: ClassVar[Mapping[str, Any]] = {"key": "0123456789abcdef"}

    key: str


class SessionShown(Answer):
    """``keys`` is whether this server asks for them at all. ``token`` goes into the header X-CSRF
    of requests that change something; null for who sends a key."""

    keys: bool
    name: str | None
    role: Role
    token: str | None


class LoggedOut(Answer):
    logged_in: Literal[False]


class Logins:
    """The door of the page."""

    def __init__(self, sessions: Sessions, serve: Serve) -> None:
        self._sessions = sessions
        self._gate = serve.gate
        self._failed_at: list[float] = []

    async def show(self, request: Request) -> Response:
        context = RequestContext.of(request.scope)
        role: Role = "admin" if context.client.admin else "user"
        session = self._sessions.of(request.scope)
        return _json(
            {
                "keys": bool(self._gate.api_keys),
                "name": context.key,
                "role": role,
                "token": session.token if session else None,
            }
        )

    async def log_in(self, request: Request) -> Response:
        body = await read_json(request, _MAX_BODY_BYTES)
        asked = check(LogIn, body.data)
        name = name_of(self._gate.api_keys, asked.key.encode())
        if name is None:
            self._bound_guesses()
            self._failed_at.append(time.monotonic())
            raise InvalidApiKey("this API key is unknown", param="key")
        secret, session = self._sessions.open(name)
        response = _json(
            {
                "keys": True,
                "name": name,
                "role": self._gate.api_keys[name].role,
                "token": session.token,
            }
        )
        self._set_cookie(request, response, secret)
        return response

    async def log_out(self, request: Request) -> Response:
        self._sessions.close(request.scope)
        response = _json({"logged_in": False})
        response.delete_cookie(cookie_name(request.scope), samesite="strict", httponly=True)
        return response

    def _bound_guesses(self) -> None:
        now = time.monotonic()
        self._failed_at = [at for at in self._failed_at if now - at < WITHIN_S][-MAX_FAILURES:]
        if len(self._failed_at) >= MAX_FAILURES:
            wait_s = WITHIN_S - (now - self._failed_at[0])
            raise QueueFull("too many unknown keys; wait a minute", retry_after_s=wait_s)

    def _set_cookie(self, request: Request, response: Response, secret: str) -> None:
        response.set_cookie(
            cookie_name(request.scope),
            secret,
            max_age=SESSION_S,
            samesite="strict",
            httponly=True,
            secure=self._gate.ssl_certfile is not None,
        )


def _json(body: dict[str, object]) -> Response:
    return Response(
        orjson.dumps(body), headers={"cache-control": "no-store"}, media_type="application/json"
    )
