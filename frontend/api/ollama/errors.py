"""Errors as Ollama's API tells them, in the words of its requests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from frontend.api.answer import Answer
from frontend.api.ollama.options import NAMES
from frontend.api.translated import renamed
from ipc.messages.errors import ServeError

# Where the chat that a request was translated into has its images.
_IMAGE = re.compile(r"messages\[(?P<turn>\d+)\]\.content\[(?P<at>\d+)\](\.image_url\.url)?$")
OF_A_MESSAGE = "messages[{turn}].images[{at}]"
OF_A_PROMPT = "images[{at}]"


class OllamaError(Answer):
    """Described for ``/openapi.json``."""

    error: str


def error_object(error: ServeError) -> dict[str, str]:
    return {"error": error.message}


def error_form(error: ServeError, _request_id: str) -> dict[str, str]:
    """An error before its answer has begun."""
    return error_object(error)


@contextmanager
def told_in_clients_words(image: str) -> Iterator[None]:
    """Errors within name keys as the client sent them; ``image`` is where it sends images."""
    try:
        yield
    except ServeError as error:
        raise _told(error, image) from None


def _told(error: ServeError, image: str) -> ServeError:
    found = _IMAGE.match(error.param or "")
    if found is None:
        return renamed(error, NAMES)
    param = image.format(**found.groupdict())
    message = error.message.replace(f"`{error.param}`", f"`{param}`")
    return type(error)(message, param=param, retry_after_s=error.retry_after_s)
