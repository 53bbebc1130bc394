"""`text` of a request: the form that the answer is to have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from frontend.api.fields import by_key
from frontend.api.openai.format_request import GivenSchema
from frontend.api.validate import Body

# The places of a chat's form, as the client has them.
NAMES = {"response_format": "text.format", "response_format.json_schema": "text.format"}


class TextFormat(Body):
    type: Literal["text"]

    def told(self) -> dict[str, Any]:
        """As the answer repeats it."""
        return {"type": "text"}


class JsonObjectFormat(Body):
    type: Literal["json_object"]

    def told(self) -> dict[str, Any]:
        return {"type": "json_object"}


class JsonSchemaFormat(Body):
    """One that does not say whether it is ``strict`` is."""

    type: Literal["json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: Annotated[GivenSchema, Field(alias="schema")]
    strict: bool | None = None

    def told(self) -> dict[str, Any]:
        return {
            "type": "json_schema",
            "name": self.name,
            "description": self.description,
            "schema": self.schema_,
            "strict": self.strict is not False,
        }


Format = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonObjectFormat, Tag("<object>")]
    | Annotated[JsonSchemaFormat, Tag("<schema>")],
    by_key("type", {"text": "<text>", "json_object": "<object>", "json_schema": "<schema>"}),
]


class TextOptions(Body):
    """``verbosity`` is a wish, which models without such a switch do not know."""

    format: Format | None = None

    def chat_format(self) -> dict[str, Any] | None:
        """In the words of a chat."""
        if isinstance(self.format, JsonSchemaFormat):
            told = self.format.told()
            return {"type": told.pop("type"), "json_schema": told}
        return None if self.format is None else self.format.told()
