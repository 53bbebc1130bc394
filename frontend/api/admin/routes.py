"""The routes for who runs this server."""

from __future__ import annotations

from collections.abc import Iterable

from frontend.api.admin import answers
from frontend.api.admin.asked import (
    DrainRequest,
    EventsQuery,
    KeyRequest,
    KeyUpdate,
    LoadRequest,
    LogQuery,
    PullRequest,
    PullsQuery,
    ReloadRequest,
    RequestsQuery,
    SamplesQuery,
    UnloadRequest,
    UpdateRequest,
)
from frontend.api.admin.events import Events
from frontend.api.admin.incidents import Incidents
from frontend.api.admin.keys import Keys
from frontend.api.admin.logs import Logs
from frontend.api.admin.machine import Machine
from frontend.api.admin.models import AdminModels
from frontend.api.admin.pulls import Pulls
from frontend.api.admin.reload import Reloads
from frontend.api.admin.requests import AdminRequests
from frontend.api.admin.samples import Samples
from frontend.api.route import CSV, EVENTS, GZIP, JSON, TEXT, Answer, Route, Services
from frontend.api.usage.answers import UsageAnswer
from frontend.api.usage.asked import UsageQuery
from frontend.api.usage.route import Usage
from frontend.incidents.folder import Folder


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
        ("drain", "Have a model take nothing new; what it was asked before goes on", None),
        ("resume", "Have it take requests again", None),
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


def _machine(its: Services) -> Machine:
    return Machine(its.operator, its.serve.max_json_bytes)


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


def _keys(its: Services) -> Keys:
    return Keys(its.operator, its.serve.max_json_bytes)


_KEYS = (
    Route(
        method="GET",
        path="/admin/keys",
        id="admin_keys",
        summary="Who may come in, and what each may do and have; never a secret",
        answer=lambda its: _keys(its).index,
        gives={JSON: answers.AdminKeys},
        errors=(503,),
        admin=True,
    ),
    Route(
        method="POST",
        path="/admin/keys/{key}",
        id="admin_key_add",
        summary="Make a key; its secret is told this once",
        answer=lambda its: _keys(its).add,
        takes=(KeyRequest,),
        body_optional=True,
        gives={JSON: answers.KeyWithSecret},
        errors=(409, 503),
        admin=True,
        act="key.add",
    ),
    Route(
        method="PATCH",
        path="/admin/keys/{key}",
        id="admin_key_set",
        summary="Change what a key may do and have, or give it another secret",
        answer=lambda its: _keys(its).update,
        takes=(KeyUpdate,),
        body_optional=True,
        gives={JSON: answers.KeyWithSecret},
        errors=(404, 409, 503),
        admin=True,
        act="key.set",
    ),
    Route(
        method="DELETE",
        path="/admin/keys/{key}",
        id="admin_key_remove",
        summary="Let nobody in with this key any more",
        answer=lambda its: _keys(its).remove,
        gives={JSON: answers.AdminKey},
        errors=(404, 409, 503),
        admin=True,
        act="key.remove",
    ),
    Route(
        method="GET",
        path="/admin/usage",
        id="admin_usage",
        summary="Who has used which model, and how much; 90 days are kept",
        answer=lambda its: Usage(its.usage).all,
        asks=UsageQuery,
        gives={JSON: UsageAnswer, CSV: None},
        errors=(503,),
        admin=True,
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
    *_KEYS,
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
        method="DELETE",
        path="/admin/models/{model}",
        id="admin_model_remove",
        summary="Remove its files, and serve it no more; what it was asked before goes on",
        answer=lambda its: _models(its).remove,
        gives={JSON: answers.ModelRemoved},
        errors=(404, 409, 429, 503),
        admin=True,
        act="model.remove",
    ),
    Route(
        method="GET",
        path="/admin/requests",
        id="admin_requests",
        summary="The requests that are worked on, and those that have ended, the last one first",
        answer=lambda its: AdminRequests(its.operator).index,
        asks=RequestsQuery,
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
        answer=lambda its: Events(its.events, its.operator.followers, its.serve.keepalive_s).follow,
        asks=EventsQuery,
        gives={EVENTS: None},
        errors=(429,),
        admin=True,
    ),
    Route(
        method="GET",
        path="/admin/incidents",
        id="admin_incidents",
        summary="The last crashes, hangs and overloads of which there is a file, newest first",
        answer=lambda its: Incidents(Folder.of(its.serve.incidents)).index,
        gives={JSON: answers.Incidents},
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/admin/incidents/{incident_id}",
        id="admin_incident",
        summary="The file of one: JSON, as gzip packs it",
        answer=lambda its: Incidents(Folder.of(its.serve.incidents)).get,
        gives={GZIP: None},
        errors=(404,),
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
        answer=lambda its: _machine(its).box,
        gives={JSON: answers.Box},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/admin/samples",
        id="admin_samples",
        summary="How the machine and its models stood: a day of each ten seconds, then minutes",
        answer=lambda its: Samples(its.sampling).index,
        asks=SamplesQuery,
        gives={JSON: answers.Samples},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/admin/config",
        id="admin_config",
        summary="The settings and what is in force for each model, and where each value is from",
        answer=lambda its: _machine(its).config,
        gives={JSON: answers.Config},
        errors=(503,),
        admin=True,
    ),
    Route(
        method="POST",
        path="/admin/drain",
        id="admin_drain",
        summary="Finish what is in hand, take nothing new, and end, as SIGTERM has it; or stay",
        answer=lambda its: _machine(its).drain,
        takes=(DrainRequest,),
        body_optional=True,
        gives={JSON: answers.AdminModels},
        also={202: answers.Stopping},
        errors=(503,),
        admin=True,
        act="server.drain",
    ),
    Route(
        method="POST",
        path="/admin/resume",
        id="admin_resume",
        summary="Have every model take requests again",
        answer=lambda its: _machine(its).resume,
        gives={JSON: answers.AdminModels},
        errors=(503,),
        admin=True,
        act="server.resume",
    ),
)
