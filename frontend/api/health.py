"""GET /livez, /readyz, /health and /metrics: from "are you there" to "how full are you"."""

from __future__ import annotations

from typing import Any, Literal

import orjson
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.answer import Answer
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.model_queue import UNCONNECTED
from frontend.metrics.prometheus import Metrics
from frontend.quotas import seen
from ipc.messages.errors import AdminRequired

# The supervisor answers in milliseconds; one that takes this long is in trouble itself.
ANSWER_S = 2.0
# Why a model that could take work does not.
DRAINED = "an operator has drained it"

Report = dict[str, Any]


class Health:
    """What this server can say about itself, always asked of the supervisor afresh."""

    def __init__(self, dispatcher: Dispatcher, control: Control, metrics: Metrics) -> None:
        self._dispatcher = dispatcher
        self._control = control
        self._metrics = metrics

    async def livez(self, _: Request) -> Response:
        """The event loop turns."""
        return _json(200, {"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """Every model that should run is ready; else which ones are not, and why."""
        report = await self._report()
        missed = not_ready(report)
        ready = report is not None and not missed and not self._dispatcher.draining
        body: Report = {
            "status": "ready" if ready else "not_ready",
            "supervisor": "ok" if report is not None else "no answer",
            "draining": self._dispatcher.draining,
            "not_ready": {
                name: why for name, why in missed.items() if self._dispatcher.shows(name)
            },
        }
        return _json(200 if ready else 503, body)

    async def health(self, _: Request) -> Response:
        """The supervisor's report with each model's queue; 503 where no model can serve."""
        report = await self._report()
        status = verdict(report, draining=self._dispatcher.draining)
        told = with_queues(report or {"supervisor": None}, self._dispatcher.queues())
        models = [model for model in told["models"] if self._dispatcher.shows(model["name"])]
        body = {
            "status": status,
            "draining": self._dispatcher.draining,
            **told,
            "models": models,
        }
        return _json(503 if status == "unavailable" else 200, body)

    async def metrics(self, _: Request) -> Response:
        """Raises `AdminRequired` for a key that may use some models only."""
        if seen.is_limited():
            raise AdminRequired(
                "/metrics tells of all models, and this key is for some of them: take a key that "
                "has no `models=`"
            )
        return Response(await self._metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def _report(self) -> Report | None:
        report = await self._control.health(ANSWER_S)
        return report and as_reached(report, self._dispatcher.unconnected())


def not_ready(report: Report | None) -> dict[str, str]:
    """The models that should take work and do not, with their state and the reason if one is known.

    A model that was stopped on purpose is not missed, nor one that leaves, nor one that is loaded
    when somebody asks for it, whether it is out, on its way or cannot be loaded.
    """
    return {
        model["name"]: ": ".join(filter(None, (model["state"], _why(model))))
        for model in (report["models"] if report else [])
        if _is_missed(model) and not model.get("leaving")
    }


def _is_missed(model: Report) -> bool:
    if model.get("drained"):
        return True
    stands = model["state"] in ("ready", "stopped", "unloaded")
    return not stands and not _is_loaded_on_demand(model)


def _why(model: Report) -> str | None:
    why: str | None = DRAINED if model.get("drained") else model["reason"]
    return why


def as_reached(report: Report, unconnected: set[str]) -> Report:
    """``report`` as clients meet it: a ready model to which no job can be sent is not."""
    models = [
        {**model, "state": "starting", "reason": UNCONNECTED}
        if model["state"] == "ready" and model["name"] in unconnected
        else model
        for model in report["models"]
    ]
    return {**report, "models": models}


def verdict(report: Report | None, *, draining: bool) -> str:
    """``ok``, ``degraded`` when only some models serve, ``unavailable`` when none does."""
    if report is None or draining:
        return "unavailable"
    if not any(_serves(model) for model in report["models"]):
        return "unavailable"
    return "degraded" if not_ready(report) or any(map(_keeps_failing, report["models"])) else "ok"


def _serves(model: Report) -> bool:
    """Whether requests are answered, or wait for no longer than a model takes to come and go."""
    if model.get("drained"):
        return False
    moves = model["state"] in ("starting", "draining") and _is_loaded_on_demand(model)
    return moves or model["state"] in ("ready", "unloaded")


def _keeps_failing(model: Report) -> bool:
    return model["state"] in ("backoff", "failed") and not model.get("leaving")


def _is_loaded_on_demand(model: Report) -> bool:
    """A model that could not be fetched does not say how it is loaded."""
    return model.get("load") in ("on_demand", "never")


def with_queues(report: Report, queues: dict[str, dict[str, float]]) -> Report:
    """``report`` with what only the frontend knows of each model: how many wait."""
    models = report.get("models", [{"name": name} for name in queues])
    merged = [{**model, "queue": queues.get(model["name"])} for model in models]
    return {**report, "models": merged}


def _json(status: int, body: Report) -> Response:
    return Response(
        orjson.dumps(body), status, {"cache-control": "no-store"}, media_type="application/json"
    )


# --- the same, described for /openapi.json ---


class Life(Answer):
    status: Literal["ok"]


class Readiness(Answer):
    status: Literal["ready", "not_ready"]
    supervisor: str
    draining: bool
    not_ready: dict[str, str]


class HealthReport(BaseModel):
    """What is measured of each process; it grows with what is worth knowing."""

    status: Literal["ok", "degraded", "unavailable"]
    draining: bool
    models: list[dict[str, Any]]
