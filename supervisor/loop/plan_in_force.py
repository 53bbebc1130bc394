"""The plan that holds now: that of the start, then what reloads and changes of keys have made."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ipc.messages.control import Serve
from ipc.messages.keys import ApiKey
from ipc.messages.spec import Spec
from supervisor.plan import Plan


class PlanInForce:
    """Owns it; nobody else keeps a plan for longer than a call."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @property
    def now(self) -> Plan:
        return self._plan

    def set(self, plan: Plan) -> None:
        """Another one holds from now on."""
        self._plan = plan

    def set_keys(self, keys: dict[str, ApiKey], digest: str) -> None:
        """These keys are let in from now on, and no others; their file has a text of ``digest``."""
        serve = replace(self._plan.serve, gate=replace(self._plan.serve.gate, api_keys=keys))
        origin = self._plan.origin and replace(self._plan.origin, keys_digest=digest)
        self._plan = replace(self._plan, serve=serve, origin=origin)

    @property
    def keys(self) -> dict[str, ApiKey]:
        return self._plan.serve.gate.api_keys

    @property
    def keys_file(self) -> str:
        """Where the keys stand; empty: in no file."""
        return self._plan.origin.keys_file if self._plan.origin is not None else ""

    @property
    def keys_digest(self) -> str:
        """Of that file's text as it was read, or written, last."""
        return self._plan.origin.keys_digest if self._plan.origin is not None else ""

    @property
    def files(self) -> list[str]:
        """Those of the configuration."""
        return self._plan.origin.files if self._plan.origin is not None else []

    def serve(self, specs: Sequence[Spec]) -> Serve:
        """What a frontend is told to serve, with these models."""
        return replace(self._plan.serve, specs=list(specs), settings=self._plan.in_force())
