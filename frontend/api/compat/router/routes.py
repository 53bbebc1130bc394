"""The routes of llama.cpp's server that are for several models."""

from __future__ import annotations

from frontend.api.compat.router import answers
from frontend.api.compat.router.asked import ModelRequest, RemovalQuery, SlotsQuery
from frontend.api.compat.router.events import RouterEvents
from frontend.api.compat.router.models import RouterModels
from frontend.api.compat.router.slots import Slots
from frontend.api.route import EVENTS, JSON, Route

ROUTES = (
    Route(
        method="GET",
        path="/models",
        id="router_models",
        summary="The models and whether each is loaded, as llama.cpp's router tells it",
        answer=lambda its: RouterModels(its).index,
        gives={JSON: answers.RouterModels},
        polled=True,
    ),
    Route(
        method="POST",
        path="/models",
        id="router_download",
        summary="Have a model of the hub fetched, as llama.cpp's router does",
        answer=lambda its: RouterModels(its).download,
        takes=(ModelRequest,),
        gives={JSON: answers.Success},
        errors=(429, 503),
        admin=True,
        act="pull.start",
    ),
    Route(
        method="DELETE",
        path="/models",
        id="router_remove",
        summary="Remove the files of a model, or end its pull",
        answer=lambda its: RouterModels(its).remove,
        asks=RemovalQuery,
        gives={JSON: answers.Success},
        errors=(404, 409, 429, 503),
        admin=True,
        act="model.remove",
    ),
    Route(
        method="POST",
        path="/models/load",
        id="router_load",
        summary="Have a model loaded, as llama.cpp's router does; it is on its way then",
        answer=lambda its: RouterModels(its).load,
        takes=(ModelRequest,),
        gives={JSON: answers.Success},
        errors=(404, 409, 503),
        admin=True,
        act="model.load",
    ),
    Route(
        method="POST",
        path="/models/unload",
        id="router_unload",
        summary="Have a model leave once it has finished what it works on",
        answer=lambda its: RouterModels(its).unload,
        takes=(ModelRequest,),
        gives={JSON: answers.Success},
        errors=(404, 503),
        admin=True,
        act="model.unload",
    ),
    Route(
        method="GET",
        path="/models/sse",
        id="router_events",
        summary="What becomes of models from now on, as llama.cpp's router tells it",
        answer=lambda its: RouterEvents(its).follow,
        gives={EVENTS: None},
        errors=(429,),
        admin=True,
    ),
    Route(
        method="GET",
        path="/slots",
        id="slots",
        summary="Which places of a chat model are taken, as llama.cpp's server tells it",
        answer=lambda its: Slots(its).show,
        asks=SlotsQuery,
        gives={JSON: [answers.Slot]},
        errors=(404, 503),
        polled=True,
    ),
)
