"""`edge-serve keys`: who may come in, changed while the server runs. They send EDGE_SERVE_API_KEY,
which needs the role admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from supervisor.cli import output
from supervisor.cli.commands.arguments import Host, Json, Port, Url
from supervisor.cli.commands.running import running

TIMEOUT_S = 30.0
_WHOLE = ("priority", "requests_per_min", "tokens_per_min", "tokens_per_day", "concurrent")
_KNOWN = ("role", "weight", *_WHOLE, "models")

keys = typer.Typer(
    name="keys",
    help="Look after the API keys of a running edge-serve.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the key.")]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WHAT=VALUE",
        help=f"What it may do and have: {', '.join(_KNOWN)}. A limit of 0 is none; models are "
        "names with commas, and none of them all.",
    ),
]
NewSecret = Annotated[
    bool, typer.Option("--new-secret", help="Make another one; the one before is let in no more.")
]


@keys.command("list")
def list_(
    context: typer.Context,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Show the keys, what each may do and have; never a secret."""
    from supervisor.cli.answers import Keys
    from supervisor.cli.client import ask

    with running(context, url, host, port, TIMEOUT_S) as (client, where):
        told = ask(client, "/admin/keys", Keys)
    if json:
        output.as_json({"url": where, **told})
        return
    from supervisor.cli import key_table
    from supervisor.cli.table import show

    show(output.console(), key_table.COLUMNS, list(key_table.rows(told["keys"])), "models")
    if told["why_not_changeable"]:
        output.say(f"none can be changed here: {told['why_not_changeable']}")


@keys.command()
def add(
    context: typer.Context,
    name: Name,
    what: Words = None,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Make a key, and print its secret, which nobody can print again."""
    wish = _wish(what or [])
    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        _tell(_asked(client, name, "POST", wish), json)


@keys.command("set")
def set_(
    context: typer.Context,
    name: Name,
    what: Words = None,
    new_secret: NewSecret = False,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Change what a key may do and have. What is not named stays as it is."""
    wish = {**_wish(what or []), **({"new_secret": True} if new_secret else {})}
    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        _tell(_asked(client, name, "PATCH", wish), json)


@keys.command()
def rm(
    context: typer.Context,
    name: Name,
    url: Url = None,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Let nobody in with a key any more, from now on."""
    with running(context, url, host, port, TIMEOUT_S) as (client, _):
        told = _asked(client, name, "DELETE", None)
    if json:
        output.as_json(told)
    else:
        output.say(f"{name}: removed")


def _asked(
    client: Any, name: str, method: Literal["POST", "PATCH", "DELETE"], wish: dict[str, Any] | None
) -> dict[str, Any]:
    from supervisor.cli.answers import ChangedKey
    from supervisor.cli.client import ask

    return ask(client, f"/admin/keys/{quote(name, safe='')}", ChangedKey, wish, method)


def _wish(words: Iterable[str]) -> dict[str, Any]:
    """What is asked for; the server says what is wrong with a value."""
    found: dict[str, Any] = {}
    for word in words:
        what, equals, value = word.partition("=")
        if not equals or what not in _KNOWN:
            output.fail(f"{word!r} is not WHAT=VALUE with one of {', '.join(_KNOWN)}")
        found[what] = _value(what, value)
    return found


def _value(what: str, text: str) -> Any:
    try:
        if what in _WHOLE:
            return int(text)
        if what == "weight":
            return float(text)
    except ValueError:
        output.fail(f"{what}: {text!r} is not a number")
    return [name for name in text.split(",") if name] if what == "models" else text


def _tell(told: dict[str, Any], json: bool) -> None:
    if json:
        output.as_json(told)
    elif told.get("secret"):
        # Alone on stdout, so that it can be put somewhere without being seen.
        output.note(f"{told['name']}: write it down now, it is not told again")
        output.say(told["secret"])
    else:
        output.say(f"{told['name']}: changed")
