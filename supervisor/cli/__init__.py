"""The command line: ``edge-serve`` alone serves; its commands look after models and the service.

Imports beyond typer wait until a command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import sys

import typer

from ipc.runtime import standard_streams
from supervisor import interrupt
from supervisor.cli import output
from supervisor.cli.cluster.commands import cluster
from supervisor.cli.commands.chat import chat
from supervisor.cli.commands.client import bench, replay, smoke, status
from supervisor.cli.commands.config import config
from supervisor.cli.commands.drain import drain, resume
from supervisor.cli.commands.incidents import incidents
from supervisor.cli.commands.keys import keys
from supervisor.cli.commands.models import check, models
from supervisor.cli.commands.operate import events, load, logs, ps, unload
from supervisor.cli.commands.pull import pull
from supervisor.cli.commands.reload import reload, rollback, update
from supervisor.cli.commands.rm import rm
from supervisor.cli.commands.search import search
from supervisor.cli.commands.serve import install_service, serve
from supervisor.cli.commands.stop import stop
from supervisor.cli.commands.top import top
from supervisor.cli.commands.usage import usage
from supervisor.config.errors import EXIT_CONFIG, ConfigError

# What they do not know is for the program that they start.
_FORWARDED = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="edge-serve",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback(invoke_without_command=True)(serve)
_OF_MODELS = (pull, search, models, rm, check, config, chat)
_OF_A_SERVER = (
    top,
    status,
    ps,
    load,
    unload,
    drain,
    resume,
    logs,
    events,
    incidents,
    usage,
    smoke,
    stop,
)
_OF_ITS_FILES = (reload, update, rollback)
for command in (*_OF_MODELS, *_OF_A_SERVER, *_OF_ITS_FILES):
    app.command()(command)
app.add_typer(keys)
app.add_typer(cluster)
app.command(context_settings=_FORWARDED)(bench)
app.command(context_settings=_FORWARDED)(replay)
app.command("install-service")(install_service)


def main() -> None:
    """The console script. A setting that cannot be used ends it with one line and status 78."""
    standard_streams.ensure()
    with standard_streams.read_to_the_end():
        try:
            with interrupt.quiet():
                app(prog_name=app.info.name)
        except ConfigError as error:
            output.problem(error)
            sys.exit(EXIT_CONFIG)
