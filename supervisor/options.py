"""The ``options`` of the engines that ask another server, checked before anything starts."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from supervisor.problems import explain, nearest
from supervisor.settings import OptionalSeconds


def check(engine: str, options: dict[str, Any], *, has_source: bool) -> None:
    """Raises `ValueError` where ``options`` do not say how an ``engine`` reaches its server."""
    kind = OPTIONS.get(engine)
    if kind is None:
        return
    try:
        found = kind.model_validate(options)
    except ValidationError as error:
        raise ValueError(f"options.{_explain(kind, error)}") from None
    if isinstance(found, Command) and "{path}" in found.command and not has_source:
        raise ValueError("options.command: has a {path}, but the model has no source; add one")
    if isinstance(found, Remote) and has_source:
        raise ValueError("source: the files of a remote model are elsewhere; remove it")


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    if name == "api_key":
        return "api_key: keys do not belong into files; name a variable with one in api_key_env"
    if first["type"] == "extra_forbidden":
        return f"{name}: unknown key{nearest(name, kind.model_fields)}"
    return f"{name}: {explain(first, kind.model_fields.get(name))}"


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", text):
        raise ValueError(f"{text!r} is not an address; write one such as http://10.0.0.5:8000/v1")
    return text


def _variable(text: str) -> str:
    # Not shown: it may be the key itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("is not the name of an environment variable; keys do not belong here")
    return text


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not any("{port}" in word for word in words):
        raise ValueError("has no {port}; pass it to the server as the port to listen on")
    return text


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str | None, Field(min_length=1)] = None


class Remote(_Options):
    base_url: Annotated[str, AfterValidator(_address)]
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    connect_timeout_s: OptionalSeconds = None
    verify: bool | str = True


class Command(_Options):
    command: Annotated[str, AfterValidator(_command)]
    health_path: Annotated[str, Field(pattern="^/")] = "/health"
    start_timeout_s: OptionalSeconds = None


OPTIONS: dict[str, type[BaseModel]] = {"remote": Remote, "command": Command}
