"""What a file of an incident holds: one JSON document.

Numbers and names of the server's own, so that it may be shown to others: no prompt, no answer, no
key, not even who asked, who is a number. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from frontend.incidents.incident import Incident
from frontend.incidents.log_lines import shareable, stacks
from ipc.messages.admin import BoxEvent
from ipc.messages.errors import LostWithFrontend, PoisonRequest, WorkerCrashed

VERSION = 1
WINDOW_S = 300.0  # the minutes before
MOMENT_S = 0.05
# How late it may be heard here that a worker has died.
HEARD_S = 10.0
# A frontend that hung before it died has not looked at its requests for so long.
LOST_S = 60.0
_REFUSED = frozenset({WorkerCrashed.code, PoisonRequest.code})
# Ids that clients have made up may say anything.
_OWN_ID = re.compile(r"req_[0-9a-f]{32}")
_WITH_PASSWORD = re.compile(r"//[^/@\s]+@")
# Options of engines that may hold the key of another server.
_PRIVATE_OPTIONS = frozenset({"command"})


class Evidence(msgspec.Struct, kw_only=True):
    """What was found. ``requests`` and ``samples`` are JSON-ready, with ``time_s``; ``logs`` are
    lines by process, ``report`` is the supervisor's of everything. ``missing`` says of what is not
    there why."""

    requests: list[dict[str, Any]] = []
    events: list[BoxEvent] = []
    samples: list[dict[str, Any]] = []
    logs: dict[str, list[str]] = {}
    report: dict[str, Any] = {}
    machine: dict[str, Any] = {}
    versions: dict[str, str] = {}
    settings: dict[str, Any] = {}
    specs: list[dict[str, Any]] = []
    missing: dict[str, str] = {}


def document(incident: Incident, found: Evidence) -> dict[str, Any]:
    """JSON-ready. Times of what came before are ``at_s``, seconds from the incident on."""
    at_s = incident.time_s
    requests = _requests(found.requests, at_s)
    in_hand = [one for one in requests if _had(incident, one)]
    return {
        "version": VERSION,
        "id": incident.id,
        **msgspec.to_builtins(incident),
        "in_hand": len(in_hand),
        "went_on": sum(went_on(one) for one in in_hand),
        "refused": sum(one.get("error") in _REFUSED for one in in_hand),
        "versions": found.versions,
        "settings": shown(found.settings),
        "models": [_spec(one) for one in found.specs],
        "requests": requests,
        "events": [_event(one, at_s) for one in found.events],
        "samples": [_at(one, at_s) for one in found.samples],
        "stacks": {name: frames for name, lines in found.logs.items() if (frames := stacks(lines))},
        "logs": {name: shareable(lines, name) for name, lines in found.logs.items()},
        "processes": shown(found.report),
        "machine": found.machine,
        "missing": found.missing,
    }


def _had(incident: Incident, request: Mapping[str, Any]) -> bool:
    if incident.what in ("frontend-crash", "server-died") and _is_lost(request):
        return incident.what == "server-died" or _ended_at_s(request) >= -LOST_S
    return was_in_hand(request, incident.model)


def _is_lost(request: Mapping[str, Any]) -> bool:
    return request.get("error") == LostWithFrontend.code


def _ended_at_s(request: Mapping[str, Any]) -> float:
    """Infinite where it has not."""
    total_s = request.get("total_s")
    return math.inf if total_s is None else float(request["at_s"] + total_s)


def went_on(request: Mapping[str, Any]) -> bool:
    """Whether its worker died when it happened, and another one went on with the answer."""
    died_at_s = (
        request["at_s"] + ended_s
        for _, ended_s, fate in request.get("earlier", ())
        if fate == "worker_died"
    )
    return any(-MOMENT_S <= at_s <= HEARD_S for at_s in died_at_s)


def was_in_hand(request: Mapping[str, Any], model: str | None) -> bool:
    """Whether a worker of ``model`` (None: of any) had it when it happened."""
    dispatched_s = request.get("dispatched_s")
    if dispatched_s is None or model not in (None, request.get("model")):
        return False
    # Its clients are told of it some milliseconds later.
    return request["at_s"] + dispatched_s <= 0 and _ended_at_s(request) >= -MOMENT_S


def shown(value: Any) -> Any:
    """``value`` without passwords in addresses."""
    if isinstance(value, str):
        return _WITH_PASSWORD.sub("//...@", value)
    if isinstance(value, Mapping):
        return {key: shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    return value


def _spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = shown(spec)
    for name in _PRIVATE_OPTIONS & told.get("options", {}).keys():
        told["options"][name] = "(not told)"
    return told


def _requests(found: Sequence[dict[str, Any]], at_s: float) -> list[dict[str, Any]]:
    clients: dict[Any, int] = {}
    told = []
    for one in sorted(found, key=lambda each: each["time_s"]):
        request = _at(one, at_s)
        who = request.pop("key", None) or request.pop("client", None)
        request.pop("client", None)
        request["client"] = clients.setdefault(who, len(clients) + 1)
        if not _OWN_ID.fullmatch(request.get("id", "")):
            request.pop("id", None)
        request.pop("waiting", None)
        told.append(request)
    return told


def _event(event: BoxEvent, at_s: float) -> dict[str, Any]:
    facts = shown(event.facts)
    return {"at_s": round(event.time_s - at_s, 3), "type": event.type, "model": event.model} | {
        "facts": facts
    }


def _at(one: Mapping[str, Any], at_s: float) -> dict[str, Any]:
    rest = {key: _rounded(value) for key, value in one.items() if value is not None}
    return {"at_s": round(rest.pop("time_s") - at_s, 3), **rest}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def processes_of(incident: Incident, report: Mapping[str, Any]) -> Iterable[str]:
    """Those whose lines tell of it."""
    yield "supervisor"
    if (child := incident.facts.get("child")) is not None:
        yield child
        return
    for model in report.get("models", ()):
        if model["name"] == incident.model:
            yield from (one["replica"] for one in model["replicas"])
