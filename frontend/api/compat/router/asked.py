"""What clients of the router ask."""

from __future__ import annotations

from typing import Any, ClassVar

from frontend.api.admin.asked import Flag
from frontend.api.fields import Name
from frontend.api.validate import Body


class ModelRequest(Body):
    """The model that is to be loaded, to leave, or to be fetched."""

    EXAMPLE: ClassVar[Any] = {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}

    model: Name


class RemovalQuery(Body):
    """The model whose files are to go, or whose pull is to end."""

    model: Name | None = None


class SlotsQuery(Body):
    """``model`` may be left out where there is one for chats. With ``fail_on_no_slot`` it is 503
    while none of its slots is free."""

    model: Name | None = None
    fail_on_no_slot: Flag = "false"

    @property
    def wants_one(self) -> bool:
        return self.fail_on_no_slot in ("true", "1")
