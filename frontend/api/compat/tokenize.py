"""POST /tokenize, /detokenize and /apply-template: what is asked, as a `TokenizeInput`.

Three servers have a /tokenize, and a body's keys tell whose it is: ``content`` is llama.cpp's,
``prompt`` and ``messages`` are vLLM's, ``inputs`` is that of Hugging Face's
text-embeddings-inference (TEI). A text of its own is read as the server reads it that has the key:
names of control tokens are these tokens, which no prompt of this server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, Tag

from frontend.api.fields import Batch, Name, Schema, ServerText, Token, text_or
from frontend.api.images import Remote, refuse_uncounted
from frontend.api.known_keys import refused_keys
from frontend.api.openai.chat_keys import KEYS
from frontend.api.openai.continuation_request import OPENS_OR_GOES_ON, ContinuationRequest
from frontend.api.openai.messages_request import Turns, read_turns
from frontend.api.openai.reasoning_request import ReasoningRequest
from frontend.api.openai.tools_request import ToolsRequest
from frontend.api.validate import Body, check
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput, Sampling, TokenizeInput
from ipc.messages.spec import Spec

MAX_TOKENS = 1 << 18
_TEXTS = "must be a string or an array of strings"
Texts = Annotated[
    Annotated[ServerText, Tag("<text>")]
    | Annotated[list[ServerText], Field(min_length=1), Batch, Tag("<texts>")],
    text_or("<texts>", list, _TEXTS),
]


def _without(*keys: str) -> Schema:
    """The description of a form that has none of these, which others are told by."""
    return {"properties": {key: {"type": "null"} for key in keys}}


class ContentTokenize(Body):
    """llama.cpp's."""

    EXAMPLE = {"content": "hello"}

    model: Name | None = None
    content: ServerText
    add_special: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None

    def to_input(self, _: Spec) -> TokenizeInput:
        return TokenizeInput(
            texts=[self.content],
            begins=bool(self.add_special),
            reads_control=self.parse_special is not False,
        )


class PromptTokenize(Body):
    """vLLM's, for a text."""

    model_config = ConfigDict(json_schema_extra={"allOf": [_without("content")]})

    model: Name | None = None
    prompt: ServerText
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = None

    def to_input(self, _: Spec) -> TokenizeInput:
        begins = self.add_special_tokens is not False
        return TokenizeInput(texts=[self.prompt], begins=begins, reads_control=True)


class ChatTokenize(ToolsRequest, ReasoningRequest, ContinuationRequest):
    """vLLM's, for a chat: all of one that makes its prompt."""

    model_config = ConfigDict(json_schema_extra={"allOf": [OPENS_OR_GOES_ON]})
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"messages": [{"role": "user", "content": "hello"}]}

    model: Name | None = None
    messages: Turns
    content: None = None  # by these two other forms are told
    prompt: None = None
    return_token_strs: bool | None = None

    def to_input(self, spec: Spec) -> TokenizeInput:
        """Raises `InvalidRequest` for what is not for this model, and for images elsewhere."""
        remote: list[Remote] = []
        messages = read_turns(self.messages, spec, remote)
        refuse_uncounted(remote)
        chat = ChatInput(
            messages=messages,
            sampling=Sampling(max_tokens=1),
            tools=self.to_tools().tools,
            template_args=self.template_arguments,
            continues_last=bool(self.continue_final_message),
        )
        return TokenizeInput(chat=chat)

    def check_keys(self) -> None:
        """Raise `InvalidRequest`, or `UnsupportedParameter`, where keys are at odds."""
        self.check_tools()
        self.check_continuation()


class InputsTokenize(Body):
    """TEI's."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [_without("content", "prompt", "messages")]}
    )

    model: Name | None = None
    inputs: Texts
    add_special_tokens: bool | None = None

    def to_input(self, _: Spec) -> TokenizeInput:
        texts = [self.inputs] if isinstance(self.inputs, str) else self.inputs
        begins = self.add_special_tokens is not False
        return TokenizeInput(texts=texts, begins=begins, reads_control=True)


class Detokenize(Body):
    """Alike in llama.cpp and vLLM."""

    EXAMPLE = {"tokens": [1, 2]}

    model: Name | None = None
    tokens: Annotated[list[Token], Field(max_length=MAX_TOKENS)]

    def to_input(self, _: Spec) -> TokenizeInput:
        return TokenizeInput(ids=self.tokens)


Tokenize = ContentTokenize | PromptTokenize | ChatTokenize | InputsTokenize
_FORMS: tuple[tuple[str, type[Tokenize]], ...] = (
    ("content", ContentTokenize),
    ("prompt", PromptTokenize),
    ("messages", ChatTokenize),
    ("inputs", InputsTokenize),
)


def parse_tokenize(data: Mapping[str, Any], limits: Serve) -> Tokenize:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    for key, form in _FORMS:
        if data.get(key) is not None:
            return parse_chat_tokenize(data) if key == "messages" else check(form, data, limits)
    raise InvalidRequest(
        "`content` is required, or `prompt`, `messages` or `inputs` in its place", param="content"
    )


def parse_chat_tokenize(data: Mapping[str, Any]) -> ChatTokenize:
    """The checked request with messages. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    asked = check(ChatTokenize, data)
    asked.check_keys()
    return asked
