"""The calls of one choice, put together from what a server sends of them. No sockets in here.

Servers send a call in pieces or whole, with an index, an id or neither, beginning at 0 or at 1, and
repeat the id or not. Clients get one call after the other: what comes of a later one before the
earlier is whole is held back.
"""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ipc.messages.errors import InternalError
from worker.engines.common.server_json import SurrogateJoiner, not_understood
from worker.engines.upstream.chunks import CallPart

_ALPHABET = string.ascii_letters + string.digits
_ID_CHARS = 24


class Opened(NamedTuple):
    at: int
    id: str
    name: str


class Added(NamedTuple):
    """More of the arguments of the ``at``-th call."""

    at: int
    text: str


Told = Opened | Added


@dataclass(slots=True)
class _Call:
    index: int | None  # as the server says it
    id: str = ""
    name: str = ""
    joiner: SurrogateJoiner = field(default_factory=SurrogateJoiner)
    arguments: list[str] = field(default_factory=list)
    told: int = 0  # of the arguments

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are a JSON object, after which none of it can follow."""
        text = "".join(self.arguments).strip()
        try:
            return text.startswith("{") and isinstance(json.loads(text), dict)
        except ValueError:
            return False

    def take_rest(self) -> list[str]:
        """Those of its arguments that were not told, which they are by this."""
        rest = self.arguments[self.told :]
        self.told = len(self.arguments)
        return rest


class Calls:
    """Takes pieces as they come; tells calls in order, each as soon as its name is complete."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._open = -1  # the last that was told of

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def names(self) -> list[str]:
        return [call.name for call in self._calls]

    def feed(self, parts: Sequence[CallPart]) -> list[Told]:
        """What can be told now. Raises `InternalError` where no order can be made of it."""
        for part in parts:
            self._add(part)
        return self._tell(at_end=False)

    def end(self, *, is_cut: bool) -> list[Told]:
        """All that is held back. Where the answer ``is_cut``, a call without a name is left out;
        elsewhere one without arguments has those of no object.

        Raises `InternalError` for a call without a name.
        """
        for call in self._calls:
            if half := call.joiner.end():
                call.arguments.append(half)
            if not is_cut and not "".join(call.arguments).strip():
                call.arguments.append("{}")
        if not is_cut and not all(self.names):
            raise InternalError("the upstream called a tool without saying which")
        return self._tell(at_end=True)

    def _add(self, part: CallPart) -> None:
        function = part.function
        if function is None:
            not_understood()
        call = self._of(part, function.name)
        if call is None:
            call = _Call(part.index)
            self._calls.append(call)
        call.id = call.id or part.id or ""
        if function.name and function.name != call.name:
            if call.arguments:
                raise InternalError("the upstream renamed a call whose arguments had begun")
            call.name += function.name
        if text := call.joiner.feed(_text(function.arguments)):
            call.arguments.append(text)

    def _of(self, part: CallPart, name: str | None) -> _Call | None:
        """The call that ``part`` belongs to; None for a new one."""
        if part.index is not None:
            return self._of_index(part, name)
        if part.id:
            found = next((call for call in self._calls if call.id == part.id), None)
            if found is not None or name:
                return found
        last = self._calls[-1] if self._calls else None
        if last is None or (name and last.name and (name != last.name or last.is_whole)):
            return None
        return last

    def _of_index(self, part: CallPart, name: str | None) -> _Call | None:
        """Some servers give every whole call the index 0, so a name with another id is a new one.
        An id alone is not: some make one for every piece."""
        found = next((call for call in reversed(self._calls) if call.index == part.index), None)
        if found is None or not name:
            return found
        is_other = found.id != part.id if found.id and part.id else found.is_whole
        return None if is_other else found

    def _tell(self, *, at_end: bool) -> list[Told]:
        told: list[Told] = []
        for at, call in enumerate(self._calls):
            if at < self._open:
                if "".join(call.take_rest()).strip():
                    raise InternalError("the upstream went on with a call that was whole")
                continue
            if at > self._open:
                # Only its arguments show that a name is complete.
                if not call.name or not (call.arguments or at_end):
                    break
                self._open = at
                told.append(Opened(at, call.id or _new_id(), call.name))
            told += [Added(at, text) for text in call.take_rest()]
            is_last = at + 1 == len(self._calls)
            if not is_last and not at_end and not call.is_whole:
                break
        return told


class CallsInOrder:
    """Those of another edge-serve: one after the other, each with its number, named as it begins.
    It may have begun in a part of the answer that another server has told."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def feed(self, parts: Sequence[CallPart]) -> list[Told]:
        """What these say. Raises `InternalError` where it is no call."""
        told: list[Told] = []
        for part in parts:
            function, at = part.function, part.index
            if function is None or at is None:
                not_understood()
            self._seen.add(at)
            if function.name:
                told.append(Opened(at, part.id or _new_id(), function.name))
            if text := _text(function.arguments):
                told.append(Added(at, text))
        return told

    def end(self, *, is_cut: bool) -> list[Told]:  # noqa: ARG002
        """Nothing, since nothing is held back."""
        return []


def _text(arguments: Any) -> str:
    """Arguments, which should be the text of JSON, as a text."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _new_id() -> str:
    return "call_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))
