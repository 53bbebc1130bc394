"""From messages to the tokens of a prompt, in which only the template writes control tokens.

What a request brings is searched for the texts of control tokens before the template sees it. Each
is replaced by a word that nobody can guess, and comes back once the rendered text is cut at the
control tokens that are left, which are all the template's. So a text without any is tokenised in
one piece with what the template writes around it, as it always was.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput, Image, Input, Message, Tool, ToolCall
from ipc.messages.spec import Spec
from worker.chat.dialects.dialect import Dialect, Turn, described
from worker.chat.fill import Part as Part
from worker.chat.raw import RawLayout, tokens_of
from worker.chat.template import Template
from worker.chat.vocabulary import ControlFinder, Vocabulary

# The end of a prompt, in which a template may have begun the answer.
_TAIL_CHARACTERS = 256


class Prompt(NamedTuple):
    """``images`` is what the model takes beside the tokens, by the names that its library has.
    ``tail`` is the end of the prompt as a text; ``ends`` are tokens that end its answer beside the
    model's own."""

    tokens: list[int]
    images: Mapping[str, Any] = {}
    tail: str = ""
    ends: frozenset[int] = frozenset()


class Offered(NamedTuple):
    """What a template is given beside the messages: ``tools``, ``arguments`` by the names that it
    has for them, whether one ``must_call`` and whether the answer ``continues_last``, the last
    message."""

    tools: Sequence[Tool] = ()
    arguments: Mapping[str, Any] = {}
    continues_last: bool = False
    must_call: bool = False

    @classmethod
    def by(cls, asked: ChatInput) -> Offered:
        return cls(asked.tools, asked.template_args, asked.continues_last, asked.must_call)


NOTHING = Offered()


class Prompts(Protocol):
    """How a model's prompts are laid out, and what reads its answers."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def dialect(self) -> Dialect: ...

    def use_dialect(self, wanted: str) -> None:
        """Have calls written in the dialect ``wanted``, a name as the catalog has it."""
        ...

    @property
    def raw(self) -> RawLayout:
        """How prompts without a template are laid out."""
        ...

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:
        """The prompt of a chat, up to where its answer begins. Raises `InvalidRequest`."""
        ...


class Layout:
    """The `Prompts` of a model with this ``template``. With ``always_begins`` a chat, too, begins
    as the tokenizer begins a text, be it that the template says so or not."""

    def __init__(
        self, template: Template, vocabulary: Vocabulary, *, always_begins: bool = False
    ) -> None:
        self._template = template
        self._begins = [*vocabulary.begins] if always_begins else []
        self.vocabulary = vocabulary
        self.raw = RawLayout(vocabulary)
        self._finder = ControlFinder(vocabulary.control)
        self._edges = _Edges(vocabulary.control)
        self._of_control = {token.id: text for text, token in vocabulary.control.items()}

    @property
    def dialect(self) -> Dialect:
        return self._template.dialect

    def use_dialect(self, wanted: str) -> None:
        self._template.use_dialect(wanted)

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:
        parts = self.parts(messages, offered)
        return Prompt(self._tokens(parts), tail=self.tail(parts))

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """The prompt of a chat. Raises `InvalidRequest`."""
        return self._tokens(self.parts(messages))

    def tail(self, parts: Sequence[Part]) -> str:
        """The end of a prompt of these ``parts``, as a text."""
        tail = ""
        for part in reversed(parts):
            tail = (self._of_control[part] if isinstance(part, int) else part) + tail
            if len(tail) >= _TAIL_CHARACTERS:
                break
        return tail[-_TAIL_CHARACTERS:]

    def _tokens(self, parts: list[Part]) -> list[int]:
        tokens = tokens_of(parts, self.vocabulary)
        if not tokens:
            raise no_prompt()
        begun = tokens[: len(self._begins)] == self._begins
        return tokens if begun else [*self._begins, *tokens]

    def parts(self, messages: Sequence[Message], offered: Offered = NOTHING) -> list[Part]:
        """The prompt as control tokens and the texts between them, which are still to be encoded.
        Raises `InvalidRequest`."""
        disguise = _Disguise(self._finder, self._edges)
        rendered = self._template.render(
            [turn(one, disguise.hide) for one in messages],
            [tool_turn(one, disguise.hide) for one in offered.tools],
            {name: _hidden(value, disguise.hide, str) for name, value in offered.arguments.items()},
            must_call=offered.must_call,
            continues_last=offered.continues_last,
        )
        parts = self._cut(rendered)
        return [part if isinstance(part, int) else disguise.reveal(part) for part in parts]

    def _cut(self, rendered: str) -> list[Part]:
        parts: list[Part] = []
        at = 0
        for start, end in self._finder.spans(rendered):
            if start < at:
                continue  # within the whitespace that the last one took
            control = self.vocabulary.control[rendered[start:end]]
            before = rendered[at:start]
            parts += [before.rstrip() if control.lstrip else before, control.id]
            at = end
            if control.rstrip:
                at = len(rendered) - len(rendered[end:].lstrip())
        return [part for part in [*parts, rendered[at:]] if part != ""]


def tail_of(tokens: Sequence[int], vocabulary: Vocabulary) -> str:
    """The end of a prompt of these ``tokens``, as a text."""
    return vocabulary.spelled(tokens[-_TAIL_CHARACTERS:])[-_TAIL_CHARACTERS:]


def chat_of(asked: Input, spec: Spec) -> ChatInput:
    """``asked``, if it is a chat. Raises `InvalidRequest`."""
    if not isinstance(asked, ChatInput):
        raise InvalidRequest(f"model {spec.name} answers chat requests only")
    return asked


def no_prompt() -> InvalidRequest:
    return InvalidRequest("the messages are empty; write something", param="messages")


class _Edges:
    """With what a text can begin or end that makes a control token with its neighbour."""

    def __init__(self, texts: Sequence[str] | dict[str, Any]) -> None:
        self._starts = {text[at:] for text in texts for at in range(1, len(text))}
        self._ends = {text[:at] for text in texts for at in range(1, len(text))}
        self._longest = max(map(len, texts), default=0)

    def at_start(self, text: str) -> int:
        """The length of the longest beginning of ``text`` that ends a control token."""
        return self._longest_of(text, lambda n: text[:n] in self._starts)

    def at_end(self, text: str) -> int:
        """The length of the longest end of ``text`` that begins a control token."""
        return self._longest_of(text, lambda n: text[-n:] in self._ends)

    def _longest_of(self, text: str, fits: Callable[[int], bool]) -> int:
        return next((n for n in range(min(len(text), self._longest), 0, -1) if fits(n)), 0)


class _Disguise:
    """The texts of control tokens in one request, each behind a word of its own."""

    def __init__(self, finder: ControlFinder, edges: _Edges) -> None:
        self._finder = finder
        self._edges = edges
        self._words: dict[str, str] = {}

    def hide(self, text: str) -> str:
        """``text`` without control tokens, and without what could become one beside another."""
        start = self._edges.at_start(text)
        end = max(start, len(text) - self._edges.at_end(text))
        spans = [*self._finder.spans(text)]
        if start and not any(begin < start for begin, _ in spans):
            spans = [(0, start), *spans]
        if end < len(text) and not any(stop > end for _, stop in spans):
            spans.append((end, len(text)))
        pieces, at = [], 0
        for begin, stop in spans:
            pieces += [text[at:begin], self._word(text[begin:stop])]
            at = stop
        return "".join([*pieces, text[at:]]) if spans else text

    def reveal(self, text: str) -> str:
        for hidden, word in self._words.items():
            text = text.replace(word, hidden)
        return text

    def _word(self, hidden: str) -> str:
        return self._words.setdefault(hidden, f"z{secrets.token_hex(12)}z")


def turn(
    message: Message, hide: Callable[[str], str], hide_key: Callable[[str], str] | None = None
) -> Turn:
    """A message as templates take it, with each text in it as ``hide`` has it, and the names of
    arguments as ``hide_key`` has them. A content with images is in parts."""
    laid_out: Turn = {"role": message.role, "content": _content(message, hide)}
    if message.tool_calls:
        laid_out["tool_calls"] = [_call(one, hide, hide_key or hide) for one in message.tool_calls]
    if message.tool_call_id is not None:
        laid_out["tool_call_id"] = hide(message.tool_call_id)
    if message.name is not None:
        laid_out["name"] = hide(message.name)
    if message.reasoning is not None:
        laid_out["reasoning_content"] = laid_out["thinking"] = hide(message.reasoning)
    return laid_out


def _content(message: Message, hide: Callable[[str], str]) -> str | list[Turn]:
    if isinstance(message.content, str) or not message.images:
        return hide(message.text)
    return [
        {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": hide(part.text)}
        for part in message.content
    ]


def _call(
    call: ToolCall, hide: Callable[[str], str], hide_key: Callable[[str], str]
) -> dict[str, Any]:
    """A call as templates take it; arguments that are no JSON stay the text that they are."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    function = {"name": hide(call.name), "arguments": _hidden(arguments, hide, hide_key)}
    return {"id": hide(call.id), "type": "function", "function": function}


def tool_turn(
    tool: Tool, hide: Callable[[str], str], hide_key: Callable[[str], str] | None = None
) -> Turn:
    """A tool as templates take it, with the texts in it hidden as in `turn`."""
    parameters = None if tool.parameters is None else json.loads(tool.parameters)
    hidden: Turn = _hidden(described(tool, parameters), hide, hide_key or hide)
    return hidden


def _hidden(value: Any, hide: Callable[[str], str], hide_key: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [_hidden(item, hide, hide_key) for item in value]
    if isinstance(value, dict):
        return {hide_key(key): _hidden(item, hide, hide_key) for key, item in value.items()}
    return value
