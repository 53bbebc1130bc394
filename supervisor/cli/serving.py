"""Where models of this models folder are served: by the server that the settings make, and by each
other one of this user, known by its run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from supervisor import plan as plans
from supervisor import run_dir
from supervisor.cli.answers import Listed
from supervisor.cli.client import Unreached, ask, connect
from supervisor.config.settings import Settings
from supervisor.launch.run_folder import run_dirs_of
from supervisor.plan import Running

# A server that runs here answers at once.
ASK_S = 5.0


def serving(settings: Settings) -> dict[str, list[str]]:
    """The addresses at which each model is served, by its name.

    A server that does not answer, as one whose keys are not known here, counts with the models that
    it was started with.
    """
    found: dict[str, list[str]] = {}
    for where, names in {settings.url: _listed(settings) or [], **_others(settings)}.items():
        for name in names:
            found.setdefault(name, []).append(where)
    return found


def _others(settings: Settings) -> dict[str, list[str]]:
    found = {}
    for one in _running(settings):
        if one.models_dir in ("", str(settings.edge_serve_models_dir)):
            its = _as_settings(settings, one)
            listed = _listed(its) if one.port else None
            found[its.url] = one.models if listed is None else listed
    return found


def _running(settings: Settings) -> Iterator[Running]:
    for folder in run_dirs_of(settings):
        if run_dir.owner(folder) is not None and (found := plans.read_running(folder)):
            yield found


def _as_settings(settings: Settings, running: Running) -> Settings:
    """``settings`` that lead to that server."""
    certificate = running.ssl_certfile
    return settings.model_copy(
        update={
            "host": running.host,
            "port": running.port,
            "ssl_certfile": Path(certificate) if certificate else None,
        }
    )


def _listed(settings: Settings) -> list[str] | None:
    """The models of the server that the settings lead to; None where it does not answer."""
    try:
        with connect(settings, None, timeout_s=ASK_S) as client:
            return [str(one.get("id")) for one in ask(client, "/v1/models", Listed)["data"]]
    except Unreached:
        return None
