"""A checkpoint's own chat template: somebody else's program, so it renders in a sandbox.

Values, filters and functions are those that transformers gives its templates
(`transformers.utils.chat_template_utils`), for which they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from ipc.messages.errors import InvalidRequest
from worker.chat.dialects.detect import dialect_of
from worker.chat.dialects.dialect import Turn
from worker.chat.dialects.in_text import in_parts, joined
from worker.engine import LoadError

# No model reads as much. A template that writes without end must not fill the memory.
_MAX_CHARACTERS = 64 << 20
# What is asked of a template once, to see what it takes: nothing that it would write otherwise.
# What templates say that refuse the order of turns, or a system turn.
_ABOUT_ROLES = re.compile("system|alternat", re.IGNORECASE)
_SYSTEM, _TEXT = "5820149367", "7391624850"


class Template:
    """``named`` are the texts of tokens that templates ask for, such as ``bos_token``.
    Raises `LoadError` where ``source`` is no template."""

    def __init__(self, source: str, named: Mapping[str, str]) -> None:
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise LoadError(f"the model's chat template cannot be read: {error}") from error
        self._named = dict(named)
        user = {"role": "user", "content": _TEXT}
        # Written for contents in parts: some templates for images know no other.
        self._in_parts = not self._shows([user], _TEXT) and self._shows(_in_parts([user]), _TEXT)
        system = {"role": "system", "content": _SYSTEM}
        self._has_system = self._shows(self._laid_out([system, user]), _SYSTEM)
        late = [user, {"role": "assistant", "content": ""}, user, system]
        self._has_late_system = self._shows(self._laid_out(late), _SYSTEM)
        self._source = source
        self.use_dialect("auto")

    def use_dialect(self, wanted: str) -> None:
        """Have calls written in the dialect ``wanted``; "auto" is the one that is found."""
        self.dialect = dialect_of(self._probed, self._source, wanted)

    def render(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        arguments: Mapping[str, Any] = MappingProxyType({}),
        *,
        must_call: bool = False,
        continues_last: bool = False,
    ) -> str:
        """The prompt of a chat, up to where the assistant's answer begins, or ``continues_last``.

        Templates without a system turn get its text before that of the user's first, as
        llama.cpp's server has it, and those that take one at the beginning alone get the texts of
        all there; templates without calls get those of a history, and their results, as text in
        the form of their dialect. A template that wants roles to alternate, or refuses a system
        turn, is asked once more with what it will take. Raises `InvalidRequest` in the words of
        the template.
        """
        given = self.dialect.history(turns, tools, must_call=must_call)
        turns = given.turns if self._has_late_system else _instructed_first(given.turns)
        turns = turns if self._has_system else _merged(turns)
        arguments = {**given.arguments, **arguments}
        write = self._up_to_the_last if continues_last else self._rendered
        try:
            try:
                return write(self._laid_out(turns), given.tools, arguments)
            except Exception as error:
                if _ABOUT_ROLES.search(str(error)) is None:
                    raise
                return write(self._laid_out(_alternating(turns)), given.tools, arguments)
        except Exception as error:  # whatever a template may do wrong, it does to these messages
            said = " ".join(str(error).split()) or type(error).__name__
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {said}", param="messages"
            ) from error

    def _up_to_the_last(
        self, turns: list[Turn], tools: list[Turn] | None, arguments: Mapping[str, Any]
    ) -> str:
        """The prompt up to the end of the last turn's content, less what the template ends it
        with."""
        *before, last = turns
        content = last["content"]
        if isinstance(content, str):
            marked = last | {"content": content + _TEXT}
        else:
            marked = last | {"content": [*content, {"type": "text", "text": _TEXT}]}
        rendered = self._rendered([*before, marked], tools, arguments, opens_answer=False)
        found, mark, _ = rendered.rpartition(_TEXT)
        if not mark:
            raise ValueError("it does not write the last message, so it cannot be continued")
        return found

    def _laid_out(self, turns: Sequence[Turn]) -> list[Turn]:
        return _in_parts(turns) if self._in_parts else list(turns)

    def _shows(self, turns: list[Turn], text: str) -> bool:
        return text in self._rendered_if_taken(turns)

    def _probed(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        arguments: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        try:
            return self._rendered(self._laid_out(turns), list(tools) or None, arguments)
        except Exception:
            return ""

    def _rendered_if_taken(self, turns: list[Turn]) -> str:
        """Nothing where the template refuses ``turns``."""
        try:
            return self._rendered(turns)
        except Exception:
            return ""

    def _rendered(
        self,
        turns: list[Turn],
        tools: list[Turn] | None = None,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        *,
        opens_answer: bool = True,
    ) -> str:
        pieces: list[str] = []
        room = _MAX_CHARACTERS
        given = {**self._named, "documents": None, **arguments}
        given |= {"messages": turns, "tools": tools, "add_generation_prompt": opens_answer}
        for piece in self._template.generate(given):
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise ValueError(f"it writes more than {_MAX_CHARACTERS} characters")
        return "".join(pieces)


def _in_parts(turns: Sequence[Turn]) -> list[Turn]:
    return [turn | {"content": in_parts(turn["content"])} for turn in turns]


def _instructed_first(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The texts of all system turns in one, before all others."""
    if all(turn["role"] != "system" for turn in turns[1:]):
        return turns
    texts = [turn["content"] for turn in turns if turn["role"] == "system"]
    others = [turn for turn in turns if turn["role"] != "system"]
    return [{"role": "system", "content": "\n".join(texts)}, *others]


def _merged(turns: Sequence[Turn]) -> list[Turn]:
    """The system's text put before the first turn of the user that follows it."""
    if [turn["role"] for turn in turns[:2]] != ["system", "user"]:
        return list(turns)
    system, user, *others = turns
    return [user | {"content": joined(system["content"], user["content"])}, *others]


def _alternating(turns: Sequence[Turn]) -> list[Turn]:
    """The system's text in the user's first turn, and turns of one user after the other joined."""
    alternating: list[Turn] = []
    for turn in _merged(turns):
        if alternating and turn["role"] == alternating[-1]["role"] == "user":
            before = alternating.pop()
            turn = before | {"content": joined(before["content"], turn["content"])}
        alternating.append(turn)
    return alternating


class _GenerationTag(Extension):
    """``{% generation %}`` marks what the assistant wrote, for training: here it does nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _NewDict:
    """``dict`` without its type, from which there is a way to all of Python."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args, **kwargs)


class _SafeNamespace(Namespace):
    """``namespace`` whose attributes cannot be Python's own."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, args = args[0], args[1:]
        attributes = dict(*args, **kwargs)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        Namespace.__setitem__(self, name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace has no attribute {name!r}")


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise,
        "strftime_now": _now,
        "dict": _NewDict(),
        "namespace": _SafeNamespace,
    }
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is: Jinja's own filter writes it for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> None:
    raise jinja2.TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
