"""``priority``: which of its client's requests a request comes before, in vLLM's words."""

from __future__ import annotations

from typing import Annotated

from starlette.requests import Request

from frontend.api.fields import WHOLE
from frontend.api.known_keys import done
from frontend.api.validate import Body
from frontend.http.request_context import RequestContext

KEY = done(
    "priority",
    "an integer, as vLLM has it: the lower comes first, 0 where it is left out; what is beyond -10 "
    "and 10 means these. Wins over the header `x-priority`. Among the client's own requests; what "
    "it does among others', [limits](limits.md) say",
)


class Queued(Body):
    """A request that waits for a model."""

    priority: Annotated[int, WHOLE] | None = None


def queue_as_asked(request: Request, asked: Queued) -> None:
    """The jobs of ``request`` wait as ``asked``."""
    if asked.priority is not None:
        RequestContext.of(request.scope).asks_priority(asked.priority)
