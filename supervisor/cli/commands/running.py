"""The way of commands to the running server that they are about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from supervisor.cli import output
from supervisor.cli.commands.load_settings import load_settings

if TYPE_CHECKING:
    from httpx2 import Client


@contextmanager
def running(
    context: typer.Context,
    url: str | None,
    host: str | None,
    port: str | None,
    timeout_s: float,
) -> Iterator[tuple[Client, str]]:
    """A client of the server that is meant, and where that is. Ends with a line and status 1 where
    it does not answer as it should."""
    from supervisor.cli.client import Unreached, connect
    from supervisor.config.settings import Flags

    settings = load_settings(Flags(host=host, port=port).over(context.obj))
    try:
        with connect(settings, url, timeout_s=timeout_s) as client:
            yield client, url or settings.url
    except Unreached as error:
        output.fail(str(error))
