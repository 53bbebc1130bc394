"""What an operator may ask of the supervisor, and what it tells of what has happened.

A face of the frontend reads the wish, the supervisor grants it: a decision about a model is taken
where the state of models is owned. Each `Ask` gets exactly one `Told`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ipc.messages.errors import ErrorInfo
from ipc.messages.keys import KeyChange

# --- wishes ---------------------------------------------------------------------------------------


class GetHealth(msgspec.Struct, frozen=True, tag="health"):
    """Tells a report of everything, sampled now."""


class LoadModel(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """Have the model in memory, or on its way there. ``keep_s``: how long it stays without work, in
    place of its own setting, until it next leaves; -1 for ever. Tells its state at once."""

    model: str
    keep_s: float | None = None


class UnloadModel(msgspec.Struct, frozen=True, kw_only=True, tag="unload"):
    """Have the model leave memory, once it has finished what it has in hand if ``force`` is set;
    else one with work is left where it is. It comes back as its next request does."""

    model: str
    force: bool = False


class PinModel(msgspec.Struct, frozen=True, kw_only=True, tag="pin"):
    """Whether others may take the model's place in memory, from now on until the server ends."""

    model: str
    pinned: bool


class DrainModel(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """Whether the model takes no new work, from now on until the server ends; what it has been
    asked before goes on."""

    model: str
    drained: bool


class RestartModel(msgspec.Struct, frozen=True, kw_only=True, tag="restart"):
    """Replace the model's workers one after the other; each finishes what it has in hand."""

    model: str


class GetBox(msgspec.Struct, frozen=True, tag="box"):
    """Tells the machine, measured now: processors, memory, GPUs, disks, temperatures."""


class GetConfig(msgspec.Struct, frozen=True, tag="config"):
    """Tells the settings, and what is in force for each model, each with where it comes from: as
    ``settings``, ``models`` and the ``files`` that were read."""


class ReadLog(msgspec.Struct, frozen=True, kw_only=True, tag="log"):
    """Tells the last ``tail`` lines of what a process has said, of those behind line ``after``: as
    ``lines``, and the number of the ``last`` one. Every line has the number that follows."""

    process: str
    after: int = 0
    tail: int


class StopServer(msgspec.Struct, frozen=True, tag="stop"):
    """Drain and end, as SIGTERM has it."""


class StartPull(msgspec.Struct, frozen=True, kw_only=True, tag="pull"):
    """Pull ``source``, a model of the catalog or a place on the hub that is to be called ``name``,
    by a job of the server; ``force`` fetches what is too large for its memory. With ``serve`` it
    joins the server once it is here. Tells the job."""

    source: str
    name: str = ""
    serve: bool = True
    force: bool = False


class EstimatePull(msgspec.Struct, frozen=True, tag="estimate_pull"):
    """Tells what a pull of ``source`` would fetch and take, once that has been found out."""

    source: str


class RemoveModel(msgspec.Struct, frozen=True, tag="remove"):
    """Remove the files of a model and what pulling it has written, and serve it no more; what it
    has been asked before goes on. Tells once they are gone."""

    model: str


class ListPulls(msgspec.Struct, frozen=True, tag="pulls"):
    """Tells all jobs that are remembered."""


class GetPull(msgspec.Struct, frozen=True, tag="get_pull"):
    id: str


class ControlPull(msgspec.Struct, frozen=True, tag="control_pull"):
    """Pause a job, go on with it, or cancel it and remove what it has fetched. Tells the job."""

    id: str
    act: Literal["pause", "resume", "cancel"]


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag="reload"):
    """Read the configuration again and take over what has changed, of ``model`` alone if one is
    named. A ``dry_run`` only tells what would. A model that has no room for its old and its new
    workers is left as it is unless there may be ``downtime``. Tells once the files are read."""

    model: str | None = None
    dry_run: bool = False
    downtime: bool = False


class RollBack(msgspec.Struct, frozen=True, kw_only=True, tag="roll_back"):
    """Serve the model as before its last update."""

    model: str


class ListKeys(msgspec.Struct, frozen=True, tag="keys"):
    """Tells the API keys, without their secrets, and whether they can be changed."""


class AddKey(msgspec.Struct, frozen=True, kw_only=True, tag="add_key"):
    """Let in who has the secret of ``key``'s digest, from now on. Tells the key."""

    name: str
    key: KeyChange


class SetKey(msgspec.Struct, frozen=True, kw_only=True, tag="set_key"):
    """Change what a key may do, or what its secret is. Tells the key."""

    name: str
    change: KeyChange


class RemoveKey(msgspec.Struct, frozen=True, tag="remove_key"):
    """Let nobody in with this key any more. Tells what it was."""

    name: str


ModelWish = LoadModel | UnloadModel | PinModel | DrainModel | RestartModel | RollBack
PullWish = StartPull | ListPulls | GetPull | ControlPull
KeyWish = ListKeys | AddKey | SetKey | RemoveKey
Wish = (
    (GetHealth | GetBox | GetConfig | ReadLog | StopServer | Reload)
    | (LoadModel | UnloadModel | PinModel | DrainModel | RestartModel | RollBack)
    | (StartPull | EstimatePull | RemoveModel | ListPulls | GetPull | ControlPull)
    | (ListKeys | AddKey | SetKey | RemoveKey)
)


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """The frontend asks in a client's name; ``id`` is its own count."""

    id: int
    wish: Wish


class Told(msgspec.Struct, frozen=True, kw_only=True, tag="told"):
    """The answer: a ``report`` as JSON-ready data, or why there is none."""

    id: int
    report: dict[str, Any] | None = None
    error: ErrorInfo | None = None


# --- what has happened ----------------------------------------------------------------------------


class BoxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has happened to the server. ``seq`` grows by one with each, over all restarts
    of the frontend; ``time_s`` is seconds since 1970. ``type`` has its word from docs/admin.md,
    ``facts`` what it is about, as JSON-ready data; never a prompt, an answer or a key."""

    seq: int
    time_s: float
    type: str
    model: str | None = None
    facts: dict[str, Any] = {}


class Happened(msgspec.Struct, frozen=True, tag="happened"):
    """The newest events, in their order; a new frontend gets all that are kept."""

    events: list[BoxEvent]


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """Something has happened in the frontend: to be numbered and told as a `BoxEvent` of that
    type."""

    event: str
    model: str | None = None
    facts: dict[str, Any] = {}


class AdminAct(msgspec.Struct, frozen=True, kw_only=True, tag="acted"):
    """Somebody has managed the server, which is to be written down. ``by`` is the name of an API
    key, or an address where there are none; ``on`` what was acted on. ``result`` is ``ok``, or the
    code of the error that was answered."""

    by: str
    act: str
    on: str | None
    result: str
    request_id: str
