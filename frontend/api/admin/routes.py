"""The routes for who runs this server."""

from __future__ import annotations

from collections.abc import Iterable

from frontend.api.admin import answers
from frontend.api.admin.asked import (
    EventsQuery,
    LoadRequest,
    LogQuery,
    PullRequest,
    PullsQuery,
    ReloadRequest,
    UnloadRequest,
    UpdateRequest,
)
from frontend.api.admin.events import Events
from frontend.api.admin.logs import Logs
from frontend.api.admin.machine import Machine
from frontend.api.admin.models import AdminModels
from frontend.api.admin.pulls import Pulls
from frontend.api.admin.reload import Reloads
from frontend.api.admin.requests import AdminRequests
from frontend.api.route import EVENTS, JSON, TEXT, Answer, Route, Services


def _models(its: Services) -> AdminModels:
    return AdminModels(its.operator, its.serve.max_json_bytes)


def _reloads(its: Services) -> Reloads:
    return Reloads(its.operator, its.serve.max_json_bytes)


def _acts() -> Iterable[Route]:
    """What may be done with a model: its act, what that is, what answers it."""
    table: tuple[tuple[str, str, type[LoadRequest] | type[UnloadRequest] | None], ...] = (
        ("load", "Have a model loaded; 202: it is on its way", LoadRequest),
        ("unload", "Have a model leave memory; it comes back with its next request", UnloadRequest),
        ("pin", "Let no other model take its place in memory", None),
        ("unpin", "Let others take its place again", None),
        ("restart", "Replace a model's workers, one after the other", None),
    )
    for act, summary, takes in table:

        def answer(its: Services, act: str = act) -> Answer:
            method: Answer = getattr(_models(its), act)
            return method

        yield Route(
            method="POST",
            path=f"/admin/models/{{model}}/{act}",
            id=f"admin_model_{act}",
            summary=summary,
            answer=answer,
            takes=(takes,) if takes else (),
            body_optional=True,
            gives={JSON: answers.AdminModel},
            also={202: answers.AdminModel},
            errors=(404, 409, 503),
            admin=True,
            act=f"model.{act}",
        )


def _pulls(its: Services) -> Pulls:
    return Pulls(its.operator, its.serve.max_json_bytes)


_PULLS = (
    Route(
        method="POST",
        path="/admin/pulls",
        id="admin_pull",
        summary="Fetch a model; with estimate only tell what that would take",
        answer=lambda its: _pulls(its).start,
        takes=(PullRequest,),
        asks=PullsQuery,
        gives={JSON: answers.PullEstimate},
        also={202: answers.Pull},
        errors=(429, 503),
        admin=True,
        act="pull.start",
    ),
    Route(
        method="GET",
        path="/admin/pulls",
        id="admin_pulls",
        summary="The models that are being fetched, and the last that were",
        answer=lambda its: _pulls(its).index,
        gives={JSON: answers.Pulls},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/admin/pulls/{pull_id}",
        id="admin_pull_get",
        summary="One of them",
        answer=lambda its: _pulls(its).get,
        gives={JSON: answers.Pull},
        errors=(404, 503),
        admin=True,
    ),
    Route(
        method="DELETE",
        path="/admin/pulls/{pull_id}",
        id="admin_pull_cancel",
        summary="Cancel it, and remove what it has fetched",
        answer=lambda its: _pulls(its).cancel,
        gives={JSON: answers.Pull},
        errors=(404, 409, 503),
        admin=True,
        act="pull.cancel",
    ),
    Route(
        method="POST",
        path="/admin/pulls/{pull_id}/pause",
        id="admin_pull_pause",
        summary="Have it wait, also over a restart, and keep what it has fetched",
        answer=lambda its: _pulls(its).pause,
        gives={JSON: answers.Pull},
        errors=(404, 409, 503),
        admin=True,
        act="pull.pause",
    ),
    Route(
        method="POST",
        path="/admin/pulls/{pull_id}/resume",
        id="admin_pull_resume",
        summary="Go on with one that was paused or has failed",
        answer=lambda its: _pulls(its).resume,
        gives={},
        also={202: answers.Pull},
        errors=(404, 409, 503),
        admin=True,
        act="pull.resume",
    ),
)

ROUTES = (
    Route(
        method="GET",
        path="/admin/models",
        id="admin_models",
        summary="How each model stands, what it takes, how it is to be run",
        answer=lambda its: _models(its).index,
        gives={JSON: answers.AdminModels},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    *_acts(),
    *_PULLS,
    Route(
        method="POST",
        path="/admin/models/{model}/update",
        id="admin_model_update",
        summary="Take over what has changed of one model; new workers load beside the old ones",
        answer=lambda its: _reloads(its).update,
        takes=(UpdateRequest,),
        body_optional=True,
        gives={},
        also={202: answers.ReloadReport},
        errors=(404, 503),
        admin=True,
        act="model.update",
    ),
    Route(
        method="POST",
        path="/admin/models/{model}/rollback",
        id="admin_model_rollback",
        summary="Serve a model as before its last update, whose workers are kept for a while",
        answer=lambda its: _reloads(its).rollback,
        gives={JSON: answers.AdminModel},
        errors=(404, 409, 503),
        admin=True,
        act="model.rollback",
    ),
    Route(
        method="POST",
        path="/admin/reload",
        id="admin_reload",
        summary="Read the catalog, .env and the keys again, and take over what has changed",
        answer=lambda its: _reloads(its).reload,
        takes=(ReloadRequest,),
        body_optional=True,
        gives={JSON: answers.ReloadReport},
        errors=(503,),
        admin=True,
        act="server.reload",
    ),
    Route(
        method="GET",
        path="/admin/models/{model}",
        id="admin_model",
        summary="One of them",
        answer=lambda its: _models(its).get,
        gives={JSON: answers.AdminModel},
        errors=(404, 503),
        admin=True,
    ),
    Route(
        method="GET",
        path="/admin/requests",
        id="admin_requests",
        summary="The requests that are worked on and the last 1,000 that have ended, newest first",
        answer=lambda its: AdminRequests(its.operator).index,
        gives={JSON: answers.AdminRequests},
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/admin/requests/{request_id}",
        id="admin_request",
        summary="One of them, by its x-request-id",
        answer=lambda its: AdminRequests(its.operator).get,
        gives={JSON: answers.AdminRequest},
        errors=(404,),
        admin=True,
    ),
    Route(
        method="DELETE",
        path="/admin/requests/{request_id}",
        id="admin_request_cancel",
        summary="Cancel it: its client is told, its place is free",
        answer=lambda its: AdminRequests(its.operator).cancel,
        gives={JSON: answers.AdminRequest},
        errors=(404,),
        admin=True,
        act="request.cancel",
    ),
    Route(
        method="GET",
        path="/admin/events",
        id="admin_events",
        summary="What happens to this server, as server-sent events that go on",
        answer=lambda its: (
            Events(its.control.events, its.operator.followers, its.serve.keepalive_s).follow
        ),
        asks=EventsQuery,
        gives={EVENTS: None},
        errors=(429,),
        admin=True,
    ),
    Route(
        method="GET",
        path="/admin/logs/{process}",
        id="admin_log",
        summary="The last lines of a process, as text; with follow as events that go on",
        answer=lambda its: Logs(its.operator, its.serve.keepalive_s).read,
        asks=LogQuery,
        gives={TEXT: None, EVENTS: None},
        errors=(404, 429, 503),
        admin=True,
    ),
    Route(
        method="GET",
        path="/admin/box",
        id="admin_box",
        summary="The machine, measured now",
        answer=lambda its: Machine(its.operator).box,
        gives={JSON: answers.Box},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    Route(
        method="POST",
        path="/admin/drain",
        id="admin_drain",
        summary="Finish what is in hand, take nothing new, and end, as SIGTERM has it",
        answer=lambda its: Machine(its.operator).drain,
        gives={},
        also={202: answers.Stopping},
        errors=(503,),
        admin=True,
        act="server.drain",
    ),
)
