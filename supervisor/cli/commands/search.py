"""`edge-serve search`: models of the hub."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Json
from supervisor.cli.commands.load_settings import load_settings


def search(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORDS")],
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="chat, embed, rerank, speech or speak.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="COUNT", min=1, max=100)] = 20,
    json: Json = False,
) -> None:
    """Search the hub for models that are served here, the most fetched ones first.

    Sizes are as the hub tells, of GGUF files as in 4 bits. Whether one fits is a rough guess by the
    memory that is free now; `edge-serve pull --dry-run` looks closely.
    """
    from supervisor.config.settings import Flags
    from supervisor.discovery.search import search as found_by
    from supervisor.host.hardware import free_mb
    from supervisor.models.archive import FetchError

    settings = load_settings(Flags().over(context.obj))
    try:
        hits = list(found_by(" ".join(words), task, limit, settings.hf_token))
    except FetchError as error:
        output.fail(str(error))
    free = free_mb("cpu")
    listed = []
    for hit in hits:
        needs_mb = hit.needs_mb()
        fits = None if needs_mb is None else needs_mb <= free
        listed.append({**hit._asdict(), "source": f"hf:{hit.repo}", "fits": fits})
    if json:
        output.as_json({"models": listed})
        return
    _show(listed)


def _show(listed: list[dict[str, object]]) -> None:
    from supervisor.cli.table import Column, Row, show

    columns = (
        Column("model"),
        Column("task"),
        Column("MB", right=True),
        Column("fits"),
        Column("downloads", rank=1, right=True),
    )
    rows = []
    for one in listed:
        size = one["size_bytes"]
        fits = {True: "yes", False: "no", None: ""}[one["fits"]]  # type: ignore[index]
        mb = str(size // 10**6) if isinstance(size, int) else ""
        note = "asks for consent on its page, then for HF_TOKEN" if one["gated"] else ""
        rows.append(
            Row(str(one["source"]), (str(one["task"]), mb, fits, str(one["downloads"])), note)
        )
    show(output.console(), columns, rows, "note")
