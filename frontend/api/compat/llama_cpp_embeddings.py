"""POST /embedding and /embeddings as in llama.cpp's server: what is asked, as an `EmbedInput`.

Its README documents ``content`` for the first and ``input`` for the second; its code takes either
for both, as a string, an object with ``prompt_string``, or an array of these.
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, Tag

from frontend.api.answer import Answer
from frontend.api.fields import Batch, Name, OneOf, Schema, ServerText
from frontend.api.known_keys import Row, done, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.texts import NoTokens
from frontend.api.truncation import AT_ODDS, Truncating
from frontend.api.validate import Body, refuse_unsupported
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import EmbedInput

KEYS: tuple[Row, ...] = (
    done("model", "may be left out where there is only one"),
    done("content input", "either; a text, an object with `prompt_string`, or a list of these"),
    done(
        "truncate truncate_prompt_tokens truncation_direction truncation_side",
        "what becomes of texts that are too long",
    ),
    QUEUED,
    refused("embd_normalize", "the Euclidean norm", 2),
    refused("encoding_format", "", "float"),
    refused("multimodal_data image_data", "texts only", []),
)

_REFUSED = refused_keys(KEYS)
_RULE = "must be a string, an object with a `prompt_string`, or an array of these"
_SOME: Schema = {"not": {"type": "null"}}


class PromptString(Body):
    """A text in an object."""

    REFUSED = _REFUSED

    prompt_string: ServerText


def _plain_names(given: object) -> object:
    """``given`` without what is refused, and by the name that its text has in the first place."""
    if not isinstance(given, dict):
        return given
    refuse_unsupported(given, _REFUSED)
    return {"prompt_string": given.get("content"), **given}


def _tell(given: object) -> str | None:
    if isinstance(given, str):
        return "<text>"
    return "<object>" if isinstance(given, dict) else None


def _tell_many(given: object) -> str | None:
    return "<array>" if isinstance(given, list) else _tell(given)


_Wrapped = Annotated[PromptString, BeforeValidator(_plain_names), Tag("<object>")]
_Plain = Annotated[
    Annotated[ServerText, Tag("<text>")] | _Wrapped,
    OneOf(_tell, "must be a string or an object with a `prompt_string`"),
]
PlainTexts = Annotated[
    Annotated[ServerText, Tag("<text>")]
    | _Wrapped
    | Annotated[list[_Plain], Field(min_length=1), Batch, NoTokens, Tag("<array>")],
    OneOf(_tell_many, _RULE),
]


class PlainEmbeddingRequest(Queued, Truncating):
    """``model`` may be left out where there is only one to take."""

    model_config = ConfigDict(
        json_schema_extra={
            **AT_ODDS,
            "anyOf": [
                {"properties": {"input": _SOME}, "required": ["input"]},
                {"properties": {"content": _SOME}, "required": ["content"]},
            ],
        }
    )
    REFUSED = _REFUSED
    EXAMPLE = {"content": "hello"}

    model: Name | None = None
    content: PlainTexts | None = None
    input: PlainTexts | None = None

    def to_input(self) -> EmbedInput:
        """The job. Raises `InvalidRequest` where there is no text, or its wishes are at odds."""
        given = self.content if self.input is None else self.input
        if given is None:
            raise InvalidRequest("`content` is required", param="content")
        texts = [_text(each) for each in (given if isinstance(given, list) else [given])]
        return EmbedInput(texts=texts, truncation=self.truncation())


def _text(given: str | PromptString) -> str:
    return given if isinstance(given, str) else given.prompt_string


class PlainEmbedding(Answer):
    """One element of the answer, described for ``/openapi.json``."""

    index: int
    embedding: list[list[float]]
