"""What may be done to a running server, and what is told of it. Every face for operators, whichever
API it has, asks this and only renders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Literal

from frontend.api.admin.model_report import Report, model_report, unfetched_report
from frontend.dispatch import refusals
from frontend.dispatch.control import Control
from frontend.dispatch.dispatcher import Dispatcher
from frontend.history.request_record import RequestRecord
from frontend.history.request_registry import unknown
from frontend.history.requests import Requests
from frontend.http.following import Followers
from ipc.messages.admin import (
    AddKey,
    ControlPull,
    DrainModel,
    EstimatePull,
    GetBox,
    GetConfig,
    GetHealth,
    GetPull,
    ListKeys,
    ListPulls,
    LoadModel,
    PinModel,
    ReadLog,
    Reload,
    RemoveKey,
    RemoveModel,
    RestartModel,
    RollBack,
    SetKey,
    StartPull,
    StopServer,
    UnloadModel,
    Wish,
)
from ipc.messages.errors import CancelledByOperator, ModelLoading, ModelNotFound
from ipc.messages.keys import KeyChange
from ipc.messages.spec import Spec
from ipc.runtime import log
from ipc.runtime.recent_lines import Lines, RecentLines

# This process, whose log is here.
FRONTEND = "frontend"

# The supervisor decides in milliseconds; what it decides takes its time, and is looked at.
ANSWER_S = 5.0
# The supervisor gives an estimate or a removal up before this: see `supervisor.pulls.jobs`.
COMMAND_S = 100.0
# Longer than the supervisor waits for two readings of the configuration.
RELOAD_S = 270.0
# How long a load is waited for at most. It goes on.
LOAD_WAIT_S = 600.0
_LOOK_S = 0.1
# How often it is looked how far a pull is, for who waits for it.
STEP_S = 0.25
# One that was refused for want of room before is said to be for so long.
REFUSED_S = 10.0


class Operator:
    """Decides nothing: what becomes of a model, the supervisor decides. ``requests`` are those of
    this server, ``followers`` those who follow what happens to it, ``own_log`` is what this process
    has said."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        control: Control,
        requests: Requests,
        own_log: RecentLines = log.recent,
    ) -> None:
        self._dispatcher = dispatcher
        self._control = control
        self._own_log = own_log
        self.requests = requests
        self.followers = Followers()

    def end(self) -> None:
        """The server stops."""
        self.followers.end()

    # --- models ---

    async def models(self) -> list[Report]:
        """All of them, those included that could not be fetched."""
        told, queues = await self._told(), self._dispatcher.queues()
        names = {**self._dispatcher.specs, **told}
        return [self._report(name, told.get(name), queues) for name in names]

    async def model(self, name: str) -> Report:
        """The one that has this name or alias. Raises `ModelNotFound`."""
        told = await self._told()
        name = self._dispatcher.aliases.get(name, name)
        if name not in told and name not in self._dispatcher.specs:
            raise self._unknown()
        return self._report(name, told.get(name), self._dispatcher.queues())

    async def load(
        self, name: str, *, wait: bool = False, pin: bool | None = None, keep_s: float | None = None
    ) -> Report:
        """Have it loaded; with ``wait`` returns once it is ready, or `LOAD_WAIT_S` has passed. See
        `LoadModel` for ``keep_s``. Raises the reason why it cannot be loaded."""
        spec = self.named(name)
        await self._ask(LoadModel(model=spec.name, keep_s=keep_s))
        if pin is not None:
            await self._ask(PinModel(model=spec.name, pinned=pin))
        if wait:
            await self._until_ready(spec)
        return await self.model(spec.name)

    async def unload(self, name: str, *, force: bool = False) -> Report:
        """Have it leave memory. Raises `ModelBusy` where it has work, unless ``force``: then it
        finishes what it has in hand."""
        spec = self.named(name)
        self._dispatcher.tell_demand()  # what has come since the last tick is work, too
        await self._ask(UnloadModel(model=spec.name, force=force))
        return await self.model(spec.name)

    async def unload_all(self) -> None:
        """Have every model leave memory, once it has finished what it has in hand."""
        for name in [*self._dispatcher.specs]:
            await self._ask(UnloadModel(model=name, force=True))

    async def pin(self, name: str, *, pinned: bool) -> Report:
        """Whether others may take its place in memory."""
        spec = self.named(name)
        await self._ask(PinModel(model=spec.name, pinned=pinned))
        return await self.model(spec.name)

    async def drain(self, name: str, *, drained: bool) -> Report:
        """Whether it takes no new work from now on; what it was asked before goes on."""
        spec = self.named(name)
        await self._ask(DrainModel(model=spec.name, drained=drained))
        return await self.model(spec.name)

    async def drain_all(self, *, drained: bool) -> list[Report]:
        """The same of every model that there is now."""
        for name in [*self._dispatcher.specs]:
            await self._ask(DrainModel(model=name, drained=drained))
        return await self.models()

    async def restart(self, name: str) -> Report:
        """Replace its workers, one after the other."""
        spec = self.named(name)
        await self._ask(RestartModel(model=spec.name))
        return await self.model(spec.name)

    async def remove(self, name: str) -> Report:
        """Have its files removed, and serve it no more. Raises `Conflict` where that may not be."""
        spec = self.named(name)
        return await self._control.ask(RemoveModel(spec.name), COMMAND_S)

    async def roll_back(self, name: str) -> Report:
        """Serve it as before its update. Raises `Conflict` where nobody is there who could."""
        spec = self.named(name)
        await self._ask(RollBack(model=spec.name))
        return await self.model(spec.name)

    def named(self, name: str) -> Spec:
        """The model that has this name or alias. Raises `ModelNotFound`."""
        spec = self._dispatcher.called(name)
        if spec is None:
            raise self._unknown()
        return spec

    async def _until_ready(self, spec: Spec) -> None:
        """Raises why it is not loaded; returns also where it takes too long."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        ends_at = began_at + LOAD_WAIT_S
        while loop.time() < ends_at:
            state = self._dispatcher.state(spec.name)
            if state.state == "ready":
                return
            if state.state == "backoff":
                raise ModelLoading(f"model {spec.name!r} could not be loaded: {state.reason}")
            if state.state == "failed":
                raise refusals.circuit_open(state)
            if state.refused is not None and loop.time() - began_at > REFUSED_S:
                raise refusals.no_room(state.refused)
            await asyncio.sleep(_LOOK_S)

    async def _told(self) -> dict[str, Report]:
        """What the supervisor tells of each model."""
        report = await self._ask(GetHealth())
        return {model["name"]: model for model in report["models"]}

    def _report(self, name: str, told: Report | None, queues: Mapping[str, Report]) -> Report:
        spec = self._dispatcher.specs.get(name)
        if spec is None:
            return unfetched_report(name, told or {})
        aliases = [alias for alias, own in self._dispatcher.aliases.items() if own == name]
        state, queue = self._dispatcher.state(name), queues.get(name, {})
        return model_report(spec, state, aliases, queue, told or {})

    def _unknown(self) -> ModelNotFound:
        return ModelNotFound(
            "this server has no such model; GET /admin/models lists what it has", param="model"
        )

    # --- requests ---

    def cancel(self, request_id: str) -> RequestRecord:
        """End what is made for it; its client is told so. Raises `NotFound`, also where no model
        has been asked yet."""
        registry = self.requests.registry
        for stream in registry.streams(request_id):
            stream.abort(CancelledByOperator("an operator of this server has cancelled it"))
        if (record := registry.record(request_id)) is None:
            raise unknown(request_id)
        return record

    # --- pulls ---

    async def pull(self, source: str, *, name: str, serve: bool, force: bool) -> Report:
        """Have it fetched by a job of the server. Raises `QueueFull`."""
        return await self._ask(StartPull(source=source, name=name, serve=serve, force=force))

    async def estimate_pull(self, source: str) -> Report:
        """What that would take. Raises why it cannot be had."""
        return await self._control.ask(EstimatePull(source), COMMAND_S)

    async def pulls(self) -> Report:
        """All that are remembered."""
        return await self._ask(ListPulls())

    async def pull_of(self, pull_id: str) -> Report:
        """The one with that id. Raises `NotFound`."""
        return await self._ask(GetPull(pull_id))

    async def pull_steps(self, pull_id: str) -> AsyncIterator[Report]:
        """How that one stands, each time that this has changed, until it goes on no more by itself.
        Raises as `pull_of`."""
        last: Report = {}
        while last.get("state") in (None, "waiting", "running"):
            pull = await self.pull_of(pull_id)
            if pull != last:
                yield pull
            last = pull
            await asyncio.sleep(STEP_S if pull["state"] in ("waiting", "running") else 0.0)

    async def control_pull(self, pull_id: str, act: Literal["pause", "resume", "cancel"]) -> Report:
        """Raises `NotFound`, and `Conflict` where it has ended."""
        return await self._ask(ControlPull(pull_id, act))

    # --- keys ---

    async def keys(self) -> Report:
        """All that are let in, and why they cannot be changed if they cannot."""
        return await self._ask(ListKeys())

    async def add_key(self, name: str, key: KeyChange) -> Report:
        """Let in whoever has it. Raises `Conflict` where that cannot be kept."""
        return await self._ask(AddKey(name=name, key=key))

    async def set_key(self, name: str, change: KeyChange) -> Report:
        """Raises `NotFound`, and `Conflict` where it cannot be changed."""
        return await self._ask(SetKey(name=name, change=change))

    async def remove_key(self, name: str) -> Report:
        """Let nobody in with it any more. Raises `NotFound`, and `Conflict` as before."""
        return await self._ask(RemoveKey(name))

    # --- the server ---

    async def box(self) -> Report:
        """The machine, measured now."""
        return await self._ask(GetBox())

    async def config(self) -> Report:
        """The configuration that is in force, each value with where it comes from."""
        return await self._ask(GetConfig())

    async def log(self, process: str, tail: int, after: int = 0) -> Lines:
        """The last ``tail`` lines of what the process has said, of those behind line ``after``.
        Raises `NotFound`."""
        if process == FRONTEND:
            return self._own_log.tail(tail, after)
        told = await self._ask(ReadLog(process=process, after=after, tail=tail))
        return Lines(told["lines"], told["last"])

    async def reload(
        self, *, model: str | None = None, dry_run: bool = False, downtime: bool = False
    ) -> Report:
        """Have the configuration read again, see `Reload`. Returns what has changed, once it was
        read. Raises `InvalidRequest` for files that are wrong."""
        named = self._dispatcher.aliases.get(model, model) if model else None
        wish = Reload(model=named, dry_run=dry_run, downtime=downtime)
        return await self._control.ask(wish, RELOAD_S)

    async def stop(self) -> Report:
        """Drain and end, as SIGTERM has it."""
        return await self._ask(StopServer())

    async def _ask(self, wish: Wish) -> Report:
        return await self._control.ask(wish, ANSWER_S)
