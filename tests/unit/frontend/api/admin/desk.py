"""The application as its operator meets it: on this machine, with fakes behind it."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from tests.unit.frontend.http_fakes import (
    FakeControl,
    FakeDispatcher,
    Script,
    application,
    report,
    silent,
)


class Desk:
    """A client of an application without keys, and the fakes behind it."""

    def __init__(self, script: Script = silent, **changes: Any) -> None:
        self.dispatcher = FakeDispatcher(script)
        self.control = FakeControl(report(chat="ready", embed="failed"))
        app = application(self.dispatcher, self.control, **changes)
        self.client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 40_000))

    def get(self, path: str, **more: Any) -> Any:
        return self.client.get(path, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self.client.post(path, **more)
