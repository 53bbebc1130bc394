"""The route of the Realtime API."""

from __future__ import annotations

from frontend.api.realtime.connect import Realtime
from frontend.api.route import JSON, Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/v1/realtime",
        id="realtime",
        summary="Speech heard while it is said: a transcription session, by WebSocket",
        answer=lambda its: Realtime(its.dispatcher, its.live, its.metrics).connect,
        task="speech",
        gives={JSON: None},
        socket=True,
    ),
)
