"""The routes of llama-swap's that its clients and status displays ask."""

from __future__ import annotations

from frontend.api.compat.swap import answers
from frontend.api.compat.swap.logs import SwapLogs
from frontend.api.compat.swap.models import SwapModels
from frontend.api.route import JSON, TEXT, Route

ROUTES = (
    Route(
        method="GET",
        path="/running",
        id="swap_running",
        summary="The models that are loaded, come or go, as llama-swap tells them",
        answer=lambda its: SwapModels(its).running,
        gives={JSON: answers.AllRunning},
        polled=True,
    ),
    Route(
        method="GET",
        path="/unload",
        id="swap_unload_by_get",
        summary="Have all models leave once they have finished what they work on",
        answer=lambda its: SwapModels(its).unload_all,
        gives={TEXT: None},
        errors=(404, 503),
        admin=True,
        act="model.unload",
    ),
    Route(
        method="POST",
        path="/api/models/unload",
        id="swap_unload_all",
        summary="The same",
        answer=lambda its: SwapModels(its).unload_all_told,
        gives={JSON: answers.Unloaded},
        errors=(404, 503),
        admin=True,
        act="model.unload",
    ),
    Route(
        method="POST",
        path="/api/models/unload/{model}",
        id="swap_unload",
        summary="Have one of them leave",
        answer=lambda its: SwapModels(its).unload,
        gives={TEXT: None},
        errors=(404, 503),
        admin=True,
        act="model.unload",
    ),
    *(
        Route(
            method="GET",
            path=path,
            id=name,
            summary=summary,
            answer=lambda its: SwapModels(its).load,
            gives={TEXT: None},
            errors=(404, 409, 503),
            admin=True,
            act="model.load",
        )
        for path, name, summary in (
            ("/upstream/{model}/health", "swap_health", "Have a model loaded"),
            ("/upstream/{model}", "swap_load", "The same; what is below it is asked of that model"),
        )
    ),
    Route(
        method="POST",
        path="/upstream/{model}",
        id="swap_upstream",
        summary="What is behind the model's name in the path is asked of that model",
        answer=lambda its: SwapModels(its).nowhere,
        gives={JSON: None},
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/logs",
        id="swap_logs",
        summary="What the process that takes requests has said last",
        answer=lambda its: SwapLogs(its).read,
        gives={TEXT: None},
        admin=True,
    ),
    *(
        Route(
            method="GET",
            path=path,
            id=name,
            summary=summary,
            answer=lambda its: SwapLogs(its).follow,
            gives={TEXT: None},
            errors=(404, 429, 503),
            admin=True,
        )
        for path, name, summary in (
            ("/logs/stream", "swap_log", "The same, and each line as it comes"),
            ("/logs/stream/{model}", "swap_log_of", "The same of a model's first worker"),
        )
    ),
)
