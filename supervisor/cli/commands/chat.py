"""A chat in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Port, Url
from supervisor.cli.commands.load_settings import load_settings

if TYPE_CHECKING:
    from supervisor.cli.conversation import Conversation

# Between two pieces of an answer; the server's own limits are shorter.
TIMEOUT_S = 600.0
_PROMPT = ">>> "
_HELP = "/clear forgets what was said; /bye or Ctrl-D leaves; Ctrl-C stops an answer"


def chat(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="The first that chats if not named.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the model is told before all else.")
    ] = None,
    url: Url = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Talk to a model of a running edge-serve.

    Without a terminal each line of the input is a message. Sends EDGE_SERVE_API_KEY as the API key
    where it is set, and trusts the certificate in SSL_CERTFILE.
    """
    from supervisor.cli.client import Unreached, connect
    from supervisor.cli.conversation import Conversation, chat_model
    from supervisor.config.settings import Flags

    settings = load_settings(Flags(host=host, port=port).over(context.obj))
    try:
        with connect(settings, url, timeout_s=TIMEOUT_S) as client:
            name = chat_model(client, model)
            if sys.stdin.isatty():
                output.say(f"{name}: /bye leaves, Ctrl-C stops an answer, /help tells more")
            failed = _talk(Conversation(client, name, system))
    except Unreached as error:
        output.fail(str(error))
    raise typer.Exit(1 if failed else 0)


def _talk(conversation: Conversation) -> bool:
    """Read and answer until the end of the input or /bye. Whether any answer has failed."""
    failed = False
    while (text := _read()) is not None:
        match text.strip():
            case "":
                continue
            case "/bye" | "/exit" | "/quit":
                break
            case "/clear":
                conversation.clear()
            case command if command.startswith("/") and " " not in command:
                output.say(_HELP)
            case message:
                failed |= not _answer(conversation, message)
    return failed


def _read() -> str | None:
    """The next line; None at the end of the input. Ctrl-C throws away what was typed."""
    if not sys.stdin.isatty():
        return sys.stdin.readline() or None
    import readline  # noqa: F401  # arrow keys, and earlier lines by arrow up

    while True:
        try:
            return input(_PROMPT)
        except KeyboardInterrupt:
            output.say("\n(/bye leaves)")
        except EOFError:
            output.say()
            return None


def _answer(conversation: Conversation, message: str) -> bool:
    """Print the answer as it comes, until Ctrl-C. Whether it came."""
    from supervisor.cli.conversation import NoAnswer

    pieces = conversation.answer(message)
    try:
        for piece in pieces:
            output.say(piece, end="")
    except KeyboardInterrupt:
        pieces.close()
    except NoAnswer as error:
        output.note()
        output.problem(error)
        return False
    output.say()
    return True
