"""The route of the Model Context Protocol."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

from frontend.api.mcp.endpoint import Mcp
from frontend.api.mcp.messages import error_form
from frontend.api.route import EVENTS, JSON, Route
from frontend.api.validate import Body


class McpMessage(Body):
    """Described for ``/openapi.json``; one without an ``id`` is a notification."""

    EXAMPLE: ClassVar[Any] = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    jsonrpc: Literal["2.0"]
    method: str
    id: int | str | SkipJsonSchema[None] = None
    params: dict[str, Any] | SkipJsonSchema[None] = None


class McpReply(BaseModel):
    model_config = ConfigDict(extra="forbid")
    jsonrpc: Literal["2.0"]
    id: int | str | None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


ROUTES = (
    Route(
        method="POST",
        path="/mcp",
        id="mcp",
        summary="The Model Context Protocol: this server's models as tools of others",
        answer=lambda its: Mcp(its.dispatcher, its.serve).answer,
        takes=(McpMessage,),
        gives={JSON: McpReply, EVENTS: None},
        also={202: None},
        errors=(403, 404, 503),
        error_form=error_form,
        error_model=McpReply,
    ),
)
