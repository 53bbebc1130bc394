"""What a dialect's parser makes of an answer, in a form that does not tell how it was cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ipc.messages.jobs import ChatInput, Sampling, Tool
from worker.chat.dialects.detect import FORMATS
from worker.chat.dialects.model_dialect import ModelDialect, TemplateCan
from worker.chat.parser import Arguments, Content, Opened, Said, Thought
from worker.chat.parsing.reading import Thinking

THINK = Thinking("<think>", "</think>", "\n</think>\n\n")
# Beside a content and a thought, (name, arguments) is a call.
Spoken = list[tuple[str, str]]


def tool(name: str, strict: bool = False, **properties: Any) -> Tool:
    """A tool whose arguments are ``properties``, by their types or their schemas."""
    schemas = {
        key: {"type": kind} if isinstance(kind, str) else kind for key, kind in properties.items()
    }
    parameters = {
        "type": "object",
        "properties": schemas,
        "required": list(schemas),
        "additionalProperties": False,
    }
    return Tool(name=name, parameters=json.dumps(parameters), strict=strict)


WEATHER = tool("weather", city="string", days="integer")
CLOCK = Tool(name="clock")
TOOLS = [WEATHER, CLOCK]


def asked(tools: Iterable[Tool] = TOOLS, **others: Any) -> ChatInput:
    return ChatInput(sampling=Sampling(max_tokens=1), tools=list(tools), **others)


def dialect(name: str, thinking: Thinking | None = None) -> ModelDialect:
    """The dialect ``name`` of a model that has learned it."""
    form = next(one for one in FORMATS if one.name == name)
    can = TemplateCan(tools=True, calls=True, results=True)
    return ModelDialect(form, can, thinking, is_native=True, offered=True)


def spoken(
    model: ModelDialect,
    pieces: Sequence[str],
    of: ChatInput | None = None,
    *,
    tail: str = "",
    cut: bool = False,
    control: Sequence[str] = (),
) -> Spoken:
    """What an answer says that comes in ``pieces``: what follows each other of a kind is one."""
    parser = model.parser(of or asked(), tail, control)
    said: list[Said] = []
    for piece in pieces:
        said += parser.push(piece)
    return joined([*said, *parser.finish(cut=cut)])


def control_of(name: str) -> list[str]:
    """The texts of the dialect ``name`` that may be control tokens."""
    calls = dialect(name).calls
    return [*calls.markers, *calls.texts]


def cuts(text: str) -> list[list[str]]:
    """``text`` whole, in two at every place, in three, and letter by letter."""
    twos = [[text[:at], text[at:]] for at in range(1, len(text))]
    threes = [[text[:at], text[at : at + 3], text[at + 3 :]] for at in range(1, len(text) - 3)]
    return [[text], *twos, *threes, list(text)] if text else [[]]


def joined(said: Sequence[Said]) -> Spoken:
    whole: Spoken = []
    for one in said:
        match one:
            case Opened(_, name):
                whole.append((name, ""))
                continue
            case Content(text):
                kind = "content"
            case Thought(text):
                kind = "thought"
            case Arguments(text):
                kind = whole[-1][0]
                assert kind not in ("content", "thought")
        if whole and whole[-1][0] == kind:
            whole[-1] = (kind, whole[-1][1] + text)
        else:
            whole.append((kind, text))
    return whole
