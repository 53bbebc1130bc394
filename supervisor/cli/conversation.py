"""A chat with a model of a running server: what was said so far, and the next answer in pieces."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import httpx2
import msgspec

from ipc.tasks import TASKS
from supervisor.cli.answers import Chunk, Listed
from supervisor.cli.client import Unreached, ask, trouble
from supervisor.config.errors import nearest


class NoAnswer(Exception):
    """The server has refused, or its answer was cut. The message is its own."""


def chat_model(client: httpx2.Client, wanted: str | None) -> str:
    """The model to talk to: the one that is ``wanted``, else the first that chats.

    Raises `Unreached`.
    """
    listed = ask(client, "/v1/models", Listed)["data"]
    names = [
        one["id"] for one in listed if TASKS["chat"].capability in (one.get("capabilities") or ())
    ]
    if wanted in names:
        return str(wanted)
    if wanted is not None:
        raise Unreached(f"the server has no chat model {wanted!r}{nearest(wanted, names)}")
    if not names:
        raise Unreached("the server has no chat model; see edge-serve models")
    return str(names[0])


class Conversation:
    """Messages in order. An answer that was stopped stays, as far as it came."""

    def __init__(self, client: httpx2.Client, model: str, system: str | None) -> None:
        self._client = client
        self._model = model
        self._system = [{"role": "system", "content": system}] if system else []
        self.messages: list[dict[str, str]] = []

    def clear(self) -> None:
        """Forget all but the system prompt."""
        self.messages = []

    def answer(self, text: str) -> Generator[str, None, None]:
        """The answer to ``text`` in the pieces in which it comes. Whoever stops iterating ends it.

        Raises `NoAnswer`; nothing of the turn is kept then.
        """
        asked = {"role": "user", "content": text}
        body = {
            "model": self._model,
            "messages": [*self._system, *self.messages, asked],
            "stream": True,
        }
        said = ""
        try:
            with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != 200:
                    raise NoAnswer(_refusal(response))
                for piece in _pieces(response.iter_lines()):
                    said += piece
                    yield piece
        except httpx2.HTTPError as error:
            raise NoAnswer(trouble(error)) from None
        except (GeneratorExit, KeyboardInterrupt):
            self._keep(asked, said)
            raise
        self._keep(asked, said)

    def _keep(self, asked: dict[str, str], said: str) -> None:
        self.messages += [asked, {"role": "assistant", "content": said}]


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """The texts in the events of a stream. Raises `NoAnswer` where it ends before its end."""
    for line in lines:
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        if not line.startswith("data:"):
            continue
        event = _event(data)
        if isinstance(event.error, dict):
            raise NoAnswer(str(event.error.get("message")))
        for choice in event.choices or []:
            yield (choice.delta and choice.delta.content) or ""
    raise NoAnswer("the answer was cut off")


def _event(data: str) -> Chunk:
    try:
        return msgspec.json.decode(data, type=Chunk)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"the answer is not of the API's shape ({error})") from None


def _refusal(response: httpx2.Response) -> str:
    response.read()
    try:
        return f"{response.status_code}: {response.json()['error']['message']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{response.status_code}: {response.text[:200]}"
