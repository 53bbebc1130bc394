"""`edge-serve cluster`: this box's place among several that serve as one. See docs/cluster.md."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ipc import cluster as places
from ipc.cluster import ClusterState, Member
from supervisor.cli import output
from supervisor.cli.commands.arguments import Json
from supervisor.cli.commands.load_settings import load_settings

if TYPE_CHECKING:
    from supervisor.config.settings import Settings

# Of what is free as a box joins; the rest is for its own server, and what else it does.
_FREE_PART = 0.75

cluster = typer.Typer(
    name="cluster",
    help="Have several boxes serve as one, by Ray Serve.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Address = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Of this box, by which the others reach it.")
]
MemoryMb = Annotated[
    int,
    typer.Option(min=0, help="What models of the cluster may take here; 0: 3/4 of what is free."),
]


@cluster.command()
def init(
    context: typer.Context,
    address: Address,
    cluster_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Where the others find this box.")
    ] = places.PORT,
    memory_mb: MemoryMb = 0,
) -> None:
    """Make this box the first one of a new cluster; prints what others join it by, a secret."""
    from supervisor.cluster import membership
    from supervisor.cluster.bundle import as_text

    settings = _settings(context)
    folder = _new(settings)
    here = _checked(address)
    member = _member(settings, here, here, cluster_port, memory_mb)
    bundle = membership.found(folder, member)
    _start_new(folder, member)
    output.note("this box is the first one of a cluster. On each other one, with this line:")
    output.note("  edge-serve cluster join --address ITS_ADDRESS -")
    output.say(as_text(bundle))


@cluster.command()
def join(
    context: typer.Context,
    bundle: Annotated[
        str, typer.Argument(metavar="FILE", help="With what init has printed; - reads it here.")
    ],
    address: Address,
    memory_mb: MemoryMb = 0,
) -> None:
    """Have this box belong to a cluster."""
    from supervisor.cluster import membership
    from supervisor.cluster.bundle import BundleError, from_text

    settings = _settings(context)
    folder = _new(settings)
    try:
        found = from_text(sys.stdin.read() if bundle == "-" else Path(bundle).read_text())
    except (OSError, UnicodeDecodeError, BundleError) as error:
        output.fail(f"cluster join: {error}")
    member = _member(settings, _checked(address), found.head, found.port, memory_mb)
    membership.enter(folder, member, found)
    _start_new(folder, member)
    output.say(f"this box belongs to the cluster of {member.head}")


@cluster.command()
def start(context: typer.Context) -> None:
    """Have this box's node run: after a restart of the box, or after a drain."""
    from supervisor.cluster import node

    folder, member = _own(context)
    try:
        node.start(folder)
    except node.NodeError as error:
        output.fail(f"cluster start: {error}")
    output.say(f"{member.address} is in the cluster of {member.head}")


@cluster.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Show the boxes and the replicas of models. Fails while the first box does not answer."""
    from supervisor.cli.cluster.asking import ask

    folder, _ = _own(context)
    _tell(ask(folder, "status"), json=json)


@cluster.command()
def drain(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of the box.")],
    json: Json = False,
) -> None:
    """Have a box take no new work: its replicas start elsewhere, then its node ends.

    On that box, `start` has it come back, and `leave` has it gone.
    """
    from supervisor.cli.cluster.asking import ask

    folder, _ = _own(context)
    _tell(ask(folder, "drain", address), json=json)


@cluster.command()
def remove(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="By its name in the catalog.")],
    json: Json = False,
) -> None:
    """End the replicas of a model that the first box's catalog has no more."""
    from supervisor.cli.cluster.asking import ask

    folder, _ = _own(context)
    _tell(ask(folder, "remove", model), json=json)


@cluster.command()
def leave(
    context: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Without a drain; of the first box: end the cluster.")
    ] = False,
) -> None:
    """Drain this box, and have it belong to no cluster: no process and no file is left."""
    from supervisor.cli.cluster.asking import ask
    from supervisor.cluster import membership, node

    folder, member = _own(context)
    if not force and node.running(folder) is not None:
        state = ask(folder, "status")
        others = [one for one in state.boxes if one.state == "up" and one.address != member.address]
        if member.is_head and others:
            names = ", ".join(one.address for one in others)
            output.fail(f"cluster leave: {names} would lose the first box; --force ends them all")
        if not member.is_head:
            ask(folder, "drain", member.address)
    try:
        node.stop(folder)
    except node.NodeError as error:
        output.fail(f"cluster leave: {error}")
    membership.forget(folder, member)
    output.say("this box belongs to no cluster")


def _settings(context: typer.Context) -> Settings:
    """Ends the command where Ray is not installed."""
    from supervisor.models.optional_packages import RAY

    if not RAY.are_here():
        output.fail(f"cluster: {RAY.modules[0]} is not installed here; run: {RAY.by_hand}")
    return load_settings(context.obj)


def _folder(settings: Settings) -> Path:
    from supervisor.launch.state_folder import make_state_dir

    state_dir, why = make_state_dir(settings)
    if state_dir is None:
        output.fail(*why)
    return places.folder_of(state_dir)


def _new(settings: Settings) -> Path:
    folder = _folder(settings)
    if (member := places.read(folder)) is not None:
        output.fail(
            f"cluster: this box belongs to the cluster of {member.head} already; leave it first"
        )
    return folder


def _own(context: typer.Context) -> tuple[Path, Member]:
    folder = _folder(_settings(context))
    if (member := places.read(folder)) is None:
        output.fail("cluster: this box belongs to none; run: edge-serve cluster init, or join")
    return folder, member


def _checked(address: str) -> str:
    from supervisor.cluster.membership import check_address

    try:
        return check_address(address)
    except ValueError as error:
        _refuse(str(error))


def _refuse(why: str) -> NoReturn:
    output.fail(f"cluster: --address: {why}")


def _member(settings: Settings, address: str, head: str, port: int, memory_mb: int) -> Member:
    from supervisor.host.hardware import free_mb

    return Member(
        address=address,
        head=head,
        port=port,
        memory_mb=memory_mb or int(_FREE_PART * free_mb("cpu")),
        models_dir=str(settings.edge_serve_models_dir.resolve()),
    )


def _start_new(folder: Path, member: Member) -> None:
    """Ends the command where the node does not come up; then nothing is left of it."""
    from supervisor.cluster import membership, node

    try:
        node.start(folder)
    except node.NodeError as error:
        with contextlib.suppress(node.NodeError):
            node.stop(folder)
        membership.forget(folder, member)
        output.fail(f"cluster: {error}")


def _tell(state: ClusterState, *, json: bool) -> None:
    import msgspec

    from supervisor.cli.cluster import table
    from supervisor.cli.table import show

    if json:
        output.as_json(msgspec.to_builtins(state))
        return
    console = output.console()
    show(console, table.BOXES, list(table.boxes(state)))
    if state.models:
        output.say()
        show(console, table.MODELS, list(table.models(state)), "on")
