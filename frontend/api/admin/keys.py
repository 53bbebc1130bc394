"""/admin/keys: who may come in, what each may do and have"""

from __future__ import annotations

import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import KeyRequest, KeyUpdate
from frontend.api.admin.models import as_json, asked_by
from frontend.api.admin.operator import Operator
from ipc.messages.keys import KeyChange, digest_of

# Some clients take nothing for a key that begins otherwise.
_PREFIX = "sk-"
_SECRET_BYTES = 32


class Keys:
    """Renders what `Operator` tells of keys. A secret is made here and told once; nobody else ever
    has more of it than its digest."""

    def __init__(self, operator: Operator, max_json_bytes: int) -> None:
        self._operator = operator
        self._max_json_bytes = max_json_bytes

    async def index(self, _: Request) -> Response:
        return as_json(await self._operator.keys())

    async def add(self, request: Request) -> Response:
        asked = await asked_by(request, KeyRequest, self._max_json_bytes)
        secret = _secret()
        key = await self._operator.add_key(_name(request), _change(asked, secret))
        return as_json({**key, "secret": secret})

    async def update(self, request: Request) -> Response:
        asked = await asked_by(request, KeyUpdate, self._max_json_bytes)
        secret = _secret() if asked.new_secret else None
        key = await self._operator.set_key(_name(request), _change(asked, secret))
        return as_json({**key, "secret": secret})

    async def remove(self, request: Request) -> Response:
        return as_json(await self._operator.remove_key(_name(request)))


def _secret() -> str:
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def _change(asked: KeyRequest, secret: str | None) -> KeyChange:
    wanted: dict[str, Any] = asked.model_dump(exclude={"new_secret"})
    return KeyChange(**wanted, digest=None if secret is None else digest_of(secret))


def _name(request: Request) -> str:
    name: str = request.path_params["key"]
    return name
