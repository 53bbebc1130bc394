"""What some options of engines have to be. Each check raises `ValueError` with what is wrong."""

from __future__ import annotations

import re
import shlex
from urllib.parse import urlsplit

from ipc.facts.languages import NAMES


def check_address(text: str) -> None:
    try:
        parts = urlsplit(text)
        usable = parts.hostname is not None and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is not closed
        usable = False
    if not usable or not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", text):
        raise ValueError(f"{text!r} is not an address; write one such as http://10.0.0.5:8000/v1")


def addresses(given: str | list[str]) -> list[str]:
    """An address, or several, as several."""
    return [given] if isinstance(given, str) else given


def check_addresses(given: str | list[str]) -> None:
    if not given:
        raise ValueError("is empty; write at least one address")
    found = addresses(given)
    for text in found:
        check_address(text)
    if len({*found}) < len(found):
        raise ValueError("has the same address twice; write each once")


def check_variable(text: str) -> None:
    # Not shown: it may be the key itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise ValueError("is not the name of an environment variable; keys do not belong here")


def check_command(text: str) -> None:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {error}") from None
    if not any("{port}" in word for word in words):
        raise ValueError("has no {port}; pass it to the server as the port to listen on")


def check_language(code: str) -> None:
    if code not in NAMES:
        raise ValueError(f"{code!r} is not the code of a language; write one such as en")


def languages(given: str) -> list[str]:
    """The codes in a list with commas."""
    return [code.strip() for code in given.split(",")]


def check_languages(given: str) -> None:
    for code in languages(given):
        check_language(code)


def check_sizes(value: bool | int | str) -> None:
    if not isinstance(value, bool) and not re.fullmatch(
        r" *[1-9]\d* *(, *[1-9]\d* *)*", str(value)
    ):
        raise ValueError(f'{value!r} is neither true nor sizes; write them as "512,256"')
